/**
 * Whatever arrives, the next question is answered: the list of parser attacks (RFC 9267, RFC 1035 4.1,
 * RFC 6891) over UDP and TCP, then every prefix, every one-octet change and random mutations of valid
 * queries. FUZZ_MUTATIONS sets how many of the latter (the everyday run sends 15,000), FUZZ_SEED repeats them.
 */
import t, { type Test } from "tap";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { framed, query, tcpExchange, udpClient, type UdpClient } from "../dns-client.ts";
import { startProgram } from "../program.ts";

const MUTATIONS = Number(process.env["FUZZ_MUTATIONS"] ?? 15_000);
const IN_FLIGHT = 64;

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const header = (counts: string, flags = "0100") => hex(`abcd ${flags} ${counts}`);
const web = hex("03 776562 07 73657276696365 06 636f6e73756c 00");
const typeA = hex("0001 0001");
const one = "0001 0000 0000 0000";
const message = (...parts: Buffer[]) => Buffer.concat(parts);
const withName = (name: Buffer) => message(header(one), name, typeA);
const opt = (rdata = "", length = rdata.length / 2, version = "00", flags = "0000") =>
  hex(`00 0029 04d0 00${version}${flags} ${length.toString(16).padStart(4, "0")} ${rdata}`);
const withOpt = (...opts: Buffer[]) =>
  message(
    header(`0001 0000 0000 ${opts.length.toString(16).padStart(4, "0")}`),
    web,
    typeA,
    ...opts,
  );
const record = (type: string, length: string, rdata = "") =>
  message(
    header("0001 0000 0000 0001"),
    web,
    typeA,
    hex(`00 ${type} 0001 00000000 ${length} ${rdata}`),
  );
const label = (length: number) => Buffer.concat([Buffer.from([length]), Buffer.alloc(length, 97)]);

const pointer = (at: number) => Buffer.from([0xc0 | (at >> 8), at]);

/** What comes back: no reply, or one of these RCODEs. */
type Expected = "none" | number[];
const FORMERR = [1];

const attacks: { name: string; wire: Buffer; gives: Expected }[] = [
  { name: "empty", wire: Buffer.alloc(0), gives: "none" },
  { name: "one octet", wire: hex("00"), gives: "none" },
  { name: "eleven octets", wire: hex("abcd 0100 0001 0000 0000 00"), gives: "none" },
  { name: "header only", wire: header(one), gives: FORMERR },
  { name: "QDCOUNT 0", wire: header("0000 0000 0000 0000"), gives: FORMERR },
  {
    name: "QDCOUNT 2",
    wire: message(header("0002 0000 0000 0000"), web, typeA, web, typeA),
    gives: FORMERR,
  },
  {
    name: "QDCOUNT 65535",
    wire: message(header("ffff 0000 0000 0000"), web, typeA),
    gives: FORMERR,
  },
  {
    name: "ANCOUNT lies",
    wire: message(header("0001 ffff 0000 0000"), web, typeA),
    gives: FORMERR,
  },
  {
    name: "ANCOUNT 1, no record",
    wire: message(header("0001 0001 0000 0000"), web, typeA),
    gives: FORMERR,
  },
  { name: "QR set", wire: message(header(one, "8100"), web, typeA), gives: "none" },
  { name: "QR set, nothing else", wire: header("0000 0000 0000 0000", "8000"), gives: "none" },
  { name: "pointer to itself", wire: withName(hex("c00c")), gives: FORMERR },
  { name: "forward pointer", wire: withName(hex("c0ff")), gives: FORMERR },
  { name: "pointer into the header", wire: withName(hex("c000")), gives: FORMERR },
  { name: "pointer at the last octet", wire: message(header(one), hex("c0")), gives: FORMERR },
  {
    name: "127 pointers, each to the one before",
    wire: message(
      header("0001 0000 0000 0001"),
      web,
      typeA,
      hex("00 000a 0001 00000000 00fe"),
      ...Array.from({ length: 127 }, (_, i) => pointer(i === 0 ? 12 : 47 + 2 * (i - 1))),
      pointer(47 + 252),
      hex("0001 0001 00000000 0004 01020304"),
    ),
    gives: [0],
  },
  {
    name: "owner behind 127 pointers",
    wire: message(
      header("0001 0001 0000 0001"),
      web,
      typeA,
      hex("00 000a 0001 00000000 00fe"),
      ...Array.from({ length: 127 }, (_, i) => pointer(i === 0 ? 12 : 47 + 2 * (i - 1))),
      pointer(47 + 252),
      hex("0001 0001 00000000 0004 01020304"),
    ),
    gives: FORMERR,
  },
  { name: "label type 0x40", wire: withName(hex("41 61 00")), gives: FORMERR },
  { name: "label type 0x80", wire: withName(hex("81 61 00")), gives: FORMERR },
  { name: "label of 64 octets", wire: withName(message(label(64), hex("00"))), gives: FORMERR },
  {
    name: "name of 256 octets",
    wire: withName(message(label(63), label(63), label(63), label(63), hex("00"))),
    gives: FORMERR,
  },
  { name: "missing root", wire: message(header(one), hex("03 777777")), gives: FORMERR },
  { name: "label runs past the end", wire: message(header(one), hex("3f 6161")), gives: FORMERR },
  { name: "class missing", wire: message(header(one), web, hex("0001")), gives: FORMERR },
  { name: "A record too short", wire: record("0001", "0002", "0a00"), gives: FORMERR },
  { name: "A record too long", wire: record("0001", "0005", "0a00000101"), gives: FORMERR },
  { name: "A record past the end", wire: record("0001", "ffff", "0a000001"), gives: FORMERR },
  { name: "AAAA record too short", wire: record("001c", "0004", "0a000001"), gives: FORMERR },
  { name: "SRV with cut RDATA", wire: record("0021", "0004", "00010001"), gives: FORMERR },
  { name: "SOA with pointer loop", wire: record("0006", "0002", "c02b"), gives: FORMERR },
  { name: "TXT with lying length", wire: record("0010", "0002", "ff61"), gives: FORMERR },
  { name: "two OPT", wire: withOpt(opt(), opt()), gives: FORMERR },
  { name: "OPT with cut RDATA", wire: withOpt(opt("", 12)), gives: FORMERR },
  { name: "OPT shorter than its length", wire: withOpt(opt("000a0008", 4)), gives: FORMERR },
  { name: "OPT option overruns", wire: withOpt(opt("000a00ff0102")), gives: FORMERR },
  {
    name: "OPT in the answer section",
    wire: message(header("0001 0001 0000 0000"), web, typeA, opt()),
    gives: FORMERR,
  },
  {
    name: "OPT not at the root",
    wire: message(header("0001 0000 0000 0001"), web, typeA, hex("0161"), opt()),
    gives: FORMERR,
  },
  // Consul does not look at the version; names of others get BADVERS (resolver's tests).
  { name: "EDNS version 1", wire: withOpt(opt("", 0, "01")), gives: [0] },
  { name: "DO and all Z bits", wire: withOpt(opt("", 0, "00", "ffff")), gives: [0] },
  {
    name: "all bits of the header but QR",
    wire: message(header(one, "07ff"), web, typeA),
    gives: [0],
  },
  {
    name: "TSIG behind the question",
    wire: message(
      header("0001 0000 0000 0001"),
      web,
      typeA,
      hex("036b657900 00fa 00ff 00000000 0010 00 000000000000 012c 0000 abcd 0000 00"),
    ),
    gives: [0, 1],
  },
  {
    name: "SIG(0) behind the question",
    wire: message(
      header("0001 0000 0000 0001"),
      web,
      typeA,
      hex("00 0018 00ff 00000000 0013 0000 05 00 00000000 00000000 00000000 abcd 00"),
    ),
    gives: [0],
  },
  {
    name: "trailing garbage",
    wire: message(header(one), web, typeA, randomBytes(40)),
    gives: [0],
  },
  { name: "class CH", wire: message(header(one), web, hex("0001 0003")), gives: [0, 3] },
  { name: "class NONE", wire: message(header(one), web, hex("0001 00fe")), gives: [0, 3] },
  { name: "class ANY", wire: message(header(one), web, hex("0001 00ff")), gives: [0, 3] },
  { name: "QTYPE 0", wire: message(header(one), web, hex("0000 0001")), gives: [0, 3] },
  { name: "QTYPE 255", wire: message(header(one), web, hex("00ff 0001")), gives: [0] },
  { name: "QTYPE 65535", wire: message(header(one), web, hex("ffff 0001")), gives: [0, 3] },
  { name: "AXFR", wire: message(header(one), web, hex("00fc 0001")), gives: [4] },
  { name: "IXFR", wire: message(header(one), web, hex("00fb 0001")), gives: [4, 0] },
  {
    name: "NUL and dot inside a label",
    wire: withName(hex("03 612e00 07 73657276696365 06 636f6e73756c 00")),
    gives: [3],
  },
  {
    name: "octets above 127",
    wire: withName(hex("03 ffc3a9 07 73657276696365 06 636f6e73756c 00")),
    gives: [3],
  },
  ...Array.from({ length: 15 }, (_, i) => i + 1).map((opcode) => ({
    name: `opcode ${opcode}`,
    wire: message(header(one, (0x0100 | (opcode << 11)).toString(16).padStart(4, "0")), web, typeA),
    // NOTIFY is served like a query, as by Consul.
    gives: [opcode === 4 ? 0 : 4],
  })),
];

const valid = [
  query(1, "web.service.consul"),
  query(2, "_web._tcp.service.consul", "SRV"),
  query(3, "2.0.1.10.in-addr.arpa", "PTR"),
  query(4, "n1.node.consul", "TXT"),
  withOpt(opt("0008000700011800c00002")),
];

/**
 * The next question is answered. Asked up to three times, as stub resolvers do: the replies to a burst
 * may fill this socket's own receive buffer.
 */
async function alive(t: Test, client: UdpClient, after: string): Promise<void> {
  for (let attempt = 0; attempt < 3; attempt++)
    if ((await client.ask(query(4_242, "web.service.consul"), 2_000)) !== undefined) return;
  t.fail(`no answer after ${after}`);
}

t.test("parser: malformed messages", async (t) => {
  const program = await startProgram(t);
  const client = await udpClient(program.dnsPort);
  t.teardown(() => client.close());
  await program.http("PUT", "/v1/catalog/register", {
    Node: "a",
    Address: "10.1.0.1",
    Service: { Service: "web", Port: 80 },
  });

  const judge = (name: string, wire: Buffer, reply: Buffer | undefined, gives: Expected) => {
    if (gives === "none") {
      t.equal(reply, undefined, `${name}: no reply`);
      return;
    }
    t.ok(
      reply && gives.includes(reply[3]! & 15),
      `${name}: RCODE ${reply && reply[3]! & 15} of ${gives.join(", ")}`,
    );
    if (!reply) return;
    if (!gives.includes(0) && !gives.includes(3))
      t.ok(reply.length <= wire.length * 1.5, `${name}: ${reply.length} octets`);
    t.ok(reply[2]! & 0x80, `${name}: QR is set`);
    t.equal(reply.readUInt16BE(0), wire.readUInt16BE(0), `${name}: id is kept`);
  };
  for (const { name, wire, gives } of attacks) {
    const limit = gives === "none" ? 150 : 2_000;
    const reply = wire.length < 2 ? undefined : await client.ask(wire, limit);
    if (wire.length < 2) client.socket.send(wire);
    judge(`${name}, UDP`, wire, reply, gives);
    const [overTcp] = await tcpExchange(program.dnsPort, framed(wire), limit);
    judge(`${name}, TCP`, wire, overTcp, gives);
    await alive(t, client, name);
  }

  const pieces = framed(query(9, "web.service.consul"));
  t.equal(
    (await tcpExchange(program.dnsPort, Buffer.concat([pieces, pieces]))).length,
    2,
    "two in one segment",
  );
  for (const prefix of [
    hex("0000"),
    hex("0001 00"),
    hex("000b 0102030405060708090a0b"),
    hex("ffff 00"),
  ])
    t.same(await tcpExchange(program.dnsPort, prefix, 500), [], `TCP ${prefix.toString("hex")}`);
  await alive(t, client, "odd TCP lengths");
});

t.test("parser: prefixes, one-octet changes, random mutations", async (t) => {
  const program = await startProgram(t);
  const client = await udpClient(program.dnsPort);
  t.teardown(() => client.close());
  let sent = 0;
  const send = async (wire: Buffer) => {
    client.socket.send(wire);
    if (++sent % IN_FLIGHT === 0)
      await alive(t, client, `${sent} packets, last ${wire.toString("hex")}`);
  };
  for (const wire of valid) {
    for (let length = 0; length < wire.length; length++) await send(wire.subarray(0, length));
    for (let at = 0; at < wire.length; at++)
      for (let octet = 0; octet < 256; octet++) {
        const changed = Buffer.from(wire);
        changed[at] = octet;
        await send(changed);
      }
  }
  const seed = Number(process.env["FUZZ_SEED"] ?? randomBytes(4).readUInt32BE(0));
  t.comment(`seed ${seed}`);
  let state = seed || 1;
  const random = (below: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  for (let n = 0; n < MUTATIONS; n++) {
    const wire = Buffer.from(valid[random(valid.length)]!);
    for (let change = 1 + random(6); change > 0; change--) wire[random(wire.length)] = random(256);
    await send(random(4) === 0 ? wire.subarray(0, random(wire.length)) : wire);
  }
  await alive(t, client, "all of it");
  t.equal(program.child.exitCode, null, "the process lives");
  t.notMatch(program.output(), /panic|assertion|TypeError|RangeError/, "nothing was thrown");
  t.comment(`${sent} packets`);
});

t.test("parser: one octet a segment over TCP", async (t) => {
  const program = await startProgram(t);
  const { connect } = await import("node:net");
  const socket = connect(program.dnsPort, "127.0.0.1");
  await once(socket, "connect");
  socket.setNoDelay(true);
  const wire = framed(query(7, "web.service.consul"));
  for (const octet of wire) socket.write(Buffer.from([octet]));
  const [reply] = (await once(socket, "data")) as [Buffer];
  t.equal(reply.readUInt16BE(2), 7, "one octet a segment is answered");
  socket.destroy();
});
