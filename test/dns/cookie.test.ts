/** DNS cookies against the vectors of RFC 9018 appendix A and the rows of RFC 7873 section 5.2. */
import t from "tap";
import { readSourceText } from "../../src/address.ts";
import {
  COOKIE_GOOD,
  COOKIE_MALFORMED,
  COOKIE_OLD,
  COOKIE_UNPROVEN,
  createSecrets,
  judgeCookie,
  writeCookie,
} from "../../src/dns/cookie.ts";

const octets = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"));

function secretsOf(first: string, second = first) {
  const words = new Int32Array(8);
  [first, second].forEach((hex, i) => {
    const view = new DataView(octets(hex).buffer);
    for (let k = 0; k < 4; k++) words[4 * i + k] = view.getInt32(4 * k, true);
  });
  return createSecrets(words);
}

function sourceOf(address: string): Int32Array {
  const source = new Int32Array(4);
  if (!readSourceText(address, source)) throw new Error(address);
  return source;
}

function judge(
  cookie: string,
  address: string,
  nowSeconds: number,
  secret: string,
  second?: string,
): number {
  // Not at the start of the memory, so that offsets count.
  const memory = new Uint8Array(100).fill(0xee);
  memory.set(octets(cookie), 7);
  const length = octets(cookie).length;
  return judgeCookie(secretsOf(secret, second), memory, 7, length, sourceOf(address), nowSeconds);
}

function write(client: string, address: string, nowSeconds: number, secret: string): string {
  const out = new Uint8Array(40);
  const from = Uint8Array.of(1, 2, 3, ...octets(client));
  writeCookie(secretsOf(secret), from, 3, sourceOf(address), nowSeconds, out, 5);
  return Buffer.from(out.subarray(5, 29)).toString("hex");
}

const A1 = { secret: "e5e973e5a6b2a43f48e7dc849e37bfcf", address: "198.51.100.100" };
const A1_COOKIE = "2464c4abcf10c957 010000005cf79f111f8130c3eee29480";
const A4_OLD = "dd3bdf9344b678b185a6f5cb60fca715";
const A4_NEW = "445536bcd2513298075a5d379663c962";

t.test("vectors of RFC 9018 appendix A", async (t) => {
  t.equal(
    write("2464c4abcf10c957", A1.address, 1559731985, A1.secret),
    A1_COOKIE.replace(" ", ""),
    "A.1: learning a new server cookie",
  );
  t.equal(judge(A1_COOKIE, A1.address, 1559731985, A1.secret), COOKIE_GOOD);
  t.equal(judge(A1_COOKIE, A1.address, 1559734385, A1.secret), COOKIE_OLD, "A.2: 40 minutes old");
  t.equal(
    write("2464c4abcf10c957", A1.address, 1559734385, A1.secret),
    "2464c4abcf10c957010000005cf7a871d4a564a1442aca77",
    "A.2: renewed",
  );
  t.equal(
    judge(
      "fc93fc62807ddb86 01abcdef5cf78f71a314227b6679ebf5",
      "203.0.113.203",
      1559728000,
      A1.secret,
    ),
    COOKIE_GOOD,
    "A.3: the reserved octets of others are hashed as they are",
  );
  t.equal(
    write("fc93fc62807ddb86", "203.0.113.203", 1559734700, A1.secret),
    "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e",
    "A.3: renewed",
  );
  const address = "2001:db8:220:1:59de:d0f4:8769:82b8";
  const old = "22681ab97d52c298 010000005cf7c57926556bd0934c72f8";
  t.equal(judge(old, address, 1559741961, A4_OLD), COOKIE_GOOD, "A.4: IPv6");
  t.equal(judge(old, address, 1559741961, A4_NEW), COOKIE_UNPROVEN, "A.4: another secret");
  t.equal(judge(old, address, 1559741961, A4_NEW, A4_OLD), COOKIE_OLD, "A.4: the one before");
  t.equal(
    write("22681ab97d52c298", address, 1559741961, A4_NEW),
    "22681ab97d52c298010000005cf7c609a6bb79d16625507a",
    "A.4: updated secret",
  );
});

t.test("what a cookie is worth", async (t) => {
  const at = 1559731985;
  const rows: [when: string, cookie: string, seconds: number, expected: number][] = [
    ["client cookie alone", "2464c4abcf10c957", at, COOKIE_UNPROVEN],
    ["half an hour", A1_COOKIE, at + 1800, COOKIE_GOOD],
    ["a second more: renewed", A1_COOKIE, at + 1801, COOKIE_OLD],
    ["an hour", A1_COOKIE, at + 3600, COOKIE_OLD],
    ["expired", A1_COOKIE, at + 3601, COOKIE_UNPROVEN],
    ["five minutes ahead", A1_COOKIE, at - 300, COOKIE_OLD],
    ["further ahead", A1_COOKIE, at - 301, COOKIE_UNPROVEN],
    ["empty", "", at, COOKIE_MALFORMED],
    ["7 octets", "2464c4abcf10c9", at, COOKIE_MALFORMED],
    ["9 octets", "2464c4abcf10c95701", at, COOKIE_MALFORMED],
    ["15 octets", "2464c4abcf10c957010000005cf79f", at, COOKIE_MALFORMED],
    ["16 octets: somebody else's kind", "2464c4abcf10c957010000005cf79f11", at, COOKIE_UNPROVEN],
    ["40 octets: likewise", "00".repeat(40), at, COOKIE_UNPROVEN],
    ["41 octets", "00".repeat(41), at, COOKIE_MALFORMED],
    ["version 2", A1_COOKIE.replace(" 01", " 02"), at, COOKIE_UNPROVEN],
  ];
  for (const [when, cookie, seconds, expected] of rows)
    t.equal(judge(cookie, A1.address, seconds, A1.secret), expected, when);
  t.equal(judge(A1_COOKIE, "198.51.100.101", at, A1.secret), COOKIE_UNPROVEN, "another address");
  t.equal(judge(A1_COOKIE, `::ffff:${A1.address}`, at, A1.secret), COOKIE_GOOD, "the same, mapped");
});

t.test("every single changed bit is noticed", async (t) => {
  const cookie = octets(A1_COOKIE);
  for (let bit = 0; bit < cookie.length * 8; bit++) {
    const changed = Uint8Array.from(cookie);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    const hex = Buffer.from(changed).toString("hex");
    if (judge(hex, A1.address, 1559731985, A1.secret) !== COOKIE_UNPROVEN) t.fail(`bit ${bit}`);
  }
});
