// Questions in HTTP (RFC 8484): what is taken, what is refused and how, and for how long an answer is fresh.
import t from "tap";
import packet, { type Answer } from "dns-packet";
import { checkQuestion, freshnessSeconds, readDohHead } from "../../src/dns/doh.ts";
import { query } from "../dns-client.ts";

const told = (method: string, target: string, contentType = ""): string => {
  const head = readDohHead({ method, target, contentType });
  if (!head.ok) return String(head.error.status);
  return head.value === undefined ? "body" : Buffer.from(head.value).toString("hex");
};

t.test("the examples of RFC 8484 4.1.1", async (t) => {
  const first = "00000100000100000000000003777777076578616d706c6503636f6d0000010001";
  t.equal(told("GET", "/dns-query?dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB"), first);
  const second =
    "AAABAAABAAAAAAAAAWE-NjJjaGFyYWN0ZXJsYWJlbC1tYWtlcy1iYXNlNjR1cmwtZGlzdGluY3QtZnJvbS1zdGFuZGFyZC1iYXNlNjQHZXhhbXBsZQNjb20AAAEAAQ";
  t.equal(
    told("GET", `/dns-query?dns=${second}`),
    Buffer.from(second, "base64url").toString("hex"),
  );
  t.equal(told("POST", "/dns-query", "application/dns-message"), "body");
});

const heads: [method: string, target: string, type: string, outcome: string][] = [
  ["GET", "/dns-query?a=1&dns=AAAA&b=2", "", "000000"],
  ["GET", "/dns-query?dns=AAA=", "", "0000"],
  ["GET", "/dns-query?dns=AA%3D%3D", "", "00"],
  ["GET", "/dns-query?dns=", "", ""],
  ["GET", "/dns-query?dns=A", "", "400"],
  ["GET", "/dns-query?dns=AA+A", "", "400"],
  ["GET", "/dns-query?dns=AA/A", "", "400"],
  ["GET", "/dns-query", "", "400"],
  ["GET", "/dns-query?name=www.test", "", "400"],
  ["GET", "/", "", "404"],
  ["GET", "/dns-query/", "", "404"],
  ["POST", "/resolve", "application/dns-message", "404"],
  ["POST", "/dns-query", "Application/DNS-Message; charset=x", "body"],
  ["POST", "/dns-query", "", "415"],
  ["POST", "/dns-query", "application/dns-json", "415"],
  ["PUT", "/dns-query", "application/dns-message", "405"],
  ["HEAD", "/dns-query?dns=AAAA", "", "000000"],
  ["HEAD", "/dns-query", "", "400"],
  ["CONNECT", "", "", "404"],
  ["OPTIONS", "*", "", "404"],
  ["get", "/dns-query?dns=AAAA", "", "405"],
];

t.test("heads of requests", async (t) => {
  for (const [method, target, type, outcome] of heads)
    t.equal(told(method, target, type), outcome, `${method} ${target} ${type}`);
});

t.test("lengths of questions", async (t) => {
  const status = (octets: number): number => {
    const checked = checkQuestion(new Uint8Array(octets));
    return checked.ok ? 200 : checked.error.status;
  };
  t.same([0, 11, 12, 65_535, 65_536].map(status), [400, 400, 200, 200, 413]);
});

const a = (ttl: number): Answer => ({ type: "A", name: "www.test", ttl, data: "192.0.2.1" });
const soa = (ttl: number, minimum: number): Answer => ({
  type: "SOA",
  name: "test",
  ttl,
  data: {
    mname: "ns.test",
    rname: "root.test",
    serial: 1,
    refresh: 1,
    retry: 1,
    expire: 1,
    minimum,
  },
});

const replies: [
  what: string,
  flags: number,
  answers: Answer[],
  authorities: Answer[],
  seconds: number,
][] = [
  ["the least TTL of the answers (5.1)", 0, [a(300), a(30)], [soa(5, 5)], 30],
  ["TTL 0", 0, [a(0)], [], 0],
  ["no data: TTL of the SOA record", 0, [], [soa(60, 600)], 60],
  ["no such name: its MINIMUM", 3, [], [soa(600, 60)], 60],
  ["a chain to no such name", 3, [a(20)], [soa(600, 60)], 20],
  ["a denial without SOA", 3, [], [], 0],
  ["SERVFAIL", 2, [], [soa(600, 60)], 0],
];

t.test("freshness of answers", async (t) => {
  for (const [what, rcode, answers, authorities, seconds] of replies) {
    const { questions } = packet.decode(query(1, "www.test"));
    const wire = packet.encode({ type: "response", flags: rcode, questions, answers, authorities });
    t.equal(freshnessSeconds(wire), seconds, what);
    for (let i = 0; i < wire.length; i++) freshnessSeconds(wire.subarray(0, i));
  }
});
