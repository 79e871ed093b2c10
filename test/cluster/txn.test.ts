import t from "tap";
import { decode, encode, isReadable, type Command } from "../../src/cluster/command.ts";
import { createState } from "../../src/cluster/state.ts";
import type { TxnOperation } from "../../src/cluster/txn.ts";
import { check, deregister, node, service } from "./state-fixtures.ts";

const kv = (verb: string, key: string): TxnOperation => ({
  type: "kv",
  verb,
  key,
  value: "MQ==",
  flags: "18446744073709551615",
  index: 0,
  session: "",
});
const txn = (...operations: TxnOperation[]): Command => ({ type: "txn", operations });

t.test("a log entry holds every kind of operation", async (t) => {
  const command = txn(
    kv("set", "a"),
    { type: "node", verb: "cas", node: node("n1", { meta: { a: "b" } }), index: 3 },
    { type: "service", verb: "no-such-verb", node: "n1", service: service("web"), index: 0 },
    { type: "check", verb: "set", node: "n1", check: check("c"), index: 0 },
  );
  t.ok(isReadable(command));
  t.same(decode(encode(command, 7)), { ok: true, value: { command, timeMs: 7 } });
  const { operations } = command as Extract<Command, { type: "txn" }>;
  for (const operation of operations)
    for (const member of Object.keys(operation)) {
      const wrong = { type: "txn", operations: [{ ...operation, [member]: [] }] };
      t.notOk(isReadable(wrong as unknown as Command), `${operation.type}: ${member}`);
    }
  t.notOk(isReadable({ type: "txn", operations: null } as unknown as Command));
  t.notOk(isReadable(txn({ ...kv("set", "a"), type: "toString" } as unknown as TxnOperation)));
});

t.test("results that are too large are an error, and nothing was done", async (t) => {
  const state = createState();
  const value = "A".repeat(1024 * 1024);
  for (let index = 1; index <= 30; index++) {
    const operation = { verb: "set", key: `k${index}`, value, flags: "0" } as const;
    state.apply(index, { type: "kv", operation }, 1000);
  }
  const read = state.apply(31, txn(kv("get-tree", "k"), kv("set", "a")), 1000).result;
  t.match(read, { value: { results: { length: 31 } } });
  const { result } = state.apply(
    32,
    txn(kv("set", "b"), kv("get-tree", "k"), kv("get-tree", "k")),
    1000,
  );
  const what = "results are larger than 33554432 octets";
  t.same(result, { ok: true, value: { errors: [{ opIndex: 2, what }] } });
  t.notOk(state.reader.kv.get("b"));
});

t.test("a failure that dropped tombstones for want of room brings them back", async (t) => {
  const [state, twin] = [createState(), createState()];
  const count = 65_536;
  let index = 0;
  for (const verb of ["set", "delete"])
    for (let i = 0; i < count; i++) {
      index++;
      for (const each of [state, twin]) {
        const key = `k${i}`;
        const operation =
          verb === "set"
            ? ({ verb: "set", key, value: "", flags: "0" } as const)
            : ({ verb: "delete", key } as const);
        each.apply(index, { type: "kv", operation }, 1000);
      }
    }
  for (const each of [state, twin])
    each.apply(index + 1, txn(kv("set", "one"), kv("set", "two")), 1000);
  const failing = txn(kv("delete", "one"), kv("delete", "two"), kv("get", "nothing"));
  const { result } = state.apply(index + 2, failing, 1000);
  t.match(result, { value: { errors: [{ opIndex: 2 }] } });
  twin.apply(index + 2, deregister("nobody"), 1000);
  t.equal(state.digest(), twin.digest());
  t.equal(state.reader.indexOf("kv*k1"), twin.reader.indexOf("kv*k1"));
  for (const each of [state, twin]) each.apply(index + 3, txn(kv("delete", "one")), 1000);
  t.equal(state.digest(), twin.digest(), "and they go when the next one succeeds");
});
