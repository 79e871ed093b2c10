import t from "tap";
import type { Command } from "../../src/cluster/command.ts";
import { createState, type State } from "../../src/cluster/state.ts";
import {
  check,
  createPick,
  deregister,
  node,
  query,
  register,
  service,
  session,
} from "./state-fixtures.ts";

const RULES = 'service_prefix "" { policy = "read" }';
const POLICY = "99999999-0000-0000-0000-000000000001";

/** A log in which everything occurs, the same for the same seed. */
function logOf(seed: number, length: number): Command[] {
  const pick = createPick(seed);
  const id = (n: number) => `${String(n).padStart(8, "0")}-0000-0000-0000-000000000000`;
  return Array.from({ length }, (_, i): Command => {
    const name = `Node-${pick(40)}`;
    const serviceId = `s${pick(3)}`;
    switch (pick(12)) {
      case 0:
        return deregister(name, pick(2) === 0 ? serviceId : "");
      case 1:
        return session(id(i), name, { nodeChecks: pick(2) === 0 ? ["disk"] : [], ttl: "30s" });
      case 2:
        return query(id(i), `q${pick(9)}`, {
          session: pick(3) === 0 ? id(i - 1) : "",
          template: { type: pick(2) === 0 ? "name_prefix_match" : "" },
        });
      case 3: {
        const policy = { id: POLICY, name: "web", description: `${i}`, rules: RULES };
        return { type: "acl-policy-set", policy: { ...policy, datacenters: null } };
      }
      case 4: {
        const token = { accessorId: id(i), secretId: id(i + 1), description: "", local: false };
        const policies = [{ id: "", name: "web" }];
        return { type: "acl-token-set", token: { ...token, policies, createTimeMs: i } };
      }
      case 5:
        return { type: "epoch", epoch: pick(100) };
      default:
        return register(
          node(name, {
            meta: { rack: `r${pick(3)}`, "\u00fc": "\ud83d\ude00" },
            address: `10.0.0.${pick(9)}`,
          }),
          service(`svc${pick(5)}`, {
            id: serviceId,
            tags: ["a"].slice(pick(2)),
            proxy: { x: [1] },
          }),
          [
            check("disk", { status: pick(3) === 0 ? "critical" : "passing" }),
            check(`c${serviceId}`, { serviceId }),
          ],
        );
    }
  });
}

function replay(log: readonly Command[], state = createState(), from = 0): State {
  for (const [i, command] of log.entries()) state.apply(from + i + 1, command, i);
  return state;
}

function octetsOf(chunks: Iterable<Uint8Array>): Uint8Array {
  return Uint8Array.from(Buffer.concat([...chunks]));
}

t.test("the same log gives the same octets", async (t) => {
  for (const seed of [1, 2, 3]) {
    const log = logOf(seed, 600);
    const first = octetsOf(replay(log).snapshot().chunks);
    const second = octetsOf(replay(structuredClone(log)).snapshot().chunks);
    t.ok(first.length > 10_000 && Buffer.compare(first, second) === 0, `seed ${seed}`);
  }
});

t.test("an installed image is the state: readers, further log, octets", async (t) => {
  const log = logOf(4, 600);
  const original = replay(log);
  const copy = createState();
  const { reader } = copy;
  t.same(await copy.install(original.snapshot().chunks), { ok: true, value: { index: 600 } });
  t.equal(copy.digest(), original.digest());
  t.equal(reader.index, 600, "a reader taken before sees the new state");
  t.equal(copy.epoch, original.epoch);
  t.same([...reader.nodes()], [...original.reader.nodes()]);
  t.same([...reader.queries()].length, [...original.reader.queries()].length);
  t.same(copy.acl.tokens(), original.acl.tokens());
  t.same(copy.counts(), original.counts());
  for (const topic of ["service:svc1", "service:none", "node:node-3", "acl", "queries", "sessions"])
    t.equal(reader.indexOf(topic), original.reader.indexOf(topic), topic);
  const more = logOf(5, 300);
  for (const [i, command] of more.entries())
    t.same(copy.apply(601 + i, command, i), original.apply(601 + i, command, i));
  t.equal(copy.digest(), original.digest(), "after 300 more commands");
});

t.test("a snapshot is of the moment of its call, whatever is written meanwhile", async (t) => {
  const log = logOf(6, 500);
  const state = replay(log);
  const expected = octetsOf(replay(log).snapshot().chunks);
  const { index, chunks } = state.snapshot();
  const drawn: Uint8Array[] = [];
  const more = logOf(7, 400);
  let at = 0;
  for (const chunk of chunks) {
    drawn.push(chunk);
    for (let i = 0; i < 20 && at < more.length; i++, at++) state.apply(501 + at, more[at]!, at);
  }
  t.equal(index, 500);
  t.ok(at > 0, `${at} commands were applied while it was drawn`);
  t.equal(Buffer.compare(octetsOf(drawn), expected), 0);
});

t.test("two snapshots at once, with writes between them", async (t) => {
  const state = replay(logOf(8, 300));
  const first = { digest: state.digest(), snapshot: state.snapshot() };
  for (const [i, command] of logOf(9, 50).entries()) state.apply(301 + i, command, i);
  const second = { digest: state.digest(), snapshot: state.snapshot() };
  for (const [i, command] of logOf(10, 50).entries()) state.apply(351 + i, command, i);
  for (const { digest, snapshot } of [second, first]) {
    const copy = createState();
    t.equal((await copy.install(snapshot.chunks)).ok, true);
    t.equal(copy.digest(), digest);
  }
  t.not(first.digest, second.digest);
});

t.test("chunks may be cut anywhere, and may come late", async (t) => {
  const state = replay(logOf(11, 60));
  const octets = octetsOf(state.snapshot().chunks);
  async function* cut(size: number) {
    for (let at = 0; at < octets.length; at += size) {
      await Promise.resolve();
      yield octets.subarray(at, at + size);
    }
  }
  for (const size of [1, 7, 4096]) {
    const copy = createState();
    t.equal((await copy.install(cut(size))).ok, true);
    t.equal(copy.digest(), state.digest(), `pieces of ${size}`);
  }
});

t.test("a restore as a log entry gives its own index", async (t) => {
  const copy = createState();
  const image = replay(logOf(12, 50)).snapshot().chunks;
  t.same(await copy.install(image, 900), { ok: true, value: { index: 900 } });
  t.equal(copy.reader.index, 900);
});

t.test("damage is refused and leaves the state alone", async (t) => {
  const octets = octetsOf(replay(logOf(13, 25)).snapshot().chunks);
  const state = replay(logOf(14, 25));
  const before = state.digest();
  for (let length = 0; length < octets.length; length += 3) {
    const { ok } = await state.install([octets.subarray(0, length)]);
    if (ok) t.fail(`a prefix of ${length} octets was taken`);
  }
  const pick = createPick(15);
  for (let run = 0; run < 1500; run++) {
    const damaged = octets.slice();
    const at = run < octets.length ? run : pick(octets.length);
    damaged[at]! ^= 1 << pick(8);
    const { ok } = await state.install([damaged]);
    if (ok) t.fail(`a flipped bit at ${at} was taken`);
  }
  t.equal((await state.install([octets, octets])).ok, false, "twice");
  t.same(await state.install([]), { ok: false, error: "damaged snapshot: it ends too early" });
  t.equal(state.digest(), before);
});

t.test("rows with a right checksum but a wrong sense are refused", async (t) => {
  const { writeFrames } = await import("../../src/cluster/snapshot-frames.ts");
  const rows: unknown[][] = [];
  for (const chunk of [...replay(logOf(16, 40)).snapshot().chunks].slice(1))
    rows.push(...JSON.parse(Buffer.from(chunk.subarray(8)).toString()));
  const install = async (changed: unknown[][]) => {
    const end = changed.map((row) => (row[0] === "end" ? ["end", changed.length - 1] : row));
    return (await createState().install(writeFrames(end))).ok;
  };
  t.equal(await install(rows), true, "unchanged");
  const at = (kind: string) => rows.findIndex((row) => row[0] === kind);
  const cases: [string, unknown[][]][] = [
    ["node twice", rows.toSpliced(at("n"), 0, rows[at("n")]!)],
    ["check without its service", rows.toSpliced(at("s"), 1)],
    ["service index missing", rows.toSpliced(at("service"), 1)],
    ["instance before any node", rows.toSpliced(1, 0, rows[at("s")]!)],
    ["no head", rows.slice(1)],
    ["two heads", rows.toSpliced(1, 0, rows[0]!)],
    ["a time that leaves none", rows.with(0, rows[0]!.with(5, Number.MAX_SAFE_INTEGER))],
    ["no end", rows.slice(0, -1)],
    ["unknown row", rows.toSpliced(1, 0, ["kv", "a"])],
    ["member of a wrong type", rows.with(at("n"), rows[at("n")]!.with(6, 7))],
    ["member missing", rows.with(at("c"), rows[at("c")]!.slice(0, 10))],
    ["session twice", rows.toSpliced(at("session"), 0, rows[at("session")]!)],
  ];
  for (const [what, changed] of cases) t.equal(await install(changed), false, what);
});
