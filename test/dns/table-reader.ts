/** Reader thread of table.test.ts: asks for random names and judges every answer it gets. */
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import type { PublishedAnswer } from "../../src/dns/answer.ts";
import { MISS } from "../../src/dns/respond.ts";
import { answerWith, ask, createBenchResponder, query, seeded } from "./prepared.ts";

/** More names than the table has room for. */
export const NAMES = 4000;

export type Start = { memory: SharedArrayBuffer; floors: SharedArrayBuffer };
export type Verdict = { hits: number; misses: number; problems: string[] };

const nameOf = (name: number): string => `name-${name}.service.consul`;

/** Every octet of the records tells name and generation, so that a mixture shows. */
export function churnAnswer(name: number, generation: number, size: number): PublishedAnswer {
  const address = [10, name & 255, generation & 255, (generation >> 8) & 255].join(".");
  const answer = answerWith(
    nameOf(name),
    Array.from({ length: 1 + size }, () => address),
    generation,
  );
  return { ...answer, minPayload: 0 };
}

/** What is wrong with the reply, undefined if nothing. */
function problemOf(reply: Uint8Array, name: number, floor: number, asked: Uint8Array): string {
  const view = new DataView(reply.buffer);
  const start = asked.length - 11;
  const count = view.getUint16(6);
  if (reply.length !== start + 16 * count + 11) return "length";
  if (!asked.subarray(12, start).every((octet, i) => reply[12 + i] === octet)) return "question";
  const generation = view.getUint32(start + 6);
  if (generation < floor)
    return `generation ${generation} after withdrawal of those below ${floor}`;
  for (let i = 0; i < count; i++) {
    const at = start + 16 * i;
    if (view.getUint32(at) !== 0xc00c0001 || view.getUint32(at + 6) !== generation) return "torn";
    const address = [10, name & 255, generation & 255, (generation >> 8) & 255];
    if (address.some((octet, k) => reply[at + 12 + k] !== octet)) return "torn address";
  }
  return "";
}

function read({ memory, floors, seed }: Start & { seed: number }): Verdict {
  const cells = new Int32Array(floors);
  const responder = createBenchResponder(memory, seed);
  const random = seeded(seed);
  const queries = Array.from({ length: NAMES }, (_, name) =>
    query(nameOf(name), "A", { edns: 65000 }),
  );
  const verdict: Verdict = { hits: 0, misses: 0, problems: [] };
  while (Atomics.load(cells, NAMES) === 0) {
    const name = random() % NAMES;
    const floor = Atomics.load(cells, name);
    const reply = ask(responder, queries[name]!);
    if (typeof reply === "number") {
      if (reply === MISS) verdict.misses++;
      continue;
    }
    verdict.hits++;
    const problem = problemOf(reply, name, floor, queries[name]!);
    if (problem !== "" && verdict.problems.length < 5) verdict.problems.push(problem);
  }
  return verdict;
}

if (!isMainThread && parentPort !== null) {
  parentPort.postMessage("ready");
  parentPort.postMessage(read(workerData as Start & { seed: number }));
}
