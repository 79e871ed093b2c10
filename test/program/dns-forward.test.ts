/** Names of others through the real program: what is asked for, and what each client gets. */
import t from "tap";
import { setTimeout as sleep } from "node:timers/promises";
import dnsPacket from "dns-packet";
import { decode, framed, tcpExchange } from "../dns-client.ts";
import { a, cname, replyTo, soa, type ReplyParts } from "../upstream.ts";
import {
  overTcp,
  question,
  records,
  saying,
  startScene,
  ttls,
  type Seen,
  type Options,
} from "./scene.ts";

t.test(
  "S6, ask 48: identical questions on their way cost one packet, whatever case and transport",
  async (t) => {
    let release = (): void => {};
    const gate = new Promise<void>((open) => (release = open));
    const { program, upstream, client } = await startScene(t, async (got) => {
      await gate;
      return [replyTo(got, { answers: [a(got.name, "192.0.2.1", 60)] })];
    });
    const spellings = ["www.Slow.test", "WWW.slow.TEST", "wWw.sLow.tEst"];
    const asks = Array.from({ length: 60 }, async (_, i) => {
      const name = spellings[i % 3]!;
      const wire = question(name, i % 2 === 0 ? {} : { edns: 1232 });
      if (i % 5 === 0) {
        const [reply] = await tcpExchange(program.dnsPort, framed(wire), 15_000);
        return { name, reply };
      }
      return { name, reply: await client.ask(wire, 15_000) };
    });
    for (const until = Date.now() + 3_000; Date.now() < until; await sleep(10)) {
      const text = (await program.http("GET", "/metrics")).text;
      const joined = /^waypost_\w*(?:coalesced|joined)\w* (\d+)/m.exec(text);
      if (joined !== null && Number(joined[1]) >= 59) break;
    }
    release();
    for (const { name, reply } of await Promise.all(asks))
      t.same(records(decode(reply!) as Seen), [`${name} A 192.0.2.1`]);
    // The answer was held back for as long as all have come: on a busy machine it is asked for once more.
    t.ok(upstream.got.length <= 2, `${upstream.got.length} packets for ${asks.length} questions`);
  },
);

t.test("S13: DO, CD and AD: each gets what it asked for", async (t) => {
  const { ask, upstream } = await startScene(
    t,
    saying(({ name, packet }) => {
      const opt = (packet.additionals ?? []).find(({ type }) => type === "OPT");
      const dnssecOk = opt !== undefined && ((opt as { flags?: number }).flags! & 0x8000) !== 0;
      const cd = (packet.flags! & 0x10) !== 0;
      return {
        flags: 0x20,
        answers: [a(name, `192.0.2.${(dnssecOk ? 1 : 0) + (cd ? 2 : 0)}`)],
      };
    }),
  );
  const kinds: Options[] = [{}, { do: true }, { cd: true }, { do: true, cd: true }];
  for (const order of [kinds, kinds.toReversed()]) {
    const name = order === kinds ? "forth.test" : "back.test";
    for (const round of [1, 2, 3])
      for (const options of order)
        for (const ad of [false, true]) {
          const seen = await ask(name, { ...options, ad });
          const own = (options.do ? 1 : 0) + (options.cd ? 2 : 0);
          const label = `${name} ${JSON.stringify(options)} AD ${ad} round ${round}`;
          t.same(records(seen), [`${name} A 192.0.2.${own}`], label);
          t.equal(seen.flag_ad, false, `${label}: AD of a server that is not trusted`);
          t.equal(seen.flag_cd, options.cd === true, `${label}: CD`);
          const opt = (seen.additionals ?? []).find(({ type }) => type === "OPT");
          t.equal(
            opt === undefined ? undefined : (opt as { flag_do?: boolean }).flag_do,
            options.do,
            `${label}: DO is repeated (RFC 3225 3)`,
          );
        }
    t.equal(upstream.count(name), 4);
  }
});

t.test(
  "ask 27: truncated: the whole answer over TCP; small clients get TC, then the rest",
  async (t) => {
    const many = (name: string) => Array.from({ length: 100 }, (_, i) => a(name, `192.0.2.${i}`));
    const { ask, upstream, program } = await startScene(t, (got) =>
      got.transport === "udp"
        ? [
            replyTo(got, {
              flags: dnsPacket.TRUNCATED_RESPONSE,
              answers: many(got.name).slice(0, 9),
            }),
          ]
        : [replyTo(got, { answers: many(got.name) })],
    );
    for (const round of [1, 2]) {
      const small = await ask("many.test");
      t.equal(small.flag_tc, true, `512 octets, round ${round}`);
      t.ok(small.answers!.length < 100);
      t.equal((await ask("many.test", { edns: 1232 })).flag_tc, true);
      const large = await ask("many.test", { edns: 4096 });
      t.equal(large.answers?.length, 100);
      t.equal(large.flag_tc, false);
      const whole = await overTcp(program, "many.test");
      t.equal(whole.answers?.length, 100);
      t.equal(whole.flag_tc, false);
    }
    t.same(
      upstream.got.map(({ transport }) => transport),
      ["udp", "tcp"],
    );
  },
);

t.test("host names as addresses: what the upstream may do to them", async (t) => {
  const { ask, upstream, program } = await startScene(
    t,
    (got) => {
      const [kind = ""] = got.name.split(".");
      const parts: Record<string, ReplyParts> = {
        v4: { answers: [a(got.name, "192.0.2.1", 300)] },
        v6only: { authorities: [soa("test", 300, 300)] },
        gone: { rcode: 3, authorities: [soa("test", 300, 300)] },
        broken: { rcode: 2 },
        refused: { rcode: 5 },
        loop: { answers: [cname(got.name, "pool.test"), cname("pool.test", got.name)] },
        many: { answers: Array.from({ length: 9 }, (_, i) => a(got.name, `192.0.2.${i}`, 300)) },
        inward: {
          answers: [cname(got.name, "v4.service.consul"), a("v4.service.consul", "6.6.6.6")],
        },
      };
      return kind === "silent" ? [] : [replyTo(got, parts[kind] ?? {})];
    },
    { dns_config: { service_ttl: { "*": "5s" }, recursor_timeout: "400ms" } },
  );
  for (const kind of ["v4", "v6only", "gone", "broken", "refused", "loop", "silent", "many"])
    await program.http("PUT", "/v1/catalog/register", {
      Node: `ext-${kind}`,
      Address: `${kind}.test`,
      Service: { Service: kind, Port: 80 },
    });
  for (const round of [1, 2])
    for (const [kind, behind] of [
      ["v4", 1],
      ["v6only", 0],
      ["gone", 0],
      ["broken", 0],
      ["refused", 0],
      ["loop", 0],
      ["silent", 0],
    ] as const)
      for (const type of ["A", "AAAA", "MX", "SRV"] as const) {
        const seen = await ask(`${kind}.service.consul`, { type });
        const label = `${kind} ${type} ${round}`;
        t.equal(seen.rcode, "NOERROR", label);
        t.equal(seen.flag_aa, true, label);
        const chain = type === "SRV" ? seen.additionals! : seen.answers!.slice(1);
        t.equal(seen.answers![0]!.type, type === "SRV" ? "SRV" : "CNAME", label);
        t.equal(chain.filter(({ type: found }) => found !== "OPT").length, behind, label);
        t.same(new Set(ttls(seen)), new Set([5]), `${label}: the service's TTL`);
      }
  t.equal((await ask("many.service.consul", { edns: 4096 })).answers!.length, 10, "all with EDNS");
  t.equal((await overTcp(program, "many.service.consul")).answers!.length, 6, "five without");
  t.ok(
    upstream.got.every(({ type }) => type === "A"),
    "asked for type A only",
  );
});
