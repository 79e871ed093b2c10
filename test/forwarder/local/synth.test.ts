// Names made of addresses, against a plain list of all names of small ranges.
import t from "tap";
import { formatAddress, parseAddress } from "../../../src/address.ts";
import { formatName } from "../../../src/dns/name.ts";
import { TYPE, type Rr } from "../../../src/dns/rr.ts";
import { createSynthSet } from "../../../src/forwarder/local/synth.ts";
import { load, writeFiles } from "../../config/world.ts";
import { wireName } from "../world.ts";
import { createScene, expectAll } from "./scene.ts";

const domain = (range: [string, string], prefix: string, counted = false) => ({
  name: wireName("synth.test"),
  first: parseAddress(range[0])!,
  last: parseAddress(range[1])!,
  prefix,
  counted,
});

t.test("each address has one name, and each name its address", async (t) => {
  const domains = [
    domain(["192.0.2.250", "192.0.3.5"], "ip-"),
    domain(["198.51.100.1", "198.51.100.12"], "n", true),
    domain(["2001:db8::fffe", "2001:db8::1:3"], "six-"),
    domain(["::", "::2"], ""),
  ];
  const set = createSynthSet(domains, 60);
  const find = (name: string, type: number): Rr[] => {
    const found: Rr[] = [];
    set.find(wireName(name), type, found);
    return found;
  };
  const names: [address: string, name: string][] = [
    ["192.0.2.250", "ip-192-0-2-250"],
    ["192.0.3.5", "ip-192-0-3-5"],
    ["198.51.100.1", "n0"],
    ["198.51.100.12", "n11"],
    ["2001:db8::ffff", "six-2001-db8--ffff"],
    ["2001:db8::1:3", "six-2001-db8--1-3"],
    ["::1", "0--1"],
  ];
  for (const [address, label] of names) {
    const octets = parseAddress(address)!;
    const type = octets.length === 4 ? TYPE.A : TYPE.AAAA;
    const name = `${label}.synth.test`;
    for (const spelled of [name, name.toUpperCase()]) {
      const [record] = find(spelled, type);
      t.equal(record && formatAddress(record.data), address, spelled);
      t.equal(record?.ttl, 60);
    }
    t.same(find(name, type === TYPE.A ? TYPE.AAAA : TYPE.A), [], "of the other family");
    t.ok(set.hasName(wireName(name)));
    const hex = [...octets].flatMap((octet) => [octet >> 4, octet & 15]);
    const reverse =
      type === TYPE.A
        ? `${[...octets].toReversed().join(".")}.in-addr.arpa`
        : `${hex
            .toReversed()
            .map((half) => half.toString(16))
            .join(".")}.ip6.arpa`;
    t.equal(formatName(find(reverse, TYPE.PTR)[0]!.data), `${name}.`, reverse);
  }
  const nothing = [
    "ip-192-0-2-249",
    "ip-192-0-3-6",
    "ip-192-0-2-0250",
    "n12",
    "n99999999999999999999999999999999999999",
    "six-2001-db8--fffd",
    "x-192-0-2-251",
    "ip-",
    "a.n1",
  ];
  for (const label of nothing) {
    t.same(find(`${label}.synth.test`, TYPE.ANY), [], label);
    t.notOk(set.hasName(wireName(`${label}.synth.test`)));
  }
  t.same(find("synth.test", TYPE.ANY), []);
  t.same(find("249.2.0.192.in-addr.arpa", TYPE.PTR), []);
});

t.test("what is said of a name by hand goes first; ranges may be of any size", async (t) => {
  const scene = await createScene(t, {
    synth_domains: [
      { domain: "big.test", range: "10.0.0.0/8", prefix: "h-" },
      { domain: "big.test", range: "2001:db8::/32" },
    ],
    records: [
      { name: "h-10-1-1-1.big.test", type: "A", data: "192.0.2.1" },
      { name: "2.1.1.10.in-addr.arpa", type: "PTR", data: "own.test" },
    ],
  });
  expectAll(t, scene, [
    ["h-10-1-1-1.big.test A", "A 192.0.2.1"],
    ["h-10-1-1-2.big.test A", "A 10.1.1.2"],
    ["h-10-1-1-2.big.test ANY", "A 10.1.1.2"],
    ["h-11-1-1-2.big.test A", "@1"],
    ["1.1.1.10.in-addr.arpa PTR", "PTR h-10-1-1-1.big.test."],
    ["2.1.1.10.in-addr.arpa PTR", "PTR own.test."],
    ["2001-db8--77.big.test AAAA", "AAAA 2001:db8::77"],
  ]);
  t.equal(scene.pipeline.stats().answers.records, 6);
});

t.test("mistakes are told with their member", async (t) => {
  const synth_domains = [
    { domain: 1, range: "10.0.0.0/8" },
    { domain: "a.test", range: "10.0.0.0/33" },
    { domain: "a.test", range: "10.0.0.0/8", prefix: "a b" },
    { domain: "a.test", range: "10.0.0.0/8", counted: "x" },
    { domain: "a.test", range: "10.0.0.1-::1" },
  ];
  const file = { data_dir: "unused", forwarder: { synth_domains } };
  const read = await load([`${writeFiles(t, { "a.json": file })}/a.json`]);
  const said = read.ok ? [] : read.error;
  for (const [i, member] of ["domain", "range", "prefix", "counted", "range"].entries())
    t.ok(
      said.some((each) => each.includes(`forwarder.synth_domains[${i}].${member}: expected`)),
      `${i} ${said[i]}`,
    );
});
