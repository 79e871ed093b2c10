/** What an upstream, or somebody in its place, cannot do to the real program. */
import t from "tap";
import { setTimeout as sleep } from "node:timers/promises";
import dnsPacket from "dns-packet";
import { BUSY_MS } from "../program.ts";
import { a, cname, replyTo, type Got, type ReplyParts } from "../upstream.ts";
import { overTcp, records, saying, startScene } from "./scene.ts";

t.test("S3, S5: what does not match is not the reply", async (t) => {
  const evil = (got: Got, change: (wire: Buffer) => void): Buffer => {
    const wire = replyTo(got, { answers: [a(got.name, "6.6.6.6", 600)] });
    change(wire);
    return wire;
  };
  const { ask, upstream } = await startScene(t, async (got) => {
    const forged: Record<string, Uint8Array[]> = {
      id: [evil(got, (wire) => wire.writeUInt16BE((got.packet.id! + 1) & 0xffff))],
      name: [evil(got, (wire) => wire.write("x", 13))],
      type: [evil(got, (wire) => (wire[12 + got.name.length + 3] = 28))],
      class: [evil(got, (wire) => (wire[12 + got.name.length + 5] = 3))],
      query: [evil(got, (wire) => (wire[2]! &= 0x7f))],
      none: [evil(got, (wire) => wire.writeUInt16BE(0, 4))],
      two: [evil(got, (wire) => wire.writeUInt16BE(2, 4))],
      short: [Buffer.alloc(11), Buffer.alloc(0)],
    };
    const [kind = ""] = got.name.split(".");
    if (kind === "port") {
      // From another port of the same host.
      const { createSocket } = await import("node:dgram");
      const socket = createSocket("udp4");
      await new Promise<void>((sent) =>
        socket.send(
          evil(got, () => {}),
          got.port,
          "127.0.0.1",
          () => sent(),
        ),
      );
      socket.close();
    }
    await sleep(50);
    return [...(forged[kind] ?? []), replyTo(got, { answers: [a(got.name, "192.0.2.1", 60)] })];
  });
  for (const kind of ["id", "name", "type", "class", "query", "none", "two", "short", "port"])
    for (const round of [1, 2])
      t.same(
        records(await ask(`${kind}.forged.test`)),
        [`${kind}.forged.test A 192.0.2.1`],
        `${kind} ${round}`,
      );
  t.equal(upstream.got.length, 9, "nobody was asked twice");
});

t.test(
  "S7, S20: only the chain from the question is used, and our own names are ours",
  async (t) => {
    const bad = "6.6.6.6";
    const { ask, upstream, program } = await startScene(
      t,
      saying((got): ReplyParts => {
        const { name } = got;
        if (name === "extra.test")
          return {
            answers: [a(name, "192.0.2.1"), a("victim.test", bad), a("web.service.consul", bad)],
            authorities: [{ type: "NS", name: "test", ttl: 600, data: "ns.victim.test" }],
            additionals: [a("ns.victim.test", bad), a("victim.test", bad)],
          };
        if (name === "alias.test")
          return {
            answers: [cname(name, "web.service.consul", 600), a("web.service.consul", bad, 600)],
          };
        if (name === "deep.test")
          return {
            answers: [
              cname(name, "middle.test", 600),
              cname("middle.test", "Web.Service.Consul", 600),
              cname("web.service.consul", "evil.test", 600),
              a("evil.test", bad, 600),
            ],
          };
        if (name === "nowhere.test")
          return {
            answers: [cname(name, "nope.service.consul", 600), a("nope.service.consul", bad)],
          };
        if (name === "self.test") return { answers: [cname(name, name)] };
        if (name === "loop.test")
          return { answers: [cname(name, "pool.test"), cname("pool.test", name)] };
        if (name === "long.test")
          return {
            answers: Array.from({ length: 50 }, (_, i) =>
              cname(i === 0 ? name : `l${i}.test`, `l${i + 1}.test`),
            ),
          };
        return { answers: [a(name, "192.0.2.77")] };
      }),
    );
    await program.http("PUT", "/v1/catalog/register", {
      Node: "app1",
      Address: "10.1.0.1",
      Service: { Service: "web", Port: 80 },
    });
    for (const round of [1, 2]) {
      t.same(records(await ask("extra.test")), ["extra.test A 192.0.2.1"], `${round}`);
      for (const [name, expected] of [
        ["alias.test", ["alias.test CNAME web.service.consul", "web.service.consul A 10.1.0.1"]],
        [
          "deep.test",
          [
            "deep.test CNAME middle.test",
            "middle.test CNAME Web.Service.Consul",
            "Web.Service.Consul A 10.1.0.1",
          ],
        ],
        ["nowhere.test", ["nowhere.test CNAME nope.service.consul"]],
      ] as const) {
        t.same(records(await ask(name)), expected, `${name} ${round}`);
        t.same(records(await overTcp(program, name)), expected, `${name} over TCP ${round}`);
      }
      for (const name of ["self.test", "loop.test", "long.test"])
        t.match(await ask(name), { rcode: "SERVFAIL", answers: [] }, `${name} ${round}`);
    }
    t.same(records(await ask("victim.test")), ["victim.test A 192.0.2.77"]);
    t.same(records(await ask("web.service.consul")), ["web.service.consul A 10.1.0.1"]);
    t.ok(upstream.got.length < 20, `${upstream.got.length} questions`);
    // What stands behind the alias is the catalog's, now as later.
    await program.http("PUT", "/v1/catalog/register", { Node: "app1", Address: "10.1.0.2" });
    t.same(records(await ask("alias.test")), [
      "alias.test CNAME web.service.consul",
      "web.service.consul A 10.1.0.2",
    ]);
  },
);

t.test(
  "parser: replies that are no messages, over UDP and TCP: never a crash, and the next is answered",
  async (t) => {
    const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
    const record = (type: number, length: number, data: string, owner = "c00c") =>
      hex(
        `${owner} ${type.toString(16).padStart(4, "0")} 0001 0000003c ${length.toString(16).padStart(4, "0")} ${data}`,
      );
    const pointer = (at: number) => (0xc000 | at).toString(16);
    /** Where the RDATA of a first record stands behind the question for bad-NN.test. */
    const chain = 12 + "bad-10.test".length + 2 + 4 + 12;
    const tails: [what: string, counts: string, tail: Buffer][] = [
      ["counts lie", "0001ffffffffffff", Buffer.alloc(0)],
      ["A too short", "0001000100000000", record(1, 3, "010203")],
      ["A too long", "0001000100000000", record(1, 5, "0102030405")],
      ["RDLENGTH past the end", "0001000100000000", record(1, 400, "01020304")],
      ["AAAA too short", "0001000100000000", record(28, 4, "01020304")],
      ["SRV cut", "0001000100000000", record(33, 4, "00010001")],
      ["SOA cut", "0001000000010000", record(6, 4, "c00cc00c")],
      ["TXT lies", "0001000100000000", record(16, 2, "ff61")],
      ["MX without name", "0001000100000000", record(15, 2, "0001")],
      ["CNAME pointing at itself", "0001000100000000", record(5, 2, "c029")],
      ["owner pointing at itself", "0001000100000000", record(1, 4, "01020304", "c01d")],
      ["owner pointing forward", "0001000100000000", record(1, 4, "01020304", "c0ff")],
      ["owner pointing into the header", "0001000100000000", record(1, 4, "01020304", "c002")],
      ["label type 0x40", "0001000100000000", record(1, 4, "01020304", "416100")],
      ["label type 0x80", "0001000100000000", record(1, 4, "01020304", "816100")],
      ["root missing", "0001000100000000", hex("03616161")],
      ["two OPT", "0001000000000002", hex("00002904d000000000000000002904d0000000000000")],
      ["OPT in the answer section", "0001000100000000", hex("00002904d0000000000000")],
      ["OPT with options that overrun", "0001000000000001", hex("00002904d0000000000004000a00ff")],
      ["OPT not at the root", "0001000000000001", hex("016100002904d0000000000000")],
      ["garbage behind", "0001000000000000", Buffer.alloc(300, 0xc0)],
      [
        "owner behind 127 pointers",
        "0001000100000000",
        Buffer.concat([
          record(
            10,
            254,
            Array.from({ length: 127 }, (_, i) => pointer(i === 0 ? 12 : chain + 2 * (i - 1))).join(
              "",
            ),
          ),
          record(1, 4, "01020304", pointer(chain + 252)),
        ]),
      ],
      [
        "name of 256 octets",
        "0001000100000000",
        record(1, 4, "01020304", `${`3f${"61".repeat(63)}`.repeat(4)}00`),
      ],
      ["NUL and dots in labels", "0001000100000000", record(5, 6, "04612e005c00")],
      [
        "65535 octets",
        "0001000100000000",
        Buffer.concat([record(16, 65000, ""), Buffer.alloc(65000)]),
      ],
    ];
    let tail = tails[0]!;
    let truncateFirst = false;
    const { ask, upstream, program } = await startScene(t, (got) => {
      if (got.name === "good.test" || got.name.startsWith("good-"))
        return [replyTo(got, { answers: [a(got.name, "192.0.2.1", 0)] })];
      if (truncateFirst && got.transport === "udp")
        return [replyTo(got, { flags: dnsPacket.TRUNCATED_RESPONSE })];
      const [, counts, octets] = tail;
      const question = got.wire.subarray(12, 12 + got.name.length + 2 + 4);
      const head = Buffer.concat([got.wire.subarray(0, 2), hex(`8180${counts}`), question]);
      const wire = Buffer.concat([head, octets]);
      return [got.transport === "udp" ? wire.subarray(0, 60_000) : wire.subarray(0, 65_535)];
    });
    let n = 0;
    for (const overTcpOnly of [false, true]) {
      truncateFirst = overTcpOnly;
      for (tail of tails) {
        const name = `bad-${n++}.test`;
        const before = upstream.got.length;
        const startedMs = performance.now();
        const seen = await ask(name, { edns: 4096 });
        const ms = performance.now() - startedMs;
        const label = `${tail[0]}${overTcpOnly ? ", TCP" : ""}: ${seen.rcode}`;
        t.ok(ms < 3_000 + BUSY_MS, `${label} after ${ms.toFixed()} ms`);
        t.ok(upstream.got.length - before <= 2, `${label}: at most two packets`);
        t.same(
          records(await ask(`good-${n}.test`)),
          [`good-${n}.test A 192.0.2.1`],
          `${label}: next`,
        );
      }
    }
    t.equal(program.child.exitCode, null);
    t.notMatch(program.output(), /panic|assertion|TypeError|RangeError/);
  },
);

t.test("a reply that never ends over TCP is given up, and holds up nobody", async (t) => {
  const { ask } = await startScene(t, (got) => {
    if (got.name === "good.test") return [replyTo(got, { answers: [a(got.name, "192.0.2.1", 0)] })];
    return got.transport === "udp" ? [replyTo(got, { flags: dnsPacket.TRUNCATED_RESPONSE })] : [];
  });
  const startedMs = performance.now();
  const hanging = ask("hangs.test");
  t.same(records(await ask("good.test")), ["good.test A 192.0.2.1"]);
  const seen = await hanging;
  t.ok(performance.now() - startedMs < 3_000 + BUSY_MS, "within 3 s");
  t.ok(seen.flag_tc || seen.rcode === "SERVFAIL", `${seen.rcode}, TC ${seen.flag_tc}`);
});
