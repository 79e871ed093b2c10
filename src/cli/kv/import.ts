import { loosely } from "../answer.ts";
import { readData } from "../arguments.ts";
import { HttpFailure, type HttpClient } from "../client.ts";
import { attempt, CommandFailure, httpCommand } from "../command.ts";
import { decodeShape } from "../../cluster/decode.ts";
import { flag } from "../flags.ts";
import { createProgress } from "../progress.ts";
import type { World } from "../world.ts";
import { keyPath, keyProblem, parseBase64, parseWithExactFlags } from "./entries.ts";

/** Operations of a transaction at most. */
const BATCH_KEYS = 64;
/** Characters of keys and values in one transaction; the server takes bodies of 512 KiB. */
const BATCH_CHARACTERS = 256 * 1024;

/** `kv import`: writes what `kv export` has printed. Stops at the first key that cannot be written. */
export const importKeys = httpCommand({
  doc: "Writes keys and values that are given as JSON.",
  usage: "[options] DATA",
  detail: `DATA is the JSON itself, @FILE for the content of a file, or - for standard input. Keys are
written in order, in transactions of up to 64; the first that is refused ends the command, those
before it stay:

    waypost kv import @config.json
    waypost kv export config/ | waypost kv import -prefix=backup -`,
  flags: { prefix: flag.text("Put in front of every key, with a slash between.") },
  async run({ flags, args, http, world }) {
    const [data] = args;
    if (data === undefined) throw new CommandFailure("Error! Missing DATA argument");
    if (args.length > 1)
      throw new CommandFailure(`Error! Too many arguments (expected 1, got ${args.length})`);
    if (data === "") throw new CommandFailure("Error! Empty DATA argument");
    const given = parseGiven(Buffer.from(await readData(data, world, "Error! ")).toString("utf8"));
    await writeKeys(given, flags.prefix, http, world);
    return 0;
  },
});

const givenShape = {
  list: {
    struct: {
      key: "string",
      flags: "raw",
      value: "string",
      namespace: "string",
      partition: "string",
    },
  },
} as const;

type Given = { key: string; flags: unknown; value: string };

function parseGiven(text: string): readonly Given[] {
  let json: unknown;
  try {
    json = parseWithExactFlags(text);
  } catch (error) {
    throw new CommandFailure(`Cannot unmarshal data: ${(error as Error).message}`);
  }
  const decoded = decodeShape(givenShape, json, loosely);
  if (!decoded.ok) throw new CommandFailure(`Cannot unmarshal data: ${decoded.error}`);
  const entries = decoded.value ?? [];
  for (const { flags } of entries)
    if (flags !== null && !isUint64(flags))
      throw new CommandFailure(
        `Cannot unmarshal data: json: cannot unmarshal ${JSON.stringify(flags)} into field flags of type uint64`,
      );
  return entries;
}

function isUint64(flags: unknown): boolean {
  return typeof flags === "string" && /^\d{1,20}$/.test(flags) && BigInt(flags) < 2n ** 64n;
}

type Ready = { key: string; flags: string; base64: string; value: Uint8Array };

async function writeKeys(
  given: readonly Given[],
  prefix: string,
  http: HttpClient,
  world: World,
): Promise<void> {
  // Where the lines below appear on the same terminal, they are the progress.
  const progress = createProgress({
    ...world,
    showsProgress: world.showsProgress && !world.isTerminal,
  });
  let batch: Ready[] = [];
  let characters = 0;
  let done = 0;
  const flush = async () => {
    await writeBatch(batch, http, world);
    done += batch.length;
    [batch, characters] = [[], 0];
    progress.show(`Imported ${done} of ${given.length} keys`);
  };
  try {
    for (const entry of given) {
      const ready = prepare(entry, prefix);
      if (ready instanceof CommandFailure) {
        await flush(); // those before it count
        throw ready;
      }
      const more = ready.key.length + ready.base64.length;
      if (batch.length === BATCH_KEYS || characters + more > BATCH_CHARACTERS) await flush();
      batch.push(ready);
      characters += more;
    }
    await flush();
  } finally {
    await progress.done();
  }
}

function prepare(given: Given, prefix: string): Ready | CommandFailure {
  const value = parseBase64(given.value);
  if (!value.ok)
    return new CommandFailure(`Error base 64 decoding value for key ${given.key}: ${value.error}`);
  const key = (
    prefix === "" ? given.key : `${prefix.replace(/\/+$/, "")}/${given.key.replace(/^\/+/, "")}`
  ).toWellFormed();
  const problem = keyProblem(key);
  if (problem !== undefined)
    return new CommandFailure(`Error! Failed writing data for key ${key}: ${problem}`);
  const base64 = Buffer.from(value.value).toString("base64");
  return {
    key,
    flags: typeof given.flags === "string" ? given.flags : "0",
    base64,
    value: value.value,
  };
}

/** All of them in one transaction; one after the other if it is refused, which tells whose fault it is. */
async function writeBatch(batch: readonly Ready[], http: HttpClient, world: World): Promise<void> {
  if (batch.length > 1 && (await isDoneAtOnce(batch, http))) {
    await world.out(batch.map(({ key }) => `Imported: ${key}\n`).join(""));
    return;
  }
  for (const { key, flags, value } of batch) {
    const query = flags === "0" ? {} : { flags };
    const failed = `Error! Failed writing data for key ${key}`;
    const answer = await attempt(failed, http.request("PUT", keyPath(key), { query, body: value }));
    if (answer.text.trim() !== "true")
      throw new CommandFailure(`${failed}: the answer is not that of an agent`);
    await world.out(`Imported: ${key}\n`);
  }
}

async function isDoneAtOnce(batch: readonly Ready[], http: HttpClient): Promise<boolean> {
  // Written by hand: flags have 64 bits.
  const operations = batch.map(
    ({ key, flags, base64 }) =>
      `{"KV":{"Verb":"set","Key":${JSON.stringify(key)},"Value":"${base64}","Flags":${BigInt(flags)}}}`,
  );
  try {
    const answer = await http.request("PUT", "/v1/txn", { body: `[${operations.join(",")}]` });
    return answer.text.startsWith("{");
  } catch (error) {
    if (error instanceof HttpFailure) return false;
    throw error;
  }
}
