/**
 * The same configuration files and the same questions to Debian's dnsmasq and to waypost. Every difference
 * is in dnsmasq-differences.json with its reason, and every entry there is of use.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import dnsPacket, { type Answer, type DecodedPacket, type RecordType } from "dns-packet";
import { framed, tcpExchange, udpClient, type UdpClient } from "../dns-client.ts";
import { freePort } from "../free-port.mjs";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { startUpstream, type Upstream } from "../upstream.ts";
import { scenarios, type Scenario } from "./dnsmasq-configs.ts";
import { sayings } from "./dnsmasq-world.ts";
import { hasPeer, startDnsPeer } from "./peer.ts";

type Difference = { match: string; reason: string };
type Way = "udp" | "edns" | "tcp";
type Question = { name: string; type: string; way: Way };
type Reply = DecodedPacket & { flags: number; rcode: number; octets: number };
type Server = { client: UdpClient; port: number };

const listed = JSON.parse(
  readFileSync(join(import.meta.dirname, "dnsmasq-differences.json"), "utf8"),
) as Difference[];
const used = new Set<Difference>();

const LETTERS = ["a", "b", "c", "d", "e", "f"];
const TYPES = ["A", "AAAA", "TXT", "MX", "SRV", "CNAME", "SOA", "NS", "ANY"];
const RCODES = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
const FLAGS = { AA: 0x400, TC: 0x200, RD: 0x100, RA: 0x80, AD: 0x20, CD: 0x10 } as const;

/** Names made of one that a rule is about. */
function around(name: string): string[] {
  const [, ...above] = name.split(".");
  return [
    name,
    `host.${name}`,
    `a.b.${name}`,
    `x${name}`,
    `nx.${name}`,
    name.toUpperCase(),
    ...(above.length > 0 ? [above.join("."), `beside.${above.join(".")}`] : []),
  ];
}

function questionsOf({ names, questions = [] }: Scenario): Question[] {
  const asked = new Map<string, Question>();
  const ways: Way[] = ["udp", "edns", "tcp"];
  const add = (question: Question): void => {
    asked.set(`${question.name} ${question.type} ${question.way}`, question);
  };
  for (const name of new Set(names.flatMap(around)))
    for (const [i, type] of TYPES.entries()) {
      add({ name, type, way: i % 2 === 0 ? "udp" : "edns" });
      if (i < 3) add({ name, type, way: i === 0 ? "tcp" : i % 2 === 0 ? "edns" : "udp" });
      if (type === "ANY") add({ name, type, way: "tcp" });
    }
  for (const [name, types] of questions)
    for (const type of types.split(" ")) for (const way of ways) add({ name, type, way });
  return [...asked.values()];
}

/** Unlisted differences that are shown; the rest is counted. */
const MAX_SHOWN = 200;
let lastId = 0;

async function ask({ client, port }: Server, question: Question): Promise<Reply | undefined> {
  lastId = (lastId + 1) & 0xffff;
  const opt = { type: "OPT", name: ".", udpPayloadSize: 1232, flags: 0, options: [] };
  const wire = dnsPacket.encode({
    type: "query",
    id: lastId,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ type: toType(question.type), name: question.name }],
    ...(question.way === "edns" ? { additionals: [opt as unknown as Answer] } : {}),
  });
  const reply =
    question.way === "tcp" ? (await tcpExchange(port, framed(wire)))[0] : await client.ask(wire);
  if (reply === undefined) return undefined;
  const decoded = dnsPacket.decode(reply);
  const { flags = 0 } = decoded;
  return { ...decoded, flags, rcode: flags & 15, octets: reply.length };
}

/** dns-packet writes types without a name as UNKNOWN_51. */
function toType(type: string): RecordType {
  return type.replace(/^TYPE/, "UNKNOWN_") as RecordType; // its own spelling of others
}

/** Records in an order of their own, each with its TTL apart. */
function recordsOf(reply: Reply): { text: string; ttl: number }[] {
  return (reply.answers ?? [])
    .map((rr) => {
      const data = "data" in rr ? JSON.stringify(rr.data) : "";
      const ttl = "ttl" in rr ? (rr.ttl ?? 0) : 0;
      return { text: `${rr.name.toLowerCase()} ${rr.type} ${data.toLowerCase()}`, ttl };
    })
    .toSorted((a, b) => (a.text < b.text ? -1 : 1));
}

const textOf = (reply: Reply): string =>
  recordsOf(reply)
    .map(({ text }) => text)
    .join(", ");
/** One second may end between the two. */
const isNear = (a: number, b: number): boolean => Math.abs(a - b) <= 2;

/** What the two replies do not share, a word or two and both sides each. */
function compare(
  question: Question,
  dnsmasq: Reply | undefined,
  waypost: Reply | undefined,
  withTtl: boolean,
): string[] {
  if (dnsmasq === undefined || waypost === undefined) {
    if (dnsmasq === waypost) return [];
    return [
      `reply: dnsmasq ${dnsmasq ? "answers" : "none"}, waypost ${waypost ? "answers" : "none"}`,
    ];
  }
  const found: string[] = [];
  const both = (what: string, theirs: string, ours: string): void => {
    if (theirs !== ours)
      found.push(`${what}: dnsmasq ${theirs || "none"}, waypost ${ours || "none"}`);
  };
  both("rcode", RCODES[dnsmasq.rcode] ?? "?", RCODES[waypost.rcode] ?? "?");
  const of = textOf(dnsmasq) === "" && textOf(waypost) === "" ? " of a denial" : "";
  for (const [flag, bit] of Object.entries(FLAGS))
    both(
      flag + of,
      String(Number((dnsmasq.flags & bit) !== 0)),
      String(Number((waypost.flags & bit) !== 0)),
    );
  const spelled = (reply: Reply) => reply.questions?.map(({ name }) => name).join() ?? "";
  both("question", spelled(dnsmasq), spelled(waypost));
  // Of an answer that was cut, nobody promises which part comes.
  const isCut = (dnsmasq.flags & waypost.flags & FLAGS.TC) !== 0;
  if (!isCut) both("answers", textOf(dnsmasq), textOf(waypost));
  if (withTtl && !isCut && textOf(dnsmasq) === textOf(waypost)) {
    const [theirs, ours] = [dnsmasq, waypost].map((reply) =>
      recordsOf(reply).map(({ ttl }) => ttl),
    );
    if (!theirs!.every((ttl, i) => isNear(ttl, ours![i]!)))
      both("ttl", theirs!.join(" "), ours!.join(" "));
  }
  const hasSoa = ({ authorities = [] }: Reply) =>
    authorities.some((rr) => rr.type === "SOA") ? "SOA" : "";
  both(`authority${of}`, hasSoa(dnsmasq), hasSoa(waypost));
  const optOf = ({ additionals = [] }: Reply) =>
    additionals.some((rr) => rr.type === "OPT") ? "OPT" : "";
  both("opt", optOf(dnsmasq), optOf(waypost));
  const limit = question.way === "udp" ? 512 : question.way === "edns" ? 1232 : 65_535;
  both(
    "octets",
    dnsmasq.octets > limit ? `${dnsmasq.octets}` : "fit",
    waypost.octets > limit ? `${waypost.octets}` : "fit",
  );
  return found;
}

/** Which servers have seen the name since the last look. */
function seenBy(upstreams: readonly Upstream[], before: readonly number[], name: string): string {
  return upstreams
    .flatMap(({ got }, i) =>
      got.slice(before[i]).some((one) => one.name.toLowerCase() === name.toLowerCase())
        ? [LETTERS[i]!]
        : [],
    )
    .join("");
}

async function play(t: Test, scenario: Scenario): Promise<{ asked: number; unlisted: string[] }> {
  const directory = temporaryDirectory(t);
  const upstreams: Upstream[] = [];
  for (const [i] of LETTERS.entries())
    // oxlint-disable-next-line no-await-in-loop -- six
    upstreams.push(await startUpstream(t, sayings(i + 1)));
  const filled = (text: string): string =>
    text
      .replaceAll("{dir}", directory)
      .replaceAll(
        /\{([a-f])\}/g,
        (_, letter: string) => `127.0.0.1#${upstreams[LETTERS.indexOf(letter)]!.port}`,
      );
  const conf = join(directory, "main.conf");
  for (const [name, text] of Object.entries({ ...scenario.files, "main.conf": scenario.conf })) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), filled(text));
  }
  const dnsmasqPort = await freePort();
  await startDnsPeer(
    t,
    "dnsmasq",
    [
      "--keep-in-foreground",
      "--pid-file=",
      "--user=",
      "--bind-interfaces",
      `--port=${dnsmasqPort}`,
      `--conf-file=${conf}`,
    ],
    { port: dnsmasqPort, name: "ready.example" },
  );
  const program = await startProgram(t, { forwarder: { dnsmasq_conf: conf } });
  const servers = await Promise.all(
    [dnsmasqPort, program.dnsPort].map(async (port): Promise<Server> => {
      const client = await udpClient(port);
      t.teardown(() => client.close());
      return { client, port };
    }),
  );
  const questions = questionsOf(scenario);
  const known = new Set<string>();
  const unlisted: string[] = [];
  for (const question of questions) {
    const replies: (Reply | undefined)[] = [];
    const seen: string[] = [];
    for (const server of servers) {
      const before = upstreams.map(({ got }) => got.length);
      // oxlint-disable-next-line no-await-in-loop -- one after the other, to see who asks whom
      replies.push(await ask(server, question));
      seen.push(seenBy(upstreams, before, question.name));
    }
    const [dnsmasq, waypost] = replies;
    const found = compare(question, dnsmasq, waypost, scenario.ttls === true);
    const key = `${question.name.toLowerCase()} ${question.type}`;
    // Whoever knows the answer already need not ask; before, both have to ask the same server.
    if (!known.has(key) && seen[0] !== seen[1])
      found.push(`asked: dnsmasq ${seen[0] || "nobody"}, waypost ${seen[1] || "nobody"}`);
    known.add(key);
    for (const each of found) {
      const line = `${scenario.name}: ${question.name} ${question.type} ${question.way}: ${each}`;
      const entry = listed.find(({ match }) => new RegExp(match).test(line));
      if (entry === undefined) unlisted.push(line);
      else used.add(entry);
    }
  }
  return { asked: questions.length, unlisted };
}

const skip = hasPeer("dnsmasq") ? false : "dnsmasq is not installed";

t.test("dnsmasq and waypost answer alike", { skip, timeout: 110_000 }, async (t) => {
  let asked = 0;
  for (const scenario of scenarios)
    // oxlint-disable-next-line no-await-in-loop -- one pair of servers at a time
    await t.test(scenario.name, async (t) => {
      const played = await play(t, scenario);
      asked += played.asked;
      // Not compared as a list: tap would fold the lines.
      for (const line of played.unlisted.slice(0, MAX_SHOWN)) t.fail(line);
      t.equal(played.unlisted.length, 0, `${played.asked} questions`);
    });
  t.ok(asked >= 2000, `${asked} questions`);
  t.same(
    listed.filter((each) => !used.has(each)).map(({ match }) => match),
    [],
    "every listed difference is seen",
  );
});
