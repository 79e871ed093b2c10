/** A scripted upstream behind the real program, and the questions that tests ask of it. */
import type { Test } from "tap";
import dnsPacket, { type DecodedPacket, type RecordType } from "dns-packet";
import { decode, framed, tcpExchange, udpClient, type UdpClient } from "../dns-client.ts";
import { startProgram, type Program } from "../program.ts";
import {
  a,
  cname,
  replyTo,
  soa,
  startUpstream,
  type Got,
  type ReplyParts,
  type Says,
  type Upstream,
} from "../upstream.ts";

export type Seen = DecodedPacket & { rcode: string };
export type Scene = { program: Program; upstream: Upstream; client: UdpClient; ask: Ask };
export type Options = {
  type?: RecordType;
  edns?: number;
  do?: boolean;
  cd?: boolean;
  ad?: boolean;
};
export type Ask = (name: string, options?: Options) => Promise<Seen>;

/** A reply that does not come, on a busy machine too: the program gives each within 3 s. */
const REPLY_LIMIT_MS = 15_000;

let lastId = 0;
const nextId = (): number => (lastId = (lastId + 1) & 0xffff);

/** A query with everything a stub resolver may set. */
export function question(name: string, options: Options = {}): Buffer {
  const { type = "A", edns, do: dnssecOk = false, cd = false, ad = false } = options;
  const opt = {
    type: "OPT",
    name: ".",
    udpPayloadSize: edns ?? 1232,
    flags: dnssecOk ? 0x8000 : 0,
    options: [],
  };
  return dnsPacket.encode({
    type: "query",
    id: nextId(),
    flags: dnsPacket.RECURSION_DESIRED | (cd ? 0x10 : 0) | (ad ? 0x20 : 0),
    questions: [{ name, type }],
    additionals: edns !== undefined || dnssecOk ? [opt as never] : [],
  });
}

/** The program with two workers and one upstream that says this. */
export async function startScene(t: Test, says: Says, config: object = {}): Promise<Scene> {
  const upstream = await startUpstream(t, says);
  const program = await startProgram(t, { workers: 2, recursors: [upstream.address], ...config });
  const client = await udpClient(program.dnsPort);
  t.teardown(() => client.close());
  const ask: Ask = async (name, options = {}) => {
    const reply = await client.ask(question(name, options), REPLY_LIMIT_MS);
    if (reply === undefined) throw new Error(`no reply to ${name}`);
    return decode(reply) as Seen;
  };
  return { program, upstream, client, ask };
}

/** The reply over a connection of its own. */
export const overTcp = async (
  program: Program,
  name: string,
  options: Options = {},
): Promise<Seen> => {
  const [reply] = await tcpExchange(
    program.dnsPort,
    framed(question(name, options)),
    REPLY_LIMIT_MS,
  );
  if (reply === undefined) throw new Error(`no reply to ${name} over TCP`);
  return decode(reply) as Seen;
};

/** One reply to everything. */
export const saying =
  (parts: ReplyParts | ((got: Got) => ReplyParts)): Says =>
  (got) => [replyTo(got, typeof parts === "function" ? parts(got) : parts)];

/** Answers as `owner TYPE data`. */
export const records = ({ answers }: Seen): string[] =>
  (answers ?? []).map((record) => {
    const { name, type, data } = record as unknown as Record<string, unknown>;
    return `${String(name)} ${String(type)} ${String(data)}`;
  });

/** Of the answers, then of the authority section. */
export const ttls = ({ answers, authorities }: Seen): number[] =>
  [...(answers ?? []), ...(authorities ?? [])].map((record) => (record as { ttl: number }).ttl);

/** The first label says what the server answers. */
export const zoo: Says = saying((got): ReplyParts => {
  const { name } = got;
  const denial = /^(?:gone|nodata)-(\d+)-(\d+)\./i.exec(name);
  if (denial !== null)
    return {
      rcode: /^gone/i.test(name) ? 3 : 0,
      authorities: [soa("test", Number(denial[1]), Number(denial[2]))],
    };
  const ttl = /^ttl-(\d+)\./i.exec(name);
  if (ttl !== null) return { answers: [a(name, "192.0.2.1", Number(ttl[1]))] };
  if (/^chain-/i.test(name))
    return { answers: [cname(name, "end.test", 30), a("end.test", "192.0.2.2", 2)] };
  return { answers: [a(name, "192.0.2.9", 60)] };
});
