/** Results of a remote job: keys that agents write, told as they come. Layout and form of Consul's `exec`. */
import { decodeShape } from "../../cluster/decode.ts";
import { understood } from "../answer.ts";
import { HttpFailure, type HttpClient } from "../client.ts";
import { CommandFailure } from "../command.ts";
import { keyPath } from "../kv/entries.ts";
import type { World } from "../world.ts";

/** What the agents have to say. */
export type ResultsOptions = {
  http: HttpClient;
  world: World;
  /** Of the job's keys, with a slash at its end. */
  folder: string;
  /** Without news for so long, or twice that while somebody works, it is over. */
  waitMs: number;
  verbose: boolean;
  stop: AbortSignal;
};

/** One key's meaning. */
type News =
  | { kind: "ack" | "exit"; node: string }
  | { kind: "output"; node: string }
  | { kind: "job" | "unknown" };

type Counts = { acknowledged: number; exited: number; failed: number };

/** Resolves when it is over; "good": everybody who began has ended with 0. Ends the command if nothing can be read. */
export async function followResults(options: ResultsOptions): Promise<"good" | "bad" | "stopped"> {
  const { http, world, folder, waitMs, verbose, stop } = options;
  const startMs = world.clock.monotonicMs();
  const counts: Counts = { acknowledged: 0, exited: 0, failed: 0 };
  const seen = new Set<string>();
  let index = "";
  let newsMs = startMs;
  for (;;) {
    const isWorking = counts.acknowledged > counts.exited;
    const leftMs = newsMs + waitMs * (isWorking ? 2 : 1) - world.clock.monotonicMs();
    if (stop.aborted) return "stopped";
    if (leftMs <= 0) break;
    let keys: { names: readonly string[]; index: string };
    try {
      keys = await readKeys(http, folder, { index, waitMs: leftMs, stop });
    } catch (error) {
      if (stop.aborted) return "stopped";
      if (!(error instanceof HttpFailure)) throw error;
      throw new CommandFailure(`Failed to read results: ${error.message}`);
    }
    ({ index } = keys);
    const fresh = keys.names.filter((name) => !seen.has(name)).toSorted(byKind(folder));
    for (const name of fresh) {
      seen.add(name);
      await tellNews(name, options, counts);
      newsMs = world.clock.monotonicMs();
    }
  }
  const { acknowledged, exited, failed } = counts;
  await world.out(`${exited} / ${acknowledged} node(s) completed / acknowledged\n`);
  const seconds = (world.clock.monotonicMs() - startMs) / 1000;
  if (verbose) await world.out(`Completed in ${seconds.toFixed(2)} seconds\n`);
  return failed === 0 && exited >= acknowledged ? "good" : "bad";
}

function newsOf(name: string): News {
  if (name === "job") return { kind: "job" };
  const [, node = "", kind] = /^(.*)\/(ack|exit)$/.exec(name) ?? [];
  if (kind === "ack" || kind === "exit") return { kind, node };
  const at = name.lastIndexOf("/out/");
  return at < 0 ? { kind: "unknown" } : { kind: "output", node: name.slice(0, at) };
}

/** Of what is seen at once, the end of a node comes after its output. */
function byKind(folder: string): (a: string, b: string) => number {
  const rank = (name: string) =>
    ["ack", "output", "exit"].indexOf(newsOf(name.slice(folder.length)).kind);
  return (a, b) => rank(a) - rank(b) || (a < b ? -1 : 1);
}

async function tellNews(
  name: string,
  { http, world, folder, verbose }: ResultsOptions,
  counts: Counts,
): Promise<void> {
  const short = name.slice(folder.length);
  const news = newsOf(short);
  switch (news.kind) {
    case "job":
      return;
    case "unknown":
      return world.err(`Unknown key '${short}', ignoring.\n`);
    case "ack":
      counts.acknowledged++;
      return verbose ? world.out(`==> ${news.node}: acknowledged\n`) : undefined;
    case "exit":
    case "output": {
      const value = await readValue(http, name).catch((error: unknown) =>
        error instanceof Error ? error : new Error(String(error)),
      );
      if (value instanceof Error)
        return world.err(`Failed to read key '${name}': ${value.message}\n`);
      if (news.kind === "exit") return tellExit(news.node, value.toString(), world, counts);
      if (value.length > 0) return world.out(lines(news.node, value));
      return verbose ? world.out(`==> ${news.node}: heartbeat received\n`) : undefined;
    }
  }
}

async function tellExit(node: string, text: string, world: World, counts: Counts): Promise<void> {
  if (!/^-?\d{1,10}$/.test(text))
    return world.err(
      `Failed to parse exit code '${text}': strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax\n`,
    );
  counts.exited++;
  if (Number(text) !== 0) counts.failed++;
  return world.out(`==> ${node}: finished with exit code ${text}\n`);
}

/** Each line with the node's name in front. By octets: a piece may end within a character. */
function lines(node: string, output: Buffer): Buffer {
  const name = Buffer.from(node).toString("latin1");
  const told = output
    .toString("latin1")
    .split("\n")
    .map((line) => `    ${name}: ${line}\n`)
    .join("");
  return Buffer.from(`${told.replace(/[ \t\n\v\f\r]+$/, "")}\n`, "latin1");
}

async function readValue(http: HttpClient, key: string): Promise<Buffer> {
  return Buffer.from((await http.request("GET", keyPath(key), { query: { raw: "" } })).octets);
}

/** A call may take this much longer than it was to wait. */
const SLACK_MS = 10_000;

async function readKeys(
  http: HttpClient,
  folder: string,
  { index, waitMs, stop }: { index: string; waitMs: number; stop: AbortSignal },
): Promise<{ names: readonly string[]; index: string }> {
  const answer = await http.requestAny("GET", keyPath(folder), {
    query: {
      keys: "",
      wait: `${Math.max(1, Math.ceil(waitMs))}ms`,
      ...(index === "" ? {} : { index }),
    },
    signal: stop,
    timeoutMs: waitMs * 2 + SLACK_MS,
  });
  const { status, text, headers } = answer;
  const at = headers["x-consul-index"];
  if (status !== 200 && status !== 404)
    throw new HttpFailure(status, `Unexpected response code: ${status} (${text.trim()})`);
  const names = status === 404 ? [] : understood(decodeShape({ list: "string" }, answer.json()));
  return { names: names ?? [], index: typeof at === "string" ? at : "" };
}
