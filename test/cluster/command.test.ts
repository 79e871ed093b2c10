import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import t from "tap";
import { decode, encode, isReadable, type Command } from "../../src/cluster/command.ts";
import type { KvOperation } from "../../src/cluster/kv-apply.ts";
import { createState } from "../../src/cluster/state.ts";
import { check, deregister, node, query, register, service, session } from "./state-fixtures.ts";

const text = fc.oneof(fc.string({ unit: "binary", maxLength: 12 }), fc.constant("__proto__"));
const texts = fc.array(text, { maxLength: 4 });
const map = fc.option(fc.dictionary(text, text, { maxKeys: 4 }));

const serviceFields = fc.record({
  id: text,
  service: text,
  kind: text,
  tags: texts,
  address: text,
  taggedAddresses: fc.option(
    fc.dictionary(text, fc.record({ address: text, port: fc.integer() }), { maxKeys: 3 }),
  ),
  meta: map,
  port: fc.integer(),
  socketPath: text,
  weights: fc.record({ passing: fc.integer(), warning: fc.integer() }),
  enableTagOverride: fc.boolean(),
  proxy: fc.constantFrom<unknown>(null, {}, { Mode: "x" }),
  connect: fc.constantFrom<unknown>(null, { Native: true }),
});
const checkFields = text.chain((id) =>
  fc.record({ status: text, output: text, serviceId: text }).map((over) => check(id, over)),
);
const nodeFields = fc.record({
  node: text,
  id: text,
  address: text,
  taggedAddresses: map,
  meta: map,
});
const commands: fc.Arbitrary<Command> = fc.oneof(
  fc
    .tuple(nodeFields, fc.option(serviceFields), fc.array(checkFields, { maxLength: 3 }))
    .map(([own, offered, checks]) => register(own, offered, checks)),
  fc.tuple(text, text, text).map(([name, id, checkId]) => deregister(name, id, checkId)),
  fc
    .tuple(text, text, texts, map)
    .map(([id, name, tags, nodeMeta]) => query(id, name, { service: { tags, nodeMeta } })),
  fc.tuple(text, text, texts).map(([id, name, checks]) => session(id, name, { checks })),
  text.map((id) => ({ type: "query-delete", id }) as const),
  text.map((id) => ({ type: "session-destroy", id }) as const),
  fc.tuple(text, text, fc.option(texts)).map(([id, rules, datacenters]) => {
    const policy = { id, name: id, description: "", rules, datacenters };
    return { type: "acl-policy-set", policy } as const;
  }),
  text.map((id) => ({ type: "acl-policy-delete", id }) as const),
  fc.tuple(text, text, fc.nat(), fc.boolean()).map(([id, name, createTimeMs, boot]) => {
    const policies = [{ id, name }];
    const token = { accessorId: id, secretId: name, description: "", policies };
    const full = { ...token, local: false, createTimeMs };
    return boot
      ? ({ type: "acl-bootstrap", token: full, resetIndex: createTimeMs } as const)
      : ({ type: "acl-token-set", token: full } as const);
  }),
  text.map((accessorId) => ({ type: "acl-token-delete", accessorId }) as const),
  fc.nat().map((epoch) => ({ type: "epoch", epoch }) as const),
  fc
    .tuple(text, text, fc.base64String(), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.nat())
    .chain(([key, session, value, number, index]) => {
      const fields = { key, value, flags: number.toString() };
      return fc.constantFrom<KvOperation>(
        { verb: "set", ...fields },
        { verb: "cas", index, ...fields },
        { verb: "lock", session, ...fields },
        { verb: "unlock", session, ...fields },
        { verb: "delete", key },
        { verb: "delete-cas", key, index },
        { verb: "delete-tree", key },
      );
    })
    .map((operation) => ({ type: "kv", operation }) as const),
  fc.constant({ type: "kv-reap" } as const),
);

t.test("decode(encode(command)) is the command", async (t) => {
  fc.assert(
    fc.property(commands, fc.maxSafeNat(), (command, timeMs) => {
      const expected = { ok: true, value: { command, timeMs } };
      return isDeepStrictEqual(plain(decode(encode(command, timeMs))), plain(expected));
    }),
    { numRuns: 400 },
  );
  t.pass("400 runs");
});

/** Objects made by fast-check have no prototype; JSON's have one. */
function plain(value: unknown): unknown {
  return structuredClone(value);
}

/** `depth` lists around nothing. */
function nested(depth: number): unknown {
  let value: unknown = null;
  for (let i = 0; i < depth; i++) value = [value];
  return value;
}

t.test("isReadable tells before the log whether decode will tell after it", async (t) => {
  const odd: fc.Arbitrary<unknown> = fc.constantFrom<unknown>(
    1e20,
    2 ** 53,
    -(2 ** 53),
    NaN,
    Infinity,
    1.5,
    undefined,
    null,
    {},
    [],
    "",
    nested(64),
    nested(65),
    nested(5000),
  );
  let refused = 0;
  fc.assert(
    fc.property(commands, odd, fc.nat(), (command, value, at) => {
      const copy = plain(command) as Command; // the same members
      const holders: Record<string, unknown>[] = [];
      const collect = (holder: unknown): void => {
        if (typeof holder !== "object" || holder === null) return;
        holders.push(holder as Record<string, unknown>);
        Object.values(holder).forEach(collect);
      };
      collect(copy);
      const holder = holders[at % holders.length]!;
      const names = Object.keys(holder).filter((name) => name !== "type");
      if (names.length === 0) return true;
      holder[names[at % names.length]!] = value;
      if (isReadable(copy)) return decode(encode(copy, 1)).ok;
      refused++;
      return true;
    }),
    { numRuns: 2000 },
  );
  t.ok(refused > 500, `${refused} of 2000 refused`);
  fc.assert(fc.property(commands, isReadable), { numRuns: 400 });
});

const sample = encode(
  register(node("n1", { meta: { a: "b" } }), service("web", { tags: ["x"] }), [check("c")]),
  1,
);

/** Whatever decodes can be applied. */
function harmless(octets: Uint8Array): string {
  const decoded = decode(octets);
  if (!decoded.ok) return decoded.error;
  const state = createState();
  state.apply(1, decoded.value.command, decoded.value.timeMs);
  state.apply(2, decoded.value.command, decoded.value.timeMs);
  return "";
}

t.test("damaged octets give an error or another command, never a throw", async (t) => {
  for (let length = 0; length < sample.length; length++)
    t.not(harmless(sample.subarray(0, length)), "", `prefix of ${length}`);
  for (let at = 0; at < sample.length; at++)
    for (const flip of [1, 2, 4, 8, 16, 32, 64, 128, 255]) {
      const damaged = sample.slice();
      damaged[at]! ^= flip;
      harmless(damaged);
    }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (octets) => harmless(octets) !== "\0"),
    { numRuns: 2000 },
  );
});

t.test("bodies of the right kind with wrong members are refused", async (t) => {
  const body = JSON.parse(new TextDecoder().decode(sample.subarray(3))); // after the time
  const wrong = [null, 1, true, [], {}, "x", [1], { a: 1 }];
  const refused = (changed: unknown) => {
    const octets = new TextEncoder().encode(`\x01\x01${JSON.stringify(changed)}`);
    return !decode(octets).ok;
  };
  t.notOk(refused(body), "the body itself is fine");
  let count = 0;
  for (const part of ["node", "service"] as const)
    for (const member of Object.keys(body[part])) {
      const { [member]: _, ...rest } = body[part];
      const optional = ["proxy", "connect"].includes(member);
      t.ok(refused({ ...body, [part]: rest }), `${part} without ${member}`);
      for (const value of wrong) {
        const accepted = !refused({ ...body, [part]: { ...body[part], [member]: value } });
        const fits =
          optional ||
          (value === null && ["meta", "taggedAddresses"].includes(member)) ||
          (value !== null && kindOf(value) === kindOf(body[part][member])) ||
          (kindOf(value) === "{}" && ["meta", "taggedAddresses"].includes(member));
        if (accepted && !fits) t.fail(`${part}.${member} = ${JSON.stringify(value)}`);
        count++;
      }
    }
  t.ok(count > 100, `${count} changes`);
  let deep: unknown = null;
  for (let i = 0; i < 100; i++) deep = { deep };
  t.ok(refused({ ...body, service: { ...body.service, proxy: deep } }), "nested too deeply");
});

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "[]";
  return value !== null && typeof value === "object" ? "{}" : typeof value;
}

t.test("versions and kinds that are not ours are named", async (t) => {
  t.same(decode(new Uint8Array([3, 1, 123, 125])), {
    ok: false,
    error: "command of unknown version 3",
  });
  t.same(decode(new Uint8Array([1, 99, 123, 125])), {
    ok: false,
    error: "command of unknown kind 99",
  });
  const entry = (version: number, text: string) =>
    new Uint8Array([version, 6, ...new TextEncoder().encode(text)]);
  const destroy = '{"type":"session-destroy","id":"s"}';
  const command = { type: "session-destroy", id: "s" };
  t.same(decode(entry(1, destroy)), { ok: true, value: { command, timeMs: 0 } }, "before log time");
  t.same(decode(entry(2, `17${destroy}`)), { ok: true, value: { command, timeMs: 17 } });
  for (const time of ["-1", "0.5", "x", "9007199254740993"])
    t.same(
      decode(entry(2, `${time}${destroy}`)),
      { ok: false, error: "session-destroy command has a wrong time" },
      time,
    );
  t.same(decode(new Uint8Array([1])), { ok: false, error: "command too short" });
  t.same(decode(new Uint8Array([1, 1, 255])), { ok: false, error: "register command is not JSON" });
});
