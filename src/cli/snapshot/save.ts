import { open, rename, rm } from "node:fs/promises";
import { dirname, parse, join } from "node:path";
import { decodeShape } from "../../cluster/decode.ts";
import { loosely, understood } from "../answer.ts";
import { oneArgument } from "../arguments.ts";
import type { HttpClient } from "../client.ts";
import { attempt, CommandFailure, httpCommand } from "../command.ts";
import { fileReason } from "../../file-reason.ts";
import { flag } from "../flags.ts";
import { createProgress } from "../progress.ts";
import type { World } from "../world.ts";
import { verifyFile } from "./file.ts";

/** Exit code of a command that a signal has ended. */
const INTERRUPTED = 130;
const MIB = 1024 * 1024;

/** `snapshot save`: the file has its name only when it is whole. */
export const save = httpCommand({
  doc: "Saves the state of the servers to a file.",
  usage: "[options] FILE",
  detail: `Keys, catalog, sessions, prepared queries and ACLs of one moment. The file is written under
another name, read again, checked and renamed. With ACLs on a management token is needed:

    waypost snapshot save backup.snap`,
  flags: {
    "append-filename": flag.text(
      "Words put into the name of the file, with commas between: version, dc, node, status.",
    ),
  },
  async run({ flags, args, http, world }) {
    const given = oneArgument(args, "Missing FILE argument");
    const file = await nameOf(given, flags["append-filename"], http);
    const unverified = `${file}.unverified`;
    const stop = new AbortController();
    const cancels = (["SIGINT", "SIGTERM"] as const).map((signal) =>
      world.onSignal(signal, () => stop.abort()),
    );
    try {
      const index = await download(http, unverified, stop.signal, world);
      const whole = await verifyFile(unverified);
      if (!whole.ok) throw new CommandFailure(`Error verifying snapshot file: ${whole.error}`);
      await replace(unverified, file);
      await world.out(`Saved and verified snapshot to index ${index}\n`);
      return 0;
    } catch (error) {
      if (stop.signal.aborted) throw new CommandFailure("Interrupted", INTERRUPTED);
      throw error;
    } finally {
      for (const cancel of cancels) cancel();
      await rm(unverified, { force: true });
    }
  },
});

const selfShape = {
  struct: {
    Config: { struct: { Datacenter: "string", NodeName: "string", Version: "string" } },
    Stats: { map: { map: "string" } },
  },
} as const;

async function nameOf(file: string, words: string, http: HttpClient): Promise<string> {
  if (words === "") return file;
  const answer = await attempt(
    "Error connecting to Consul agent and fetching datacenter/version",
    http.request("GET", "/v1/agent/self"),
  );
  const { Config, Stats } = understood(decodeShape(selfShape, answer.json(), loosely));
  const parts: Record<string, string> = {
    version: Config.Version,
    dc: Config.Datacenter,
    node: Config.NodeName,
    status: Stats?.["consul"]?.["leader"] === "true" ? "leader" : "follower",
  };
  const wanted = words.split(",");
  const unknown = wanted.find((word) => !Object.hasOwn(parts, word));
  if (unknown !== undefined)
    throw new CommandFailure(
      `-append-filename: expected version, dc, node or status, got "${unknown}"`,
    );
  const { dir, name, ext } = parse(file);
  const suffix = Object.keys(parts).filter((word) => wanted.includes(word));
  return join(dir, [name, ...suffix.map((word) => parts[word])].join("-") + ext);
}

/** Index of the state that is in the file. */
async function download(
  http: HttpClient,
  path: string,
  signal: AbortSignal,
  world: World,
): Promise<string> {
  const answer = await attempt(
    "Error saving snapshot",
    http.stream("GET", "/v1/snapshot", { signal }),
  );
  const progress = createProgress(world);
  let octets = 0;
  try {
    const file = await open(path, "w", 0o600);
    try {
      for await (const chunk of answer.body) {
        for (let at = 0; at < chunk.length;)
          at += (await file.write(chunk, at, chunk.length - at)).bytesWritten;
        octets += chunk.length;
        progress.show(`Saved ${(octets / MIB).toFixed(1)} MiB`);
      }
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new CommandFailure(`Error writing unverified snapshot file: ${fileReason(error)}`);
  } finally {
    await progress.done();
  }
  const index = answer.headers["x-consul-index"];
  return typeof index === "string" ? index : "0";
}

/** The name is on disk too when this is done. */
async function replace(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
    const directory = await open(dirname(to), "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  } catch (error) {
    throw new CommandFailure(`Error renaming "${from}" to "${to}": ${fileReason(error)}`);
  }
}
