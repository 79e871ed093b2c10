/** Reloads under load, and listeners that change with them. */
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { decode, framed, query, tcpExchange, udpClient } from "../dns-client.ts";
import { freePort } from "../free-port.mjs";
import { startProgram } from "../program.ts";
import { startLoad } from "./load.ts";
import { saying, startScene } from "./scene.ts";
import { a } from "../upstream.ts";

t.test("reloads lose no question and hold none up", { timeout: 60_000 }, async (t) => {
  const { program } = await startScene(
    t,
    saying(({ name }) => ({ answers: [a(name, "192.0.2.1", 60)] })),
  );
  const load = await startLoad(t, {
    port: program.dnsPort,
    perSecond: 1000,
    names: (i) => (i % 10 === 0 ? `n${i}.example` : i % 2 === 0 ? "hot.example" : "n1.node.consul"),
  });
  for (let i = 0; i < 8; i++) {
    program.configure({ dns_config: { service_ttl: { web: `${10 + i}s` } } });
    t.equal((await program.http("PUT", "/v1/agent/reload")).status, 200);
    program.child.kill("SIGHUP");
    await sleep(200);
  }
  const { asked, answered, slowestMs } = await load.stop();
  t.ok(asked > 1000, `${asked} questions`);
  t.equal(answered, asked, "not one is lost");
  t.comment(`slowest ${slowestMs.toFixed(1)} ms`);
});

t.test("a reload opens and closes listeners", { timeout: 60_000 }, async (t) => {
  const program = await startProgram(t, { addresses: { dns: "127.0.0.1" } });
  const answers = async (address: string, port = program.dnsPort) => {
    const client = await udpClient(port, address);
    const reply = await client.ask(query(1, "n1.node.consul"), 1000);
    client.close();
    return reply === undefined ? null : decode(reply).answers?.length;
  };
  const reload = async (patch: object) => {
    program.configure({ ...patch });
    t.equal((await program.http("PUT", "/v1/agent/reload")).status, 200);
  };
  t.equal(await answers("127.0.0.1"), 1);
  await reload({ addresses: { dns: "127.0.0.2 127.0.0.3" } });
  t.equal(await answers("127.0.0.2"), 1);
  t.equal(await answers("127.0.0.3"), 1);
  t.equal(await answers("127.0.0.1"), null, "the old one is closed");
  await reload({ addresses: { dns: "0.0.0.0" } });
  t.equal(await answers("127.0.0.1"), 1, "a wildcard takes the place of its own addresses");
  t.equal(await answers("127.0.0.2"), 1);
  await reload({ addresses: { dns: "127.0.0.1" } });
  t.equal(await answers("127.0.0.1"), 1);
  t.equal(await answers("127.0.0.2"), null);
  const [reply] = await tcpExchange(program.dnsPort, framed(query(2, "n1.node.consul")), 2000);
  t.equal(decode(reply!).answers?.length, 1, "over TCP as well");

  const taken = await startProgram(t);
  await reload({ ports: { dns: taken.dnsPort, http: program.httpPort } });
  t.match(
    program.output(),
    new RegExp(
      `cannot listen.*127\\.0\\.0\\.1 port ${taken.dnsPort}.*waypost \\(pid ${taken.pid}\\)`,
    ),
    "what cannot be had is said, with its holder",
  );
  const port = await freePort();
  await reload({ ports: { dns: port, http: program.httpPort } });
  t.equal(await answers("127.0.0.1", port), 1, "another port");
  t.notMatch(program.output(), /(ports\.dns|addresses\.dns|client_addr) has changed/);
});
