/** The query log of the real program: what workers answer is in it too, and logrotate may take the file. */
import t from "tap";
import { existsSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { query, udpClient } from "../dns-client.ts";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { answering, startUpstream } from "../upstream.ts";

const linesOf = (path: string): string[] =>
  existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];

async function until(what: string, isDone: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 5_000; Date.now() < end; await sleep(20))
    if (await isDone()) return;
  throw new Error(`waited in vain for ${what}`);
}

for (const batched of [true, false])
  t.test(batched ? "workers" : "portable front", async (t) => {
    const upstream = await startUpstream(t, answering());
    const path = join(temporaryDirectory(t), "queries.json");
    const settings = { query_log: "json", query_log_file: path };
    const program = await startProgram(t, {
      recursors: [upstream.address],
      batched_system_calls: batched,
      forwarder: settings,
    });
    const client = await udpClient(program.dnsPort);
    t.teardown(() => client.close());
    const ask = async (count: number): Promise<void> => {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      for (let i = 0; i < count; i++) t.ok(await client.ask(query(i + 1, "www.test")));
    };
    const metric = async (name: string): Promise<number> => {
      const { text } = await program.http("GET", "/metrics");
      return Number(new RegExp(`^${name} (\\d+)`, "m").exec(text)?.[1]);
    };

    await ask(20);
    await until("20 lines", () => linesOf(path).length === 20);
    const lines = linesOf(path).map((line) => JSON.parse(line) as Record<string, unknown>);
    t.match(lines[0], { name: "www.test", rcode: "NOERROR", source: "reply" });
    t.ok(
      lines.slice(1).every(({ source }) => source === "cached"),
      "no worker answers",
    );
    t.equal(await metric("waypost_query_log_lines_total"), 20);

    renameSync(path, `${path}.1`);
    program.child.kill("SIGUSR2");
    await until("a new file", () => {
      program.child.kill("SIGUSR2");
      void client.ask(query(99, "www.test"));
      return linesOf(path).length > 0;
    });

    // Half of the questions; workers answer them all the same.
    program.configure({ forwarder: { ...settings, query_log_sample: 0.5 } });
    t.equal((await program.http("PUT", "/v1/agent/reload")).status, 200);
    const before = await metric("waypost_query_log_lines_total");
    const hits = await metric("waypost_answer_table_hits_total");
    await ask(400);
    const logged = async () => (await metric("waypost_query_log_lines_total")) - before;
    // Binomial, 200 ± 7 deviations of 10; the workers' copies are looked for ten times a second.
    await until("more than 130 of 400 lines", async () => (await logged()) > 130);
    const served = (await metric("waypost_answer_table_hits_total")) - hits;
    t.ok(served >= 395, `${served} from the table`);

    program.configure({ forwarder: {} });
    t.equal((await program.http("PUT", "/v1/agent/reload")).status, 200);
    t.ok((await logged()) < 270, `${await logged()} of 400`);
    const last = await metric("waypost_query_log_lines_total");
    await ask(20);
    t.equal(await metric("waypost_query_log_lines_total"), last, "off again");
    t.equal(upstream.count("www.test"), 1);
  });
