/** Zones with upstreams of their own, one that dies, one that leads back: on the real program. */
import { createSocket } from "node:dgram";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { decode, udpClient } from "../dns-client.ts";
import { BUSY_MS, startProgram, type Program } from "../program.ts";
import { answering, startUpstream } from "../upstream.ts";
import { question, records, type Seen } from "./scene.ts";

async function asker(t: Test, program: Program): Promise<(name: string) => Promise<Seen>> {
  const client = await udpClient(program.dnsPort);
  t.teardown(() => client.close());
  return async (name) => {
    const reply = await client.ask(question(name), 5_000);
    if (reply === undefined) throw new Error(`no reply to ${name}`);
    // The client's questions and replies are DNS messages of its own making.
    return decode(reply) as Seen;
  };
}

const metric = async (program: Program, line: string): Promise<string | undefined> => {
  const { text } = await program.http("GET", "/metrics");
  return text
    .split("\n")
    .find((each) => each.startsWith(`${line} `))
    ?.slice(line.length + 1);
};

async function until(holds: () => Promise<boolean> | boolean, limitMs: number): Promise<boolean> {
  const endMs = performance.now() + limitMs;
  while (performance.now() < endMs) {
    if (await holds()) return true; // oxlint-disable-line no-await-in-loop -- asked again and again
    await sleep(20); // oxlint-disable-line no-await-in-loop -- the pause between
  }
  return false;
}

t.test(
  "zones go to their own servers, by a policy of their own, and follow a reload",
  async (t) => {
    const [every, corp, other] = await Promise.all(
      ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map((address) =>
        startUpstream(t, answering(address, 60)),
      ),
    );
    const zones = [
      {
        names: ["corp.test", "10.0.0.0/9"],
        servers: [corp!.address],
        mixed_case: false,
      },
      { names: ["public.corp.test"], defaults: true },
      { names: ["never.test"], local: true },
    ];
    const program = await startProgram(t, { recursors: [every!.address], forwarder: { zones } });
    const ask = await asker(t, program);
    t.same(records(await ask("wWw.Example.test")), ["wWw.Example.test A 192.0.2.1"]);
    t.same(records(await ask("wWw.Corp.test")), ["wWw.Corp.test A 192.0.2.2"]);
    t.same(records(await ask("www.public.corp.test")), ["www.public.corp.test A 192.0.2.1"]);
    t.equal((await ask("www.never.test")).rcode, "NXDOMAIN");
    await ask("1.2.3.10.in-addr.arpa");
    await ask("fTp.Corp.test");
    t.same(
      corp!.got.map(({ packet }) => packet.questions![0]!.name),
      ["wWw.Corp.test", "1.2.3.10.in-addr.arpa", "fTp.Corp.test"],
      "as they were asked",
    );
    const names = ["abcdefghijklmnop.test", "qrstuvwxyzabcdef.test"];
    for (const name of names) await ask(name); // oxlint-disable-line no-await-in-loop -- in this order
    const sent = every!.got.slice(-2).map(({ packet }) => packet.questions![0]!.name);
    t.same(
      sent.map((name) => name.toLowerCase()),
      names,
    );
    t.notSame(sent, names, "the others go out in random case");

    program.configure({
      forwarder: { zones: [{ names: ["corp.test"], servers: [other!.address] }] },
    });
    t.equal((await program.http("PUT", "/v1/agent/reload")).status, 200);
    t.same(records(await ask("www.corp.test")), ["www.corp.test A 192.0.2.3"]);
    t.equal((await ask("www.never.test")).rcode, "NOERROR");
  },
);

t.test(
  "ask 3, 4, 7: the first of two falls silent: one question is slow, one line tells it",
  async (t) => {
    const first = await startUpstream(t, answering("192.0.2.1", 1));
    const second = await startUpstream(t, answering("192.0.2.2", 1));
    const program = await startProgram(t, { recursors: [first.address, second.address] });
    const ask = await asker(t, program);
    for (let i = 0; i < 10; i++) await ask(`before-${i}.test`); // oxlint-disable-line no-await-in-loop -- round trips are learnt
    first.says(() => []);
    const before = first.got.length;
    for (let i = 0; i < 40; i++) {
      const seen = await ask(`n${i}.test`); // oxlint-disable-line no-await-in-loop -- one after the other
      t.same(records(seen), [`n${i}.test A 192.0.2.2`]);
      await sleep(20); // oxlint-disable-line no-await-in-loop -- as a client would
    }
    const toFirst = first.got.length - before;
    t.ok(toFirst <= 30, `${toFirst} of 40 to the silent one: others are not held up by it`);
    t.ok(
      await until(
        () => program.output().includes("dns: upstream does not answer"),
        3_000 + BUSY_MS,
      ),
      "after 2 s it counts as down",
    );
    t.match(
      program.output(),
      new RegExp(`does not answer: upstream=${first.address} reason=timeout`),
    );
    t.equal(await metric(program, `waypost_proxy_up{to="${first.address}"}`), "0");
    t.equal(await metric(program, `waypost_proxy_up{to="${second.address}"}`), "1");
    first.says(answering("192.0.2.1", 1));
    let i = 0;
    const isBack = async (): Promise<boolean> =>
      records(await ask(`back-${i++}.test`))[0]!.endsWith("192.0.2.1");
    t.ok(await until(isBack, 1_000 + BUSY_MS), "back within a second");
    t.match(program.output(), /dns: upstream answers again/);
    t.equal(program.output().split("does not answer").length, 2, "one line");
  },
);

/** Passes every question on to this port, and the reply back. */
async function startRelay(t: Test, to: number): Promise<{ port: number; passed: () => number }> {
  let passed = 0;
  const inward = createSocket("udp4");
  inward.on("message", (wire, from) => {
    passed++;
    const outward = createSocket("udp4");
    const end = setTimeout(() => outward.close(), 4_000);
    t.teardown(() => clearTimeout(end));
    outward.unref();
    outward.on("message", (reply) => inward.send(reply, from.port, from.address));
    outward.send(wire, to, "127.0.0.1");
  });
  await new Promise<void>((bound) => inward.bind(0, "127.0.0.1", bound));
  t.teardown(() => inward.close());
  return { port: inward.address().port, passed: () => passed };
}

t.test("ask 37: an upstream that leads back is left out, the others serve", async (t) => {
  const upstream = await startUpstream(t, answering("192.0.2.1", 60));
  const program = await startProgram(t, { recursors: [upstream.address] });
  const relay = await startRelay(t, program.dnsPort);
  program.configure({ recursors: [`127.0.0.1:${relay.port}`, upstream.address] });
  t.equal((await program.http("PUT", "/v1/agent/reload")).status, 200);
  const ask = await asker(t, program);
  for (let i = 0; i < 20; i++) {
    const name = `some-longer-name-${i}.test`;
    t.same(records(await ask(name)), [`${name} A 192.0.2.1`]); // oxlint-disable-line no-await-in-loop -- one after the other
  }
  const line = `waypost_proxy_looping{to="127.0.0.1:${relay.port}"}`;
  t.ok(
    await until(async () => (await metric(program, line)) === "1", 3_000 + BUSY_MS),
    "it is found out",
  );
  t.ok(relay.passed() <= 6, `${relay.passed()} questions went round`);
  t.match(program.output(), /dns: upstream sends questions back to this agent/);
});
