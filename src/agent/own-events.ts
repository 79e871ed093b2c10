/** User events of this agent, joined to those who wait for them. */
import { createEventBus, type EventBus } from "../cluster/events.ts";
import type { LocalAgent } from "../cluster/local-agent.ts";
import type { Waiters } from "../http/blocking.ts";
import type { Random } from "../ports.ts";

/** Filters look at this node and its own services; each accepted event wakes the waiters of `events`. */
export function createOwnEvents(agent: {
  nodeName: string;
  local: Pick<LocalAgent, "services">;
  random: Random;
  waiters: Pick<Waiters, "wake">;
}): EventBus {
  const { nodeName, local, random, waiters } = agent;
  const events = createEventBus({
    nodeName,
    services: () => Array.from(local.services.values(), ({ fields }) => fields),
    newId: () => random.uuid(),
  });
  events.onChange(() => waiters.wake(["events"]));
  return events;
}
