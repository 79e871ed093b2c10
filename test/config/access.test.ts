/** `dns_access`: what is read, and what is said about mistakes. */
import { join } from "node:path";
import t, { type Test } from "tap";
import { covers, parseAddress } from "../../src/address.ts";
import type { LoadedAccess } from "../../src/config/forwarder/access.ts";
import { load, writeFiles } from "./world.ts";

async function access(
  t: Test,
  given: object,
  forwarder: object = {},
): Promise<LoadedAccess | string[]> {
  const tree = { data_dir: "/tmp/x", dns_access: given, forwarder };
  const file = join(writeFiles(t, { "a.json": tree }), "a.json");
  const loaded = await load([file]);
  return loaded.ok
    ? loaded.value.access
    : loaded.error.map((line) => line.replace(`${file}: `, ""));
}

t.test("defaults: connected networks, 100/s for others than private ones, cookies", async (t) => {
  const found = (await access(t, {})) as LoadedAccess;
  t.match(found, {
    allow: [],
    deny: [],
    localService: true,
    othersAnswered: false,
    ratePerSecond: 100,
    slip: 2,
    payloadOctets: 1232,
    cookies: true,
    secrets: [],
  });
  const isExempt = (text: string) => found.exempt.some((each) => covers(each, parseAddress(text)!));
  for (const address of [
    "10.1.2.3",
    "172.31.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "fd00::1",
    "fe80::1",
  ])
    t.ok(isExempt(address), address);
  for (const address of ["172.32.0.1", "198.51.100.1", "2001:db8::1"])
    t.notOk(isExempt(address), address);
});

t.test("who is answered", async (t) => {
  const rows: [given: object, localService: boolean, othersAnswered: boolean][] = [
    [{ local_service: "auto", allow: ["192.0.2.0/24"] }, false, false],
    [{ local_service: "AUTO" }, true, false],
    [{ local_service: true, allow: ["192.0.2.0/24"] }, true, false],
    [{ local_service: "true" }, true, false],
    [{ local_service: false }, false, true],
    [{ local_service: "false", deny: ["192.0.2.0/24"] }, false, true],
    [{ local_service: false, allow: ["192.0.2.0/24"] }, false, false],
  ];
  for (const [given, localService, othersAnswered] of rows)
    t.match(await access(t, given), { localService, othersAnswered }, JSON.stringify(given));
  const { allow } = (await access(t, {
    allow: ["192.0.2.7", "::ffff:10.0.0.0/104", "2001:db8::1"],
  })) as LoadedAccess;
  t.same(
    allow.map(({ octets, prefixLength }) => [octets.length, prefixLength]),
    [
      [4, 32],
      [4, 8],
      [16, 128],
    ],
    "an address is a network of one",
  );
});

t.test("secrets of cookies: one, or two while they change", async (t) => {
  const one = "e5e973e5a6b2a43f48e7dc849e37bfcf";
  const hex = async (cookie_secret: string) =>
    ((await access(t, { cookie_secret })) as LoadedAccess).secrets.map((each) =>
      Buffer.from(each).toString("hex"),
    );
  t.same(await hex(one), [one]);
  t.same(await hex(`${one}, ${one.toUpperCase()}`), [one, one]);
  for (const wrong of ["abc", `${one},`, `${one},${one},${one}`, `${one}00`, "g".repeat(32)]) {
    const said = (await access(t, { cookie_secret: wrong })) as string[];
    t.same(said, [
      "dns_access.cookie_secret: expected 32 hexadecimal digits, or two such secrets separated by a comma",
    ]);
  }
});

t.test("mistakes", async (t) => {
  const rows: [given: object, said: string][] = [
    [
      { allow: ["192.0.2.0/33"] },
      'dns_access.allow: "192.0.2.0/33" is not a network such as 10.0.0.0/8',
    ],
    [{ deny: ["lan"] }, 'dns_access.deny: "lan" is not a network such as 10.0.0.0/8'],
    [
      { deny: ["127.0.0.0/8"] },
      'dns_access.deny: "127.0.0.0/8" is this machine, which is always answered',
    ],
    [
      { rate_exempt: ["1.2.3/8"] },
      'dns_access.rate_exempt: "1.2.3/8" is not a network such as 10.0.0.0/8',
    ],
    [
      { local_service: "maybe" },
      'dns_access.local_service: expected "auto", true or false, got "maybe"',
    ],
    [{ local_service: 1 }, 'dns_access.local_service: expected "auto", true or false, got 1'],
    [{ rate_limit: -1 }, "dns_access.rate_limit: must be from 0 to 1000000, got -1"],
    [{ edns_payload: 511 }, "dns_access.edns_payload: must be from 512 to 4096, got 511"],
  ];
  for (const [given, said] of rows) t.same(await access(t, given), [said], said);
  const many = (count: number) =>
    Array.from({ length: count }, (_, i) => `10.${i >> 8}.${i & 255}.1`);
  const given = { allow: many(4000), rate_exempt: [] };
  t.match(await access(t, given), { othersAnswered: false });
  const views = { views: [{ name: "a", clients: many(97) }] };
  t.same(await access(t, given, views), [
    "dns_access: at most 4096 networks in its lists and the clients of forwarder.views, got 4097",
  ]);
});
