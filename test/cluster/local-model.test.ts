/**
 * Whatever happens locally and to the catalog, in whatever order and with whatever fate of the
 * proposals: once it is quiet, the catalog says about this node what the agent says.
 */
import { deepStrictEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import type { Command, ServiceFields } from "../../src/cluster/command.ts";
import { newCheckFields } from "../../src/cluster/definition.ts";
import { createLocalWorld, ownNode, settle, type LocalWorld } from "./local-world.ts";

const node = "node-a";
const id = fc.constantFrom("a", "b", "c");
const checkId = fc.constantFrom("a", "b", "service:a", "service:b", "x");
const status = fc.constantFrom("passing", "warning", "critical");
const word = fc.constantFrom("", "one", "two");

const step = fc.oneof(
  fc.record({
    do: fc.constant("register" as const),
    id,
    name: fc.constantFrom("a", "b", "other"),
    port: fc.integer({ min: 1, max: 3 }),
    tags: fc.array(word, { maxLength: 2 }),
    override: fc.boolean(),
    token: fc.constantFrom("", "s1", "s2"),
    checks: fc.integer({ min: 0, max: 2 }),
    replace: fc.boolean(),
  }),
  fc.record({ do: fc.constant("deregister" as const), id }),
  fc.record({ do: fc.constant("check" as const), checkId, of: fc.option(id) }),
  fc.record({ do: fc.constant("remove-check" as const), checkId }),
  fc.record({ do: fc.constant("ttl" as const), checkId, status, output: word }),
  fc.record({ do: fc.constant("flap" as const), checkId, times: fc.integer({ min: 2, max: 40 }) }),
  fc.record({ do: fc.constant("maintain" as const), of: fc.option(id), enable: fc.boolean() }),
  fc.record({ do: fc.constant("edit-service" as const), id, port: fc.integer({ min: 7, max: 9 }) }),
  fc.record({ do: fc.constant("edit-check" as const), checkId, of: fc.option(id), status }),
  fc.record({ do: fc.constant("drop-service" as const), id }),
  fc.record({ do: fc.constant("drop-check" as const), checkId }),
  fc.record({ do: fc.constant("drop-node" as const) }),
  fc.record({
    do: fc.constant("fate" as const),
    fate: fc.constantFrom("refused" as const, "unknown" as const, "lost answer" as const),
  }),
  fc.record({
    do: fc.constant("rights" as const),
    token: fc.constantFrom("s1", "s2"),
    may: fc.boolean(),
  }),
  fc.record({ do: fc.constant("hold" as const) }),
  fc.record({ do: fc.constant("release" as const) }),
  fc.record({ do: fc.constant("pass" as const), ms: fc.constantFrom(10, 5_000, 40_000) }),
  fc.record({ do: fc.constant("restart" as const) }),
);

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

function edited(world: LocalWorld, serviceId: string, port: number): ServiceFields {
  const held = world.agent.services.get(serviceId)?.fields ?? {
    ...ownNode.server!.service,
    id: serviceId,
    service: serviceId,
  };
  return { ...held, port, tags: ["edited"] };
}

/** Does one step; what it waits for is waited for at the end, as clients would. */
async function play(world: LocalWorld, step: Step, waiting: Promise<unknown>[]): Promise<void> {
  const edit = { type: "register", node: ownNode.node, skipNodeUpdate: true } as const;
  switch (step.do) {
    case "register": {
      const checks = Array.from({ length: step.checks }, () => ({ TTL: "50s" }));
      const body = {
        Token: step.token,
        ID: step.id,
        Name: step.name,
        Port: step.port,
        Tags: step.tags,
        Checks: checks,
      };
      waiting.push(world.register({ ...body, EnableTagOverride: step.override }, step.replace));
      break;
    }
    case "deregister":
      waiting.push(world.agent.deregisterService(step.id));
      break;
    case "check":
      waiting.push(
        world.check({ ID: step.checkId, Name: "n", TTL: "30s", ServiceID: step.of ?? "" }),
      );
      break;
    case "remove-check":
      waiting.push(world.agent.deregisterCheck(step.checkId));
      break;
    case "ttl":
      waiting.push(world.agent.updateTtl(step.checkId, step.status, step.output));
      break;
    case "flap":
      for (let i = 0; i < step.times; i++)
        waiting.push(
          world.agent.updateTtl(step.checkId, i % 2 === 0 ? "critical" : "passing", `${i}`),
        );
      break;
    case "maintain": {
      const target = step.of === null ? {} : { serviceId: step.of };
      waiting.push(world.agent.setMaintenance({ ...target, enable: step.enable, reason: "r" }));
      break;
    }
    case "edit-service":
      world.edit({ ...edit, service: edited(world, step.id, step.port), checks: [] });
      break;
    case "edit-check": {
      const { checkId, status, of } = step;
      const check = { ...newCheckFields, checkId, status, serviceId: of ?? "" };
      world.edit({ ...edit, service: null, checks: [check] }); // refused if the service is unknown
      break;
    }
    case "drop-service":
      world.edit({ type: "deregister", node, serviceId: step.id, checkId: "" });
      break;
    case "drop-check":
      world.edit({ type: "deregister", node, serviceId: "", checkId: step.checkId });
      break;
    case "drop-node":
      world.edit({ type: "deregister", node, serviceId: "", checkId: "" });
      break;
    case "fate":
      world.fates.push(step.fate);
      break;
    case "rights":
      if (step.may) world.rights.delete(step.token);
      else world.rights.set(step.token, null);
      break;
    case "hold":
      world.hold();
      break;
    case "release":
      await world.release();
      break;
    case "pass":
      await world.pass(step.ms);
      break;
    case "restart":
      await world.release();
      await world.restart();
      break;
  }
}

/** Nobody may find an instance healthy only because its checks are not there yet. */
function noServiceWithoutItsChecks({ agent, reader, rights }: LocalWorld, command: Command): void {
  if (command.type !== "register" || command.service === null) return;
  const { service, checks } = command;
  for (const [checkId, { fields, token }] of agent.checks) {
    if (fields.serviceId !== service.id || rights.has(token)) continue;
    const isThere = reader.check(node, checkId)?.serviceId === service.id;
    ok(isThere || checks.some((check) => check.checkId === checkId), `${service.id}, ${checkId}`);
  }
}

function expected({ agent }: LocalWorld) {
  const services = [...agent.services.values()].map(({ fields }) => fields);
  const checks = [...agent.checks.values()].map(({ fields }) => fields);
  services.push(ownNode.server!.service);
  checks.push(ownNode.server!.check);
  return { services: sorted(services, "id"), checks: sorted(checks, "checkId") };
}

function actual({ reader }: LocalWorld) {
  const services = reader
    .servicesOfNode(node)
    .map(({ node: _o, createIndex: _c, modifyIndex: _m, ...fields }) => fields);
  const checks = reader
    .checksOfNode(node)
    .map(
      ({
        node: _o,
        serviceName: _n,
        serviceTags: _t,
        createIndex: _c,
        modifyIndex: _m,
        ...fields
      }) => fields,
    );
  return { services: sorted(services, "id"), checks: sorted(checks, "checkId") };
}

function sorted<K extends string, T extends Record<K, string>>(rows: T[], key: K): T[] {
  return rows.sort((a, b) => (a[key] < b[key] ? -1 : 1));
}

async function converges(steps: Step[], checkUpdateIntervalMs: number): Promise<void> {
  const world = createLocalWorld({ checkUpdateIntervalMs });
  await world.restart();
  world.watchProposals((command) => noServiceWithoutItsChecks(world, command));
  const waiting: Promise<unknown>[] = [];
  for (const step of steps) {
    await play(world, step, waiting);
    await settle();
  }
  await world.release();
  world.fates.length = 0;
  world.rights.clear();
  await Promise.all(waiting);
  await world.pass(121_000 + 1.5 * checkUpdateIntervalMs); // the longest wait for a full comparison
  await world.pass(121_000); // and one more, for overrides seen by the first
  deepStrictEqual(actual(world), expected(world));
  const before = world.proposed.length;
  await world.pass(600_000);
  equal(world.proposed.length, before, "quiet: nothing is written any more");
}

t.test("the catalog converges to the local state", async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 25 }),
      fc.constantFrom(0, 30_000),
      async (steps, interval) => converges(steps, interval),
    ),
    { numRuns: 500, seed: 20_261_120 },
  );
  t.pass();
});
