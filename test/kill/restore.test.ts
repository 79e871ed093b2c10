/**
 * SIGKILL at random moments of a restore: after the restart the state is the old one or the new one,
 * whole, and the new one if the restore was acknowledged. KILL_ROUNDS sets the number of kills.
 */
import { once } from "node:events";
import { request } from "node:http";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { type Program, startProgram } from "../program.ts";

const ROUNDS = Number(process.env["KILL_ROUNDS"] ?? 10);
const KEYS = 4000;
const KEYS_PER_TRANSACTION = 64;

/** Gives every key the value, and the catalog a service of that name. */
async function write(program: Program, value: string): Promise<void> {
  const base64 = Buffer.from(value).toString("base64");
  for (let from = 0; from < KEYS; from += KEYS_PER_TRANSACTION) {
    const count = Math.min(KEYS_PER_TRANSACTION, KEYS - from);
    const operations = Array.from({ length: count }, (_, i) => ({
      KV: { Verb: "set", Key: `k${from + i}`, Value: base64 },
    }));
    const { status, text } = await program.http("PUT", "/v1/txn", operations);
    if (status !== 200) throw new Error(text);
  }
  const service = { Node: "ext", Address: "10.0.0.1", Service: { ID: "s", Service: value } };
  await program.http("PUT", "/v1/catalog/register", service);
}

async function save({ httpPort }: Program): Promise<Buffer> {
  const reply = await fetch(`http://127.0.0.1:${httpPort}/v1/snapshot`);
  return Buffer.from(await reply.arrayBuffer());
}

/** Status of a restore; undefined when it was cut off. */
function restore({ httpPort: port }: Program, archive: Buffer): Promise<number | undefined> {
  return new Promise((resolve) => {
    const asked = request({ host: "127.0.0.1", port, path: "/v1/snapshot", method: "PUT" });
    asked.on("response", (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    asked.on("error", () => resolve(undefined));
    asked.end(archive);
  });
}

/** Every value there is, the number of keys, and the names of the services of our node. */
async function look(program: Program) {
  const kv = JSON.parse((await program.http("GET", "/v1/kv/k?recurse")).text) as {
    Value: string;
    ModifyIndex: number;
  }[];
  const node = JSON.parse((await program.http("GET", "/v1/catalog/node/ext")).text) as {
    Services: Record<string, { Service: string }>;
  };
  const values = new Set(kv.map(({ Value }) => Buffer.from(Value, "base64").toString()));
  const services = Object.values(node.Services).map(({ Service }) => Service);
  return { count: kv.length, values: [...values], services };
}

t.test(`${ROUNDS} kills while restoring`, { timeout: 120_000 + ROUNDS * 20_000 }, async (t) => {
  let program = await startProgram(t);
  const directory = dirname(program.configFile);
  const { dnsPort, httpPort } = program;
  const archives: Record<string, Buffer> = {};
  for (const name of ["old", "new"]) {
    await write(program, name);
    archives[name] = await save(program);
  }
  // Kills fall into the time that a restore takes here, in a program that has just been started.
  await program.end("SIGTERM");
  program = await startProgram(t, {}, { directory, dnsPort, httpPort });
  const startMs = performance.now();
  t.equal(await restore(program, archives["new"]!), 200);
  const longestMs = 1.2 * (performance.now() - startMs);
  let present = "new";
  const seen = { acknowledged: 0, restored: 0, kept: 0 };
  for (let round = 1; round <= ROUNDS; round++) {
    const wanted = present === "new" ? "old" : "new";
    const ended = once(program.child, "exit");
    const restored = restore(program, archives[wanted]!);
    await sleep(Math.random() * longestMs);
    process.kill(program.pid, "SIGKILL");
    const [status] = await Promise.all([restored, ended]);
    program = await startProgram(t, {}, { directory, dnsPort, httpPort });
    const found = await look(program);
    const name = found.values[0] ?? "nothing";
    t.same(found, { count: KEYS, values: [name], services: [name] }, `round ${round}: whole`);
    if (status === 200) t.equal(name, wanted, `round ${round}: acknowledged`);
    if (status === 200) seen.acknowledged++;
    else if (name === wanted) seen.restored++;
    else seen.kept++;
    present = name;
    const write = await program.http("PUT", "/v1/kv/written-after", "x");
    t.equal(write.status, 200, `round ${round}: takes writes`);
  }
  t.comment(`${JSON.stringify(seen)}, a restore takes ${longestMs.toFixed()} ms`);
  t.ok(seen.kept + seen.restored > 0, "some came in time");
});
