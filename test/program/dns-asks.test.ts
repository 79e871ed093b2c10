/** What needs sockets, processes and files of the real program, by number of the ask or threat. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import dnsPacket from "dns-packet";
import { decode, query, udpClient } from "../dns-client.ts";
import { startProgram, type Program } from "../program.ts";
import { a, answering, replyTo, type Got } from "../upstream.ts";
import { overTcp, question, records, saying, startScene, type Seen } from "./scene.ts";

/** The sum of a counter's lines that hold `labels`. */
async function metric(program: Program, name: string, labels = ""): Promise<number> {
  const { text } = await program.http("GET", "/metrics");
  return text
    .split("\n")
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) => line.includes(labels))
    .reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

/** A datagram from this address and port to the socket that asked. */
async function sendFrom(
  t: Test,
  from: { address: string; port: number },
  wire: Uint8Array,
  to: number,
): Promise<void> {
  const type = from.address.includes(":") ? "udp6" : "udp4";
  const socket: Socket = createSocket({ type, reuseAddr: true });
  t.teardown(() => socket.close());
  socket.bind(from.port, from.address);
  await once(socket, "listening");
  await new Promise((sent) =>
    socket.send(wire, to, type === "udp6" ? "::1" : "127.0.0.1", () => sent(undefined)),
  );
}

const forged = (got: Got, id = got.packet.id!): Buffer => {
  const wire = replyTo(got, { answers: [a(got.name, "6.6.6.6", 600)] });
  wire.writeUInt16BE(id, 0);
  return wire;
};

t.test("S3: another id, port, address, family first, the right one 150 ms later", async (t) => {
  for (const batched of [true, false]) {
    const scene = await startScene(
      t,
      async (got) => {
        const [kind = ""] = got.name.split(".");
        const port = kind === "port" ? 0 : scenePort;
        if (kind === "port")
          await sendFrom(t, { address: "127.0.0.1", port }, forged(got), got.port);
        if (kind === "address")
          await sendFrom(t, { address: "127.0.0.2", port }, forged(got), got.port);
        if (kind === "family") await sendFrom(t, { address: "::1", port }, forged(got), got.port);
        const wrongIds =
          kind === "id" ? [1, 2].map((by) => forged(got, (got.packet.id! + by) & 0xffff)) : [];
        await sleep(150);
        return [...wrongIds, replyTo(got, { answers: [a(got.name, "192.0.2.1", 60)] })];
      },
      { batched_system_calls: batched },
    );
    const { ask, upstream, program } = scene;
    const scenePort = upstream.port;
    for (const kind of ["id", "port", "address", "family"])
      for (const round of [1, 2]) {
        const startedMs = performance.now();
        t.same(
          records(await ask(`${kind}.s3.test`)),
          [`${kind}.s3.test A 192.0.2.1`],
          `${kind}, round ${round}, batched ${batched}`,
        );
        t.ok(performance.now() - startedMs > (round === 1 ? 140 : 0), "waited for");
      }
    // The machine may be so busy that the program asks once more.
    t.ok(upstream.got.length >= 4 && upstream.got.length <= 8, `${upstream.got.length} questions`);
    const suspects = await metric(program, "waypost_proxy_spoof_suspects_total");
    const most = 2 * upstream.count("id.s3.test");
    t.ok(suspects >= 2 && suspects <= most, `${suspects} suspects: the two ids`);
  }
});

t.test(
  "S4: a thousand wrong ids: TCP instead, nothing forged kept, the rest of the cache stays",
  async (t) => {
    const { ask, upstream, program } = await startScene(t, async (got) => {
      const good = replyTo(got, { answers: [a(got.name, "192.0.2.1", 60)] });
      // Slow once, so that the questions after it are not repeated where this process is late.
      if (got.name === "slow.test") await sleep(200);
      if (got.transport === "tcp" || !got.name.startsWith("guess")) return [good];
      const one = forged(got);
      const wrong = Array.from({ length: 1000 }, (_, i) => {
        const wire = Buffer.from(one);
        wire.writeUInt16BE((got.packet.id! + 1 + i) & 0xffff);
        return wire;
      });
      return [...wrong, good];
    });
    t.same(records(await ask("slow.test")), ["slow.test A 192.0.2.1"]);
    t.same(records(await ask("before.test")), ["before.test A 192.0.2.1"]);
    for (const name of ["guess1.test", "guess2.test", "guess1.test"])
      t.same(records(await ask(name)), [`${name} A 192.0.2.1`]);
    t.same(
      upstream.got
        .filter(({ name }) => name !== "slow.test")
        .map(({ name, transport }) => `${name} ${transport}`),
      [
        "before.test udp",
        "guess1.test udp",
        "guess1.test tcp",
        "guess2.test udp",
        "guess2.test tcp",
      ],
    );
    const suspects = await metric(program, "waypost_proxy_spoof_suspects_total");
    t.ok(suspects >= 2 && suspects <= 10, `${suspects} near misses, at most five each`);
    t.same(records(await ask("before.test")), ["before.test A 192.0.2.1"]);
    t.equal(upstream.count("before.test"), 1, "nothing was flushed");
    t.equal(program.child.exitCode, null);
  },
);

t.test(
  "S2: a server that answers in lower case: one retry, a metric, the client's spelling",
  async (t) => {
    const folded = (got: Got): Uint8Array[] => {
      const questions = [{ ...got.packet.questions![0]!, name: got.name }];
      return [
        replyTo(
          { ...got, packet: { ...got.packet, questions } },
          {
            answers: [a(got.name, "192.0.2.1", 60)],
          },
        ),
      ];
    };
    const { ask, upstream, program } = await startScene(t, folded);
    for (const name of ["Www.Longer-Name.test", "ANOTHER-NAME.test", "third.name.test"])
      t.same(records(await ask(name)), [`${name} A 192.0.2.1`]);
    t.equal(upstream.got.length, 4, "one of them twice");
    t.equal(await metric(program, "waypost_proxy_case_mismatches_total"), 1);
  },
);

t.test(
  "ask 17: while a restarted server reads its log nobody is told that names do not exist",
  async (t) => {
    let program = await startProgram(t);
    const at = {
      directory: dirname(program.dataDir),
      dnsPort: program.dnsPort,
      httpPort: program.httpPort,
    };
    for (let i = 0; i < 200; i++)
      await program.http("PUT", "/v1/catalog/register", {
        Node: `app${i}`,
        Address: `10.1.0.${i}`,
        Service: { Service: "web", Port: 80 },
      });
    await program.end("SIGKILL");
    const rcodes = new Map<string, number>();
    let isUp = false;
    const hammering = (async () => {
      for (let id = 1; !isUp; id = (id + 1) & 0xffff) {
        const client = await udpClient(at.dnsPort);
        const reply = await client.ask(query(id, "web.service.consul"), 20);
        client.close();
        if (reply === undefined) continue;
        const { rcode } = decode(reply) as Seen;
        rcodes.set(rcode, (rcodes.get(rcode) ?? 0) + 1);
        await sleep(2);
      }
    })();
    program = await startProgram(t, {}, at);
    for (const until = Date.now() + 3_000; !rcodes.has("NOERROR") && Date.now() < until;)
      await sleep(10);
    isUp = true;
    await hammering;
    t.ok(rcodes.has("NOERROR"));
    t.notOk(rcodes.has("NXDOMAIN"), JSON.stringify([...rcodes]));
  },
);

t.test(
  "ask 44: A and AAAA from one socket at once, a hundred times: none is lost or mixed up",
  async (t) => {
    const { client, program } = await startScene(
      t,
      saying(({ name, type }) => ({
        answers:
          type === "A"
            ? [a(name, "192.0.2.1", 60)]
            : [{ type: "AAAA", name, ttl: 60, class: "IN", data: "2001:db8::1" }],
      })),
    );
    const startedMs = performance.now();
    for (const round of ["first", "kept"]) {
      const replies = await Promise.all(
        Array.from({ length: 100 }, (_, i) =>
          Promise.all(
            (["A", "AAAA"] as const).map((type) =>
              client.ask(question(`n${i}.test`, { type }), 10_000),
            ),
          ),
        ),
      );
      t.same(
        replies.map((both) => both.map((wire) => records(decode(wire!) as Seen)[0])),
        replies.map((_, i) => [`n${i}.test A 192.0.2.1`, `n${i}.test AAAA 2001:db8::1`]),
        round,
      );
    }
    t.ok(performance.now() - startedMs < 5_000, "nobody waits for five seconds");
    t.equal(await metric(program, "waypost_dns_tcp_accepted_total"), 0);
  },
);

t.test("ask 52: entries, octets and evictions of the cache", async (t) => {
  const { ask, program } = await startScene(t, answering("192.0.2.1", 600), {
    forwarder: { cache_size: 70_000 },
  });
  for (let i = 0; i < 600; i++) await ask(`n${i}.cache.test`);
  const entries = await metric(program, "waypost_cache_entries");
  const octets = await metric(program, "waypost_cache_bytes");
  const evicted = await metric(program, "waypost_cache_evictions_total", "capacity");
  t.ok(entries > 20 && entries < 600, `${entries} entries`);
  t.ok(octets > 20_000 && octets <= 70_000, `${octets} octets`);
  t.equal(entries + evicted, 600, "each is there or was evicted");
});

t.test("ask 27: what is truncated upstream, to clients of each size", async (t) => {
  const many = (name: string) =>
    Array.from({ length: 2400 }, (_, i) => a(name, `10.9.${i >> 8}.${i & 255}`));
  const { ask, program, upstream } = await startScene(t, (got) => [
    got.transport === "udp"
      ? replyTo(got, { flags: dnsPacket.TRUNCATED_RESPONSE })
      : replyTo(got, { answers: many(got.name) }),
  ]);
  for (const edns of [undefined, 512, 1232, 4096]) {
    const seen = await ask("huge.test", edns === undefined ? {} : { edns });
    t.match(seen, { rcode: "NOERROR", flag_tc: true }, `${edns}`);
  }
  t.equal((await overTcp(program, "huge.test")).answers?.length, 2400, "38 KiB over TCP");
  t.equal(upstream.got.length, 2, "two packets in all");
});
