// The real program on a configuration of dnsmasq's: what it answers, and what changes of the files do.
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { decode, query, udpClient } from "../dns-client.ts";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { answering, startUpstream } from "../upstream.ts";

const LIMIT_MS = 10_000;

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + LIMIT_MS; !(await isSo()); await sleep(50))
    if (Date.now() > end) throw new Error(`not within ${LIMIT_MS} ms: ${what}`);
}

async function start(t: Test) {
  const directory = temporaryDirectory(t);
  const [first, second] = [
    await startUpstream(t, answering("198.51.100.1")),
    await startUpstream(t, answering("198.51.100.2")),
  ];
  const write = (name: string, text: string): void => {
    // As editors and tools do it: a new file in place of the old one.
    writeFileSync(join(directory, `${name}.new`), text);
    renameSync(join(directory, `${name}.new`), join(directory, name));
  };
  const main = (more: string) =>
    write(
      "dnsmasq.conf",
      `no-resolv\nno-hosts\nlisten-address=127.0.0.1\nserver=127.0.0.1#${first.port}\nservers-file=${directory}/servers\n${more}\n`,
    );
  write("servers", "");
  main("host-record=www.corp.test,192.0.2.1");
  const program = await startProgram(t, {
    forwarder: { dnsmasq_conf: join(directory, "dnsmasq.conf") },
  });
  const client = await udpClient(program.dnsPort);
  t.teardown(() => client.close());
  let id = 0;
  const ask = async (name: string): Promise<string> => {
    const reply = await client.ask(query(++id, name));
    const [answer] = decode(reply!).answers ?? [];
    return answer?.type === "A" ? answer.data : "none";
  };
  return { program, write, main, ask, second, directory };
}

t.test("records, servers and the catalog; files that change", async (t) => {
  const { program, write, main, ask, second, directory } = await start(t);
  t.equal(await ask("www.corp.test"), "192.0.2.1");
  t.equal(await ask("a.zone.test"), "198.51.100.1");
  t.equal(await ask("consul.service.consul"), "127.0.0.1", "and the catalog");

  write("servers", `server=/zone.test/127.0.0.1#${second.port}\n`);
  await until(
    "servers-file is followed",
    async () => (await ask("b.zone.test")) === "198.51.100.2",
  );

  main("host-record=www.corp.test,192.0.2.2");
  program.child.kill("SIGHUP");
  await until("a reload reads it again", async () => (await ask("www.corp.test")) === "192.0.2.2");
  t.equal(await ask("b.zone.test"), "198.51.100.2");

  main("host-record=www.corp.test,192.0.2.3\naddres=/x/1.2.3.4");
  const { status, text } = await program.http("PUT", "/v1/agent/reload");
  t.not(status, 200);
  t.match(
    text,
    `${directory}/dnsmasq.conf:7: dnsmasq knows no option "addres" (did you mean address?)`,
  );
  t.equal(await ask("www.corp.test"), "192.0.2.2", "the old one stays");
});
