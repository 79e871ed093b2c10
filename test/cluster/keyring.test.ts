import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { applyKey, parseKey, parseKeyring } from "../../src/cluster/keyring.ts";
import { loadKeyrings } from "../../src/cluster/keyring/driver.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

const key = (octet: number, octets = 16) => Buffer.alloc(octets, octet).toString("base64");
const [a, b, c] = [key(1), key(2, 24), key(3, 32)];

t.test("what may be done with one key", async (t) => {
  const cases = [
    { ring: [a], does: "install", key: b, gives: [a, b] },
    { ring: [a, b], does: "install", key: b, gives: [a, b] },
    { ring: [a, b, c], does: "use", key: b, gives: [b, a, c] },
    { ring: [a, b], does: "use", key: a, gives: [a, b] },
    { ring: [a], does: "use", key: b, gives: "Requested key is not in the keyring" },
    { ring: [a, b], does: "remove", key: b, gives: [a] },
    { ring: [a, b], does: "remove", key: c, gives: [a, b] },
    { ring: [a, b], does: "remove", key: a, gives: "Removing the primary key is not allowed" },
    {
      ring: [],
      does: "install",
      key: a,
      gives: "No keyring to modify (encryption not enabled)",
    },
  ] as const;
  for (const { ring, does, key: which, gives } of cases) {
    const done = applyKey(ring, does, which);
    t.same(done.ok ? done.value : done.error, gives, `${does} on ${ring.length} keys`);
  }
});

t.test("keys are base64 of 16, 24 or 32 octets", async (t) => {
  for (const good of [a, b, c]) t.same(parseKey(good), { ok: true, value: good });
  for (const octets of [0, 1, 15, 17, 23, 25, 31, 33, 64])
    t.same(parseKey(key(7, octets)), { ok: false, error: "key size must be 16, 24 or 32 bytes" });
  for (const bad of ["x", "=", `${a.slice(0, -1)}-`, a.slice(0, -2), `${a}\n`])
    t.match(parseKey(bad), { ok: false, error: /^illegal base64 data/ }, JSON.stringify(bad));
});

t.test("a keyring file", async (t) => {
  t.same(parseKeyring(JSON.stringify([a, b, a])), { ok: true, value: [a, b] });
  const cases: [string, RegExp][] = [
    ["", /not JSON/],
    ["{}", /not a list/],
    ["[]", /holds no keys/],
    ["[1]", /key 1: it is not a text/],
    [JSON.stringify([a, "AAAA"]), /key 2: key size/],
  ];
  for (const [text, error] of cases) t.match(parseKeyring(text), { ok: false, error }, text);
});

t.test("files: begun by encrypt, then their own, readable by the owner alone", async (t) => {
  const dataDir = temporaryDirectory(t);
  const warnings: string[] = [];
  const load = (encrypt: string) =>
    loadKeyrings({ dataDir, encrypt, pools: ["lan", "wan"], warn: (text) => warnings.push(text) });
  const rings = async (encrypt: string) => (await load(encrypt)).map(({ ring }) => ring());
  t.same(await rings(""), [[], []], "no encryption, no files");
  const [lan, wan] = await load(a);
  const file = (name: string) => join(dataDir, "serf", name);
  t.same(JSON.parse(readFileSync(file("local.keyring"), "utf8")), [a]);
  t.same(JSON.parse(readFileSync(file("remote.keyring"), "utf8")), [a]);
  t.equal(statSync(file("local.keyring")).mode & 0o777, 0o600);
  // All at once: each begins with what the one before has left.
  const done = await Promise.all([
    lan!.apply("install", b),
    lan!.apply("use", b),
    lan!.apply("remove", a),
    lan!.apply("remove", b),
  ]);
  t.same(
    done.map(({ ok }) => ok),
    [true, true, true, false],
  );
  t.same(wan!.ring(), [a], "the pools have rings of their own");
  t.same(await rings(a), [[b], [a]], "the next life reads the files");
  t.match(warnings, ["LAN keyring doesn't include key provided with -encrypt, using keyring"]);
  t.same(await rings(""), [[b], [a]], "also without encrypt");
  writeFileSync(file("remote.keyring"), "[]");
  await t.rejects(rings(""), /remote\.keyring is no keyring: it holds no keys; restore it/);
});

t.test("a ring that cannot be written stays as it was", async (t) => {
  const dataDir = temporaryDirectory(t);
  const [lan] = await loadKeyrings({ dataDir, encrypt: a, pools: ["lan"], warn() {} });
  const folder = join(dataDir, "serf");
  chmodSync(folder, 0o500);
  t.teardown(() => chmodSync(folder, 0o700));
  if (process.getuid?.() === 0) return void t.pass("root may write everywhere");
  t.match(await lan!.apply("install", b), { ok: false, error: /local\.keyring/ });
  t.same(lan!.ring(), [a]);
});

t.test("without a data directory it is kept in memory", async (t) => {
  const [lan] = await loadKeyrings({ dataDir: undefined, encrypt: a, pools: ["lan"], warn() {} });
  t.same((await lan!.apply("install", b)).ok, true);
  t.same(lan!.ring(), [a, b]);
});
