// A mistake of ours while a question is answered costs that question its answer, and nothing else.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import t, { type Test } from "tap";
import type { DecodedPacket } from "dns-packet";
import type { ForwardAnswer, ForwardRequest, Resolve } from "../../src/dns/answer.ts";
import { startTcpFront } from "../../src/dns/driver.ts";
import { createFaults, servfail, unfailing } from "../../src/dns/faults.ts";
import { startHttpsFront } from "../../src/dns/https/driver.ts";
import { createResolver } from "../../src/dns/resolve.ts";
import { dnsDefaults } from "../../src/dns/settings.ts";
import { createTlsSide } from "../../src/dns/tls/driver.ts";
import { createState } from "../../src/cluster/state.ts";
import { createAcl } from "../../src/cluster/acl.ts";
import { decode, framed, query } from "../dns-client.ts";
import { makeCertificates, noCertificates } from "../program/certificates.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

/** Every name that begins with "throws" is a mistake; others are echoed as replies. */
const sometimes: Resolve = ({ query }, reply) => {
  if (Buffer.from(query).includes("throws")) throw new Error("a mistake");
  const wire = new Uint8Array(query);
  wire[2]! |= 0x80;
  reply(wire);
};

const rcodeOf = ({ flags = 0 }: DecodedPacket): number => flags & 15;
const said = (wire: Uint8Array): string => {
  const reply = decode(Buffer.from(wire));
  return `${reply.id} ${reply.questions?.[0]?.name} ${rcodeOf(reply)}`;
};

const clock = { monotonicMs: () => 0, wallMs: () => 0 };
const timers = { after: () => () => {} };

t.test("the first fault has its line at once, the others are counted in the next", async (t) => {
  let nowMs = 0;
  const lines: unknown[] = [];
  const faults = createFaults(
    (level, message, fields) => lines.push([level, message, fields]),
    () => nowMs,
  );
  const said = "dns: a question failed by a mistake in this program";
  faults.note(new Error("one"));
  faults.note(new Error("two"));
  faults.note("three");
  t.match(lines, [["error", said, { stack: /^Error: one\n\s+at / }]]);
  t.equal(lines.length, 1);
  nowMs = 10_000;
  faults.note("four");
  t.same(lines[1], ["error", said, { stack: "four", more: 2 }]);
  t.equal(faults.count(), 4);
});

t.test("SERVFAIL with as much of the question as can be read", async (t) => {
  const wire = query(7, "a.test");
  t.same(decode(Buffer.from(servfail(wire)!)).questions, decode(wire).questions);
  t.equal(said(servfail(wire)!), "7 a.test 2");
  t.equal(decode(Buffer.from(servfail(wire.subarray(0, 14))!)).questions?.length, 0);
  t.equal(servfail(wire.subarray(0, 11)), null, "too short");
  const reply = Buffer.from(wire);
  reply[2]! |= 0x80;
  t.equal(servfail(reply), null, "a reply gets no reply");
});

t.test("who throws after its reply has replied all the same, once", async (t) => {
  const replies: (Uint8Array | null)[] = [];
  const thrown: unknown[] = [];
  const resolve = unfailing(
    ({ query }, reply) => {
      reply(query);
      reply(query);
      throw new Error("too late");
    },
    (error) => thrown.push(error),
  );
  const client = { address: "127.0.0.1", port: 1, transport: "udp" as const };
  resolve({ query: query(1, "a.test"), client }, (wire) => replies.push(wire));
  t.equal(replies.length, 1);
  t.equal(thrown.length, 1);
});

/** Faults as a front counts them, and the options that make it. */
function faulty() {
  const thrown: unknown[] = [];
  const options = {
    listen: [{ address: "127.0.0.1", port: 0 }],
    resolve: sometimes,
    clock,
    timers,
    log: () => {},
    fault: (error: unknown) => void thrown.push(error),
  };
  return { thrown, options };
}

type Front = Awaited<ReturnType<typeof startTcpFront>>;

async function overStream(
  t: Test,
  front: Front,
  dial: (port: number) => ReturnType<typeof connect>,
) {
  const socket = dial(front.addresses[0]!.port);
  t.teardown(() => socket.destroy());
  let got = Buffer.alloc(0);
  for (const [id, name] of ["throws.test", "a.test", "throws.test", "b.test"].entries())
    socket.write(framed(query(id, name)));
  const expected =
    framed(query(0, "throws.test")).length * 2 + framed(query(0, "a.test")).length * 2;
  while (got.length < expected) {
    const [octets] = (await once(socket, "data")) as [Buffer];
    got = Buffer.concat([got, octets]);
  }
  const replies: string[] = [];
  for (let at = 0; at < got.length; at += 2 + got.readUInt16BE(at))
    replies.push(said(got.subarray(at + 2, at + 2 + got.readUInt16BE(at))));
  t.same(replies, ["0 throws.test 2", "1 a.test 0", "2 throws.test 2", "3 b.test 0"]);
}

t.test("over TCP", async (t) => {
  const { thrown, options } = faulty();
  const front = await startTcpFront(options);
  t.teardown(() => front.close());
  await overStream(t, front, (port) => connect(port, "127.0.0.1"));
  t.equal(thrown.length, 2);
});

t.test("over TLS and HTTPS", { skip: noCertificates }, async (t) => {
  const directory = temporaryDirectory(t);
  makeCertificates(directory, ["server"]);
  const pem = (file: string): string => readFileSync(join(directory, file), "utf8");
  const identity = {
    cert: pem("server.pem"),
    key: pem("server.key"),
    ca: [],
    verifyIncoming: false,
    ciphers: "",
    minVersion: 0x0303,
  };
  const ca = pem("ca.pem");

  const overTls = faulty();
  const tls = await startTcpFront({ ...overTls.options, secure: createTlsSide(identity) });
  t.teardown(() => tls.close());
  await overStream(t, tls, (port) => connectTls({ port, host: "127.0.0.1", ca }));
  t.equal(overTls.thrown.length, 2);

  const overHttps = faulty();
  const https = await startHttpsFront({ ...overHttps.options, identity });
  t.teardown(() => https.close());
  const session = connectHttp2(`https://127.0.0.1:${https.addresses[0]!.port}`, { ca });
  t.teardown(() => session.destroy());
  const fetch = async (name: string): Promise<string> => {
    const dns = query(0, name).toString("base64url");
    const stream = session.request({ ":path": `/dns-query?dns=${dns}` });
    const pieces: Buffer[] = [];
    stream.on("data", (piece: Buffer) => pieces.push(piece));
    await once(stream, "end");
    return said(Buffer.concat(pieces));
  };
  t.equal(await fetch("throws.test"), "0 throws.test 2");
  t.equal(await fetch("a.test"), "0 a.test 0");
  t.equal(overHttps.thrown.length, 1);
});

/** An answer whose records cannot be looked at. */
const broken = {
  ok: true,
  get answers() {
    throw new Error("a mistake");
  },
} as unknown as ForwardAnswer;

t.test(
  "in the resolver, at once and later: SERVFAIL, counted, and the next question",
  async (t) => {
    const thrown: unknown[] = [];
    const waiting: (() => void)[] = [];
    const state = createState();
    const forward = ({ qname }: ForwardRequest, done: (answer: ForwardAnswer) => void): void => {
      const label = String.fromCharCode(...qname.subarray(1, 1 + qname[0]!));
      if (label === "throws") throw new Error("a mistake");
      if (label === "later") waiting.push(() => done(broken));
      else if (label === "now") done(broken);
      else done({ ok: false, reason: "refused" });
    };
    const resolver = createResolver({
      settings: { ...dnsDefaults, nodeName: "n", recursorsConfigured: true },
      catalog: state.reader,
      acl: createAcl(
        state.acl,
        {
          enableKeyListPolicy: false,
          enabled: false,
          defaultPolicy: "allow",
          datacenter: "dc1",
          nodeName: "n",
          tokens: { initialManagement: "", agentRecovery: "", default: "", dns: "" },
        },
        () => 0,
      ),
      forward,
      resolveTarget: forward,
      table: null,
      clock: () => 0,
      timers,
      wallMs: () => 0,
      random: () => 1,
      freshness: () => ({ leader: true, ageMs: 0 }),
      fault: (error) => thrown.push(error),
    });
    const replies: string[] = [];
    const client = { address: "127.0.0.1", port: 1, transport: "udp" as const };
    for (const [id, label] of ["throws", "later", "now", "fine"].entries())
      resolver.resolve({ query: query(id, `${label}.test`), client }, (wire) =>
        replies.push(said(wire!)),
      );
    t.same(replies, ["0 throws.test 2", "2 now.test 2", "3 fine.test 5"]);
    waiting[0]!();
    t.same(replies.slice(3), ["1 later.test 2"]);
    t.equal(thrown.length, 3);
  },
);
