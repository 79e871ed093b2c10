import { posix } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { decodeShape } from "../cluster/decode.ts";
import { loosely, understood } from "./answer.ts";
import type { HttpClient } from "./client.ts";
import { attempt, CommandFailure, httpCommand, UsageFailure } from "./command.ts";
import { checkFilters, filterFlags, fireEvent } from "./event-filters.ts";
import { followResults } from "./exec/results.ts";
import { flag } from "./flags.ts";
import { cleanFolder, keyPath } from "./kv/entries.ts";
import { createSession, type SessionBody } from "./session.ts";
import type { World } from "./world.ts";

/** Name of the event that carries the order. Consul's. */
const EVENT = "_rexec";
/** Limit of the removal of what the job has left in the store. */
const CLEAN_UP_MS = 5_000;
/** Exit code when some node failed or did not finish. */
const SOME_FAILED = 2;

/** `exec`: runs a command on nodes whose agents allow it. */
export const exec = httpCommand({
  doc: "Runs a command on nodes whose agents allow it.",
  usage: "[options] [-|COMMAND...]",
  detail: `Agents take orders only with disable_remote_exec = false. The command ends when for some time
nothing has been heard; its exit code is 2 if it failed somewhere or did not finish. With "-"
a script is read from standard input.

    waypost exec -service=web uptime

With ACLs the token has to have session "write" on the agent's node, event "write" for _rexec and
key "write" below the prefix; the acl.tokens.agent of each node that is to act has to have key
"write" there, too.`,
  runsProgram: true,
  flags: {
    ...filterFlags,
    prefix: flag.textWithDefault("_rexec", "Where the job and its results stand in the KV store."),
    shell: flag.maybe("Run the command by a shell there. Default: true."),
    wait: flag.duration(2_000, "Time without news after which the job counts as done."),
    "wait-repl": flag.duration(
      200,
      "Time for the job to reach all servers before agents are told.",
    ),
    verbose: flag.boolean("Tell what is done."),
  },
  async run({ flags, args, http, world }) {
    const usesShell = flags.shell ?? true;
    const isScript = args.length === 1 && args[0] === "-";
    if (isScript && !usesShell)
      throw new CommandFailure("Cannot configure -shell=false when reading from stdin");
    const job = isScript
      ? { Script: Buffer.from(await world.readInput()).toString("base64") }
      : usesShell
        ? { Command: args.join(" ") }
        : { Args: args };
    if (Object.values(job).every((each) => each.length === 0))
      throw new UsageFailure("Must specify a command to execute");
    checkFilters(flags);
    const stop = new AbortController();
    const cancels = (["SIGINT", "SIGTERM", "SIGHUP"] as const).map((signal) =>
      world.onSignal(signal, () => stop.abort()),
    );
    try {
      return await runJob({
        ...flags,
        job,
        http: bounded(http, stop.signal),
        world,
        stop: stop.signal,
      });
    } catch (error) {
      if (stop.signal.aborted && error instanceof CommandFailure) return 1;
      throw error;
    } finally {
      cancels.forEach((cancel) => cancel());
    }
  },
});

/** A signal ends what asks or tells the agent something; what cleans up has a time. */
function bounded(http: HttpClient, stop: AbortSignal): HttpClient {
  return {
    ...http,
    request: (method, path, ask) =>
      http.request(
        method,
        path,
        method === "DELETE" ? { ...ask, timeoutMs: CLEAN_UP_MS } : { ...ask, signal: stop },
      ),
  };
}

type Order = {
  node: string;
  service: string;
  tag: string;
  prefix: string;
  wait: number;
  "wait-repl": number;
  verbose: boolean;
  datacenter: string;
  job: object;
  http: HttpClient;
  world: World;
  stop: AbortSignal;
};

async function runJob(order: Order): Promise<number> {
  const { http, world, stop, wait } = order;
  const prefix = cleanFolder(order.prefix);
  if (prefix === undefined)
    throw new CommandFailure(`-prefix: ${order.prefix} leads out of the key/value store`);
  const tell = async (text: string) => (order.verbose ? world.out(`${text}\n`) : undefined);
  const body = await sessionBody(order, tell);
  const session = await attempt("Failed to create session", createSession(http, world.clock, body));
  const folder = posix.join(prefix, session.id);
  try {
    await tell(`Created remote execution session: ${session.id}`);
    const key = `${folder}/job`;
    const spec = JSON.stringify({ ...order.job, Wait: Math.round(wait * 1e6) });
    const uploaded = await attempt(
      "Failed to create job file",
      http.request("PUT", keyPath(key), { query: { acquire: session.id }, body: spec }),
    );
    if (uploaded.text.trim() !== "true")
      throw new CommandFailure(`Failed to create job file: failed to acquire key ${key}`);
    try {
      await tell("Uploaded remote execution spec");
      await sleep(order["wait-repl"], undefined, { signal: stop }).catch(() => {});
      if (stop.aborted) return 1;
      const payload = JSON.stringify({ Prefix: prefix, Session: session.id });
      const id = await attempt("Failed to fire event", fireEvent(http, EVENT, order, payload));
      await tell(`Fired remote execution event: ${id}`);
      const outcome = await followResults({ ...order, folder: `${folder}/`, waitMs: wait });
      if (outcome === "stopped") return 1;
      return outcome === "good" ? 0 : SOME_FAILED;
    } finally {
      await session.end(); // before its keys are removed: nobody can write further ones
      await http
        .request("DELETE", keyPath(`${folder}/`), { query: { recurse: "" } })
        .catch(() => {});
    }
  } finally {
    await session.end();
  }
}

const selfShape = {
  struct: { Config: { struct: { Datacenter: "string", NodeName: "string" } } },
} as const;
const serversShape = {
  list: { struct: { Node: { struct: { Node: "string" } } } },
} as const;

/** In another datacenter the session needs a node of that one, and no checks. */
async function sessionBody(
  { http, datacenter }: Order,
  tell: (text: string) => Promise<void>,
): Promise<SessionBody> {
  const plain: SessionBody = { Name: "Remote Exec", Behavior: "delete" };
  const what = "Error querying Consul agent";
  if (datacenter === "") {
    await attempt(what, http.request("GET", "/v1/status/leader"));
    return plain;
  }
  const self = await attempt(what, http.request("GET", "/v1/agent/self"));
  const { Datacenter, NodeName } = understood(decodeShape(selfShape, self.json(), loosely)).Config;
  if (datacenter === Datacenter) return plain;
  await tell("Remote exec in foreign datacenter, using Session TTL");
  const failed = "Failed to create session: Failed to find Consul server in remote datacenter";
  const found = await attempt(
    failed,
    http.request("GET", "/v1/health/service/consul", { query: { passing: "1" } }),
  );
  const server = understood(decodeShape(serversShape, found.json(), loosely))?.[0]?.Node.Node;
  if (server === undefined) throw new CommandFailure(failed);
  await tell(`Binding session to remote node ${server}@${datacenter}`);
  return {
    ...plain,
    Name: `Remote Exec via ${NodeName}@${Datacenter}`,
    Node: server,
    Checks: [],
  };
}
