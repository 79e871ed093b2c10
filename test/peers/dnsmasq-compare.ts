/** One configuration and its questions to Debian's dnsmasq and to waypost: what the two do not share. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Test } from "tap";
import dnsPacket, { type Answer, type DecodedPacket, type RecordType } from "dns-packet";
import { framed, tcpExchange, udpClient, type UdpClient } from "../dns-client.ts";
import { freePort } from "../free-port.mjs";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { startUpstream, type Upstream } from "../upstream.ts";
import type { Probe } from "./dnsmasq-probes.ts";
import { sayings } from "./dnsmasq-world.ts";
import { startDnsPeer } from "./peer.ts";

/** `{a}` to `{f}` stand for upstream servers, `{dir}` for the directory of the files. */
export type Scenario = {
  readonly name: string;
  readonly conf: string;
  /** Files beside main.conf. */
  readonly files?: Readonly<Record<string, string>>;
  /** Each is asked for, and names made of it: below, beside, above, in capitals. */
  readonly names: readonly string[];
  /** Asked for as they are, with their types. */
  readonly questions?: readonly [name: string, types: string][];
  /** Messages that no stub resolver would send so. */
  readonly probes?: readonly Probe[];
  /** TTLs are compared as well: of answers that no upstream server gave at another time. */
  readonly ttls?: true;
};

/** A difference that is meant: a pattern of its line, and why. */
export type Difference = { readonly match: string; readonly reason: string };

/** The differences of dnsmasq-differences.json, in order. */
export const listed = JSON.parse(
  readFileSync(join(import.meta.dirname, "dnsmasq-differences.json"), "utf8"),
) as readonly Difference[];

type Way = "udp" | "edns" | "tcp";
type Question = {
  /** As lines of differences call it. */
  readonly label: string;
  /** undefined: nobody looks who is asked for it. */
  readonly name: string | undefined;
  readonly type: string;
  readonly transport: "udp" | "tcp";
  /** Octets that the client takes. */
  readonly limit: number;
  readonly wire: (id: number) => Uint8Array;
};
/** `opcode`, `ednsFlags`: numbers; -1 without OPT. `octets` of the message. */
type Reply = DecodedPacket & {
  flags: number;
  rcode: number;
  opcode: number;
  ednsFlags: number;
  octets: number;
};
type Server = { client: UdpClient; port: number };

const LETTERS = ["a", "b", "c", "d", "e", "f"];
const TYPES = ["A", "AAAA", "TXT", "MX", "SRV", "CNAME", "SOA", "NS", "ANY"];
const RCODES: Readonly<Record<number, string>> = {
  0: "NOERROR",
  1: "FORMERR",
  2: "SERVFAIL",
  3: "NXDOMAIN",
  4: "NOTIMP",
  5: "REFUSED",
  16: "BADVERS",
};
const FLAGS = { AA: 0x400, TC: 0x200, RD: 0x100, RA: 0x80, AD: 0x20, CD: 0x10 } as const;
/** How long a question may take that gets no reply at all, and what a reply may take that the other one gave. */
const SILENCE_MS = 400;
const LATE_MS = 5_000;

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

function questionsOf({ names, questions = [], probes = [] }: Scenario): Question[] {
  const asked = new Map<string, Question>();
  const ways: Way[] = ["udp", "edns", "tcp"];
  const add = (name: string, type: string, way: Way): void => {
    const label = `${name} ${type} ${way}`;
    asked.set(label, {
      label,
      name,
      type,
      transport: way === "tcp" ? "tcp" : "udp",
      limit: way === "udp" ? 512 : way === "edns" ? 1232 : 65_535,
      wire: (id) => plain(id, name, type, way),
    });
  };
  for (const name of new Set(names.flatMap(around)))
    for (const [i, type] of TYPES.entries()) {
      add(name, type, i % 2 === 0 ? "udp" : "edns");
      if (i < 3) add(name, type, i === 0 ? "tcp" : i % 2 === 0 ? "edns" : "udp");
      if (type === "ANY") add(name, type, "tcp");
    }
  for (const [name, types] of questions)
    for (const type of types.split(" ")) for (const way of ways) add(name, type, way);
  for (const { label, name, transport = "udp", limit = 512, wire } of probes) {
    if (asked.has(label)) throw new Error(`two probes are called ${label}`);
    const most = transport === "tcp" ? 65_535 : limit;
    asked.set(label, { label, name, type: "", transport, limit: most, wire });
  }
  return [...asked.values()];
}

function plain(id: number, name: string, type: string, way: Way): Uint8Array {
  const opt = { type: "OPT", name: ".", udpPayloadSize: 1232, flags: 0, options: [] };
  return dnsPacket.encode({
    type: "query",
    id,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ type: toType(type), name }],
    ...(way === "edns" ? { additionals: [opt as unknown as Answer] } : {}),
  });
}

let lastId = 0;

async function ask(
  { client, port }: Server,
  { transport, wire }: Question,
  limitMs: number,
): Promise<Reply | undefined> {
  lastId = (lastId + 1) & 0xffff;
  const octets = wire(lastId);
  const reply =
    transport === "tcp"
      ? (await tcpExchange(port, framed(octets), limitMs))[0]
      : await client.ask(octets, limitMs);
  if (reply === undefined) return undefined;
  const decoded = decodedOf(reply);
  const { flags = 0, additionals = [] } = decoded;
  const opt = additionals.find((rr) => rr.type === "OPT");
  const extended = opt?.type === "OPT" ? (opt as unknown as { extendedRcode: number }) : undefined;
  return {
    ...decoded,
    flags,
    rcode: ((extended?.extendedRcode ?? 0) << 4) | (flags & 15),
    opcode: (reply[2]! >> 3) & 15,
    ednsFlags: opt?.type === "OPT" ? opt.flags : -1,
    octets: reply.length,
  };
}

/** What cannot be read is compared by its head. */
function decodedOf(reply: Buffer): DecodedPacket {
  try {
    return dnsPacket.decode(reply);
  } catch {
    const head = Buffer.from(reply.subarray(0, 12));
    head.fill(0, 4);
    return dnsPacket.decode(head);
  }
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
  { limit }: Question,
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
  both("opcode", `${dnsmasq.opcode}`, `${waypost.opcode}`);
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
  const optOf = ({ ednsFlags }: Reply) => (ednsFlags < 0 ? "" : "OPT");
  both("opt", optOf(dnsmasq), optOf(waypost));
  const flagsOf = ({ ednsFlags }: Reply) => (ednsFlags > 0 ? `${ednsFlags}` : "0");
  if (optOf(dnsmasq) === optOf(waypost)) both("edns flags", flagsOf(dnsmasq), flagsOf(waypost));
  const fit = ({ octets }: Reply) => (octets > limit ? `${octets}` : "fit");
  both("octets", fit(dnsmasq), fit(waypost));
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

/** How many questions were asked, and the differences that no entry of `listed` explains; those that do are put into `used`. */
export async function play(
  t: Test,
  scenario: Scenario,
  used: Set<Difference>,
): Promise<{ asked: number; unlisted: string[] }> {
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
    const { label, name = "", type } = question;
    const replies: (Reply | undefined)[] = [];
    const seen: string[] = [];
    for (const server of servers) {
      const before = upstreams.map(({ got }) => got.length);
      // oxlint-disable-next-line no-await-in-loop -- one after the other, to see who asks whom
      replies.push(await ask(server, question, question.name === undefined ? SILENCE_MS : LATE_MS));
      seen.push(seenBy(upstreams, before, name));
    }
    // Silence is what neither of two tries breaks: a busy machine takes its time.
    for (const [i, server] of servers.entries())
      if (replies[i] === undefined && replies[1 - i] !== undefined)
        // oxlint-disable-next-line no-await-in-loop -- the same
        replies[i] = await ask(server, question, SILENCE_MS * 4);
    const [dnsmasq, waypost] = replies;
    const found = compare(question, dnsmasq, waypost, scenario.ttls === true);
    const key = `${name.toLowerCase()} ${type}`;
    // Whoever knows the answer already need not ask; before, both have to ask the same server.
    if (type !== "" && !known.has(key) && seen[0] !== seen[1])
      found.push(`asked: dnsmasq ${seen[0] || "nobody"}, waypost ${seen[1] || "nobody"}`);
    known.add(key);
    for (const each of found) {
      const line = `${scenario.name}: ${label}: ${each}`;
      const entry = listed.find(({ match }) => new RegExp(match).test(line));
      if (entry === undefined) unlisted.push(line);
      else used.add(entry);
    }
  }
  return { asked: questions.length, unlisted };
}

/** Unlisted differences that are shown; the rest is counted. */
const MAX_SHOWN = 200;

/**
 * Plays the scenarios one after the other as tests, at least so many questions. Every listed difference
 * that names one of them has to be seen, and with `others` all those that name none of these.
 */
export async function playAll(
  t: Test,
  scenarios: readonly Scenario[],
  { least, others }: { least: number; others?: readonly Scenario[] },
): Promise<void> {
  const used = new Set<Difference>();
  let asked = 0;
  for (const scenario of scenarios)
    // oxlint-disable-next-line no-await-in-loop -- one pair of servers at a time
    await t.test(scenario.name, async (t) => {
      const played = await play(t, scenario, used);
      asked += played.asked;
      // Not compared as a list: tap would fold the lines.
      for (const line of played.unlisted.slice(0, MAX_SHOWN)) t.fail(line);
      t.equal(played.unlisted.length, 0, `${played.asked} questions`);
    });
  t.ok(asked >= least, `${asked} questions`);
  const unseen = listed.filter((each) => {
    const isNamed = ({ name }: Scenario) => each.match.includes(name);
    const isAbout = scenarios.some(isNamed) || (others !== undefined && !others.some(isNamed));
    return isAbout && !used.has(each);
  });
  t.same(
    unseen.map(({ match }) => match),
    [],
    "every listed difference is seen",
  );
}
