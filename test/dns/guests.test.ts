/** What clients beyond loopback get from the main thread: payload, cookies, nothing in fragments. */
import t from "tap";
import { createGateOwner } from "../../src/dns/gate-writer.ts";
import type { Client } from "../../src/ports.ts";
import { register, node, service } from "../cluster/state-fixtures.ts";
import { everybody } from "./gate-rules.ts";
import { query } from "./prepared.ts";
import { createWorld, decode, good, type WorldOptions } from "./resolver-world.ts";
import { TYPE } from "../../src/dns/rr.ts";

const guest: Client = { address: "192.0.2.7", port: 4000, transport: "udp" };

function createScene(settings: WorldOptions["settings"] = {}) {
  let nowSeconds = 1_700_000_000;
  const gate = createGateOwner(() => nowSeconds, 3);
  gate.write(everybody);
  const text = Uint8Array.of(
    ...Array.from({ length: 8 }, () => [200, ...Buffer.alloc(200, 120)]).flat(),
  );
  const world = createWorld({
    gate,
    settings: { recursorsConfigured: true, ...settings },
    upstream: ({ qname }) =>
      good({
        answers: [{ owner: qname, type: TYPE.TXT, class: 1, ttl: 60, data: text }],
        edns: {
          payload: 4096,
          flags: 0,
          options: Uint8Array.of(0, 10, 0, 2, 9, 9, 0, 3, 0, 1, 65),
        },
      }),
  });
  for (let i = 0; i < 90; i++)
    world.apply(register(node(`n${i}`, { address: `10.1.0.${i}` }), service("web")));
  world.apply(register(node("big", { meta: { note: "v".repeat(500) } })));
  return { world, advance: (seconds: number) => (nowSeconds += seconds) };
}

const options = (data: Uint8Array | number[]) => [{ code: 10, data: Buffer.from(data) }] as never;
const CLIENT = [1, 2, 3, 4, 5, 6, 7, 8];
type OptRecord = {
  type: string;
  udpPayloadSize: number;
  options: { code: number; data: Buffer }[];
};
const optOf = (wire: Uint8Array | null) =>
  (decode(wire).additionals ?? []).find(({ type }) => type === "OPT") as unknown as
    OptRecord | undefined;
const cookieOf = (wire: Uint8Array | null) =>
  optOf(wire)?.options.find(({ code }) => code === 10)?.data;

t.test("S10: at most 1232 octets, though the client would take more", async (t) => {
  const { world } = createScene();
  const ask = (name: string, type: string, client?: Client, edns = 4096) =>
    world.compute(query(name, type, { edns }), client)!;
  const local = ask("web.service.consul", "A");
  t.ok(local.length > 1400, `${local.length} on loopback`);
  t.equal(optOf(local)!.udpPayloadSize, 4096);
  const beyond = ask("web.service.consul", "A", guest);
  t.ok(beyond.length <= 1232, `${beyond.length} beyond`);
  t.ok(decode(beyond).answers!.length > 60);
  t.equal(optOf(beyond)!.udpPayloadSize, 1232);
  t.ok(ask("web.service.consul", "A", guest, 700).length <= 700);
  t.equal(ask("web.service.consul", "A", { ...guest, transport: "tcp" }).length, local.length);

  const foreign = ask("txt.example.com", "TXT", guest);
  t.match(decode(foreign), { flag_tc: true, answers: [] });
  t.ok(ask("txt.example.com", "TXT").length > 1600);
});

t.test("one record of ours that is larger than the payload is TC, not fragments", async (t) => {
  const { world } = createScene();
  const wire = query("big.node.consul", "TXT");
  const whole = world.compute(wire)!;
  t.ok(whole.length > 512, "on loopback it is sent, as Consul does");
  t.equal(decode(whole).answers!.length, 1);
  for (const address of [guest.address, "2001:db8::1"]) {
    const reply = decode(world.compute(wire, { ...guest, address }));
    t.match(reply, { flag_tc: true, rcode: "NOERROR", answers: [], additionals: [] });
    const overTcp = world.compute(wire, { ...guest, address, transport: "tcp" });
    t.equal(decode(overTcp).answers!.length, 1);
  }
  t.equal(world.resolver.counters.truncated, 2);
});

t.test("S15: ANY over UDP beyond loopback is short", async (t) => {
  const { world } = createScene();
  const wire = query("web.service.consul", "ANY", { edns: 4096 });
  t.equal(decode(world.compute(wire)).answers!.length, 90, "as Consul on loopback");
  const reply = world.compute(wire, guest)!;
  t.ok(reply.length <= 120, `${reply.length} octets`);
  t.match(decode(reply), { flag_tc: true, rcode: "NOERROR", answers: [] });
  const overTcp = world.compute(wire, { ...guest, transport: "tcp" });
  t.equal(decode(overTcp).answers!.length, 90);
});

t.test("S16: client cookie alone, good, bad, expired, of a wrong length", async (t) => {
  const { world, advance } = createScene();
  for (const name of ["web.service.consul", "www.example.com", "nope.service.consul"]) {
    const ask = (data: Uint8Array | number[], client = guest) =>
      world.compute(query(name, "A", { edns: 1232, options: options(data) }), client)!;
    const cookie = cookieOf(ask(CLIENT))!;
    t.equal(cookie.length, 24, name);
    t.same([...cookie.subarray(0, 8)], CLIENT);
    t.same(cookieOf(ask(cookie)), cookie, "good: given again");
    t.same(cookieOf(ask(cookie, { ...guest, transport: "tcp" })), cookie, "over TCP as well");
    const stranger = cookieOf(ask(cookie, { ...guest, address: "192.0.2.8" }))!;
    t.not(stranger.toString("hex"), cookie.toString("hex"), "somebody else's: a new one");
    advance(4000);
    const expired = ask(cookie);
    t.not(cookieOf(expired)!.toString("hex"), cookie.toString("hex"), "expired: a new one");
    t.equal(decode(expired).answers!.length, decode(ask(CLIENT)).answers!.length, "and the answer");
    for (const wrong of [0, 7, 9, 15, 41]) {
      const reply = ask(new Uint8Array(wrong).fill(1));
      t.equal(reply[3]! & 15, 1, `${wrong} octets: FORMERR`);
    }
    t.equal(
      cookieOf(ask(CLIENT, { ...guest, address: "127.0.0.1" })),
      undefined,
      "not on loopback",
    );
    t.equal(ask([1], { ...guest, address: "::1" })[3]! & 15, ask(CLIENT)[3]! & 15);
  }
  t.equal(world.resolver.counters.malformed.get("cookie"), 15);
});

t.test(
  "cookies are between two neighbours: none goes to an upstream, none comes from it",
  async (t) => {
    for (const forwardCache of [true, false]) {
      const seen: Uint8Array[] = [];
      const { world } = createScene({ forwardCache });
      const wire = world.compute(
        query("www.example.com", "A", {
          edns: 1232,
          options: [...(options(CLIENT) as never[]), { code: 3, data: Buffer.from("x") } as never],
        }),
        guest,
      );
      for (const { edns } of world.forwarded) if (edns !== null) seen.push(edns.options);
      t.same(
        seen.map((each) => [...each]),
        [[0, 3, 0, 1, 120]],
        "NSID alone",
      );
      t.equal(optOf(wire)!.options.filter(({ code }) => code === 10).length, 1);
      t.same([...cookieOf(wire)!.subarray(0, 8)], CLIENT);
    }
  },
);
