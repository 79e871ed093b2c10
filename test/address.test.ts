import assert from "node:assert/strict";
import net from "node:net";
import t from "tap";
import fc from "fast-check";
import {
  canonicalAddress,
  formatAddress,
  hexAddress,
  ipVersion,
  isUnspecified,
  parseAddress,
  unmapped,
} from "../src/address.ts";

t.test("literals and their canonical text", async (t) => {
  const rows: [text: string, canonical: string][] = [
    ["10.1.0.1", "10.1.0.1"],
    ["0.0.0.0", "0.0.0.0"],
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["2001:DB8::0:1", "2001:db8::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"], // RFC 5952 4.2.3: the first of equal runs
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"], // 4.2.2: one group is not shortened
    ["::ffff:10.1.2.3", "::ffff:10.1.2.3"],
    ["64:ff9b::1.2.3.4", "64:ff9b::102:304"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
  ];
  for (const [text, canonical] of rows)
    t.equal(formatAddress(parseAddress(text)!), canonical, text);
  t.equal(hexAddress(parseAddress("10.9.0.2")!), "0a090002");
  t.equal(hexAddress(parseAddress("fd00::1")!), "fd000000000000000000000000000001");
  t.same(unmapped(parseAddress("::ffff:1.2.3.4")!), parseAddress("1.2.3.4"));
  t.equal(unmapped(parseAddress("::1.2.3.4")!).length, 16);
});

t.test("agrees with node:net on what is an address", async (t) => {
  const pieces = fc.constantFrom(
    "",
    "0",
    "1",
    "01",
    "255",
    "256",
    "a",
    "ffff",
    "fffff",
    "g",
    "1.2.3.4",
    "db8",
  );
  const text = fc.oneof(
    fc.array(pieces, { maxLength: 9 }).map((parts) => parts.join(":")),
    fc.array(pieces, { maxLength: 5 }).map((parts) => parts.join(".")),
    fc.ipV4(),
    fc.ipV6(),
    fc.string(),
  );
  fc.assert(
    fc.property(text, (candidate) => {
      if (candidate.includes("%")) return;
      const octets = parseAddress(candidate);
      t.equal(
        octets === undefined ? 0 : octets.length === 4 ? 4 : 6,
        net.isIP(candidate),
        candidate,
      );
      if (octets === undefined) return;
      const again = parseAddress(formatAddress(octets));
      assert.deepEqual(again, octets, `${candidate} survives formatting`);
    }),
    { numRuns: 3000 },
  );
});

t.test("versions", async (t) => {
  const rows: [string, 4 | 6 | 0][] = [
    ["10.0.0.1", 4],
    ["010.0.0.1", 0],
    ["1.2.3", 0],
    ["1.2.3.256", 0],
    ["::", 6],
    ["2001:db8::1", 6],
    ["::ffff:1.2.3.4", 6],
    ["1:2:3:4:5:6:7:8", 6],
    ["1:2:3:4:5:6:7", 0],
    ["1:2:3:4:5:6:7::8", 0],
    ["1::2::3", 0],
    ["1.2.3.4::", 0],
    ["fe80::1%eth0", 0],
    ["db.example.com", 0],
    ["", 0],
  ];
  for (const [text, version] of rows) t.equal(ipVersion(text), version, text);
});

t.test("one text for all spellings", async (t) => {
  const rows: [text: string, canonical: string][] = [
    ["10.0.0.1", "10.0.0.1"],
    ["::ffff:10.0.0.1", "10.0.0.1"],
    ["::FFFF:a00:1", "10.0.0.1"],
    ["2001:DB8:0:0::0:1", "2001:db8::1"],
    ["db.example.com", "db.example.com"],
    ["not:an:address", "not:an:address"],
  ];
  for (const [text, canonical] of rows) t.equal(canonicalAddress(text), canonical, text);
});

t.test("the unspecified address", async (t) => {
  for (const text of ["0.0.0.0", "::", "0:0:0:0:0:0:0:0", "::0.0.0.0"]) t.ok(isUnspecified(text));
  for (const text of ["0.0.0.1", "::1", "0", "", "::%eth0"]) t.notOk(isUnspecified(text), text);
});
