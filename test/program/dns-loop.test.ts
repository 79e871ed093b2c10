/** Two of these programs that forward to each other: found out by the first question, and no storm. */
import t from "tap";
import dnsPacket, { type RecordType } from "dns-packet";
import { decode, udpClient } from "../dns-client.ts";
import { freePort } from "../free-port.mjs";
import { BUSY_MS, startProgram, type Program } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { question, type Seen } from "./scene.ts";

t.test("ask 37: two that forward to each other", { timeout: 60_000 }, async (t) => {
  const [one, other] = [await freePort(), await freePort()];
  const start = async (dnsPort: number, to: number): Promise<Program> =>
    startProgram(
      t,
      { recursors: [`127.0.0.1:${to}`] },
      { directory: temporaryDirectory(t), dnsPort, httpPort: await freePort() },
    );
  const programs = await Promise.all([start(one, other), start(other, one)]);
  const client = await udpClient(one);
  t.teardown(() => client.close());
  const sent = async (): Promise<number> => {
    const texts = await Promise.all(programs.map((program) => program.http("GET", "/metrics")));
    return texts
      .flatMap(({ text }) => text.split("\n"))
      .filter((line) => line.startsWith("waypost_proxy_requests_total{"))
      .reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  };
  const withoutRd = dnsPacket.encode({
    type: "query",
    id: 60_000,
    flags: 0,
    questions: [{ name: "rd.loop.test", type: "A" }],
  });
  const rows: [what: string, wire: Buffer][] = [
    ["DO", question("do.loop.test", { do: true })],
    ["without RD", withoutRd],
    ["other types", question("txt.loop.test", { type: "TXT" as RecordType })],
    ...Array.from({ length: 200 }, (_, i): [string, Buffer] => [
      `${i}`,
      question(`n${i}.loop.test`),
    ]),
  ];
  const startedMs = performance.now();
  const first = await client.ask(question("first.loop.test"), 5_000);
  t.equal((decode(first!) as Seen).rcode, "SERVFAIL");
  t.ok(performance.now() - startedMs < 3_000 + BUSY_MS, "within 3 s");
  const packets = await sent();
  t.ok(packets <= 12, `${packets} packets, those that found it out included`);
  const got = await Promise.all(rows.map(([, wire]) => client.ask(wire, 5_000)));
  for (const [i, [what]] of rows.entries())
    t.equal((decode(got[i]!) as Seen).rcode, "SERVFAIL", what);
  t.ok((await sent()) - packets <= 4, `${await sent()} packets in the end`);
  t.match(programs[0]!.output(), "dns: upstream sends questions back to this agent");
});
