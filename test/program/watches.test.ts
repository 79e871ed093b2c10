// `watches` of the configuration in the real program: scripts, HTTP handlers, reload, stop.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

const LIMIT_MS = 10_000;

/** Waits until `look` gives something. */
async function eventually<T>(what: string, look: () => T | undefined): Promise<T> {
  const deadline = performance.now() + LIMIT_MS;
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${LIMIT_MS} ms`);
    await sleep(10);
  }
}

/** Zombies do not count. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** A handler that appends its index and input to a file, a line per run. */
function recorder(t: Test) {
  const file = join(temporaryDirectory(t), "runs");
  const lines = () => (existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : []);
  const runs = () =>
    lines().map((line) => {
      const [index, ...rest] = line.split(" ");
      return { index: Number(index), value: JSON.parse(rest.join(" ")) as unknown };
    });
  return {
    args: ["/bin/sh", "-c", `echo "$CONSUL_INDEX $(cat)" >> ${file}`],
    line: `echo "$CONSUL_INDEX $(cat)" >> ${file}`,
    runs,
    run: (count: number) => eventually(`run ${count}`, () => runs()[count - 1]),
  };
}

/** An HTTP server that keeps what it gets. */
async function receiver(t: Test) {
  const got: { method: string; headers: IncomingMessage["headers"]; body: unknown }[] = [];
  const server = createServer((request, response) => void answer(request, response));
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request) text += String(chunk);
    got.push({ method: request.method!, headers: request.headers, body: JSON.parse(text) });
    response.writeHead(got.length === 1 ? 500 : 200).end("thanks");
  }
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/hook?secret=s`, got };
}

t.test("each type, told by programs and requests", async (t) => {
  const [key, prefix, services, nodes, service, checks, events] = Array.from({ length: 7 }, () =>
    recorder(t),
  );
  const hook = await receiver(t);
  const program = await startProgram(t, {
    log_level: "trace",
    services: [{ name: "web", port: 80, check: { ttl: "1h", id: "ttl" } }],
    watches: [
      { type: "key", key: "a/b", args: key!.args },
      { type: "keyprefix", prefix: "a/", handler: prefix!.line },
      { type: "services", args: services!.args, handler_type: "script" },
      { type: "nodes", args: nodes!.args },
      { type: "service", service: "web", passingonly: true, args: service!.args },
      { type: "checks", service: "web", args: checks!.args },
      { type: "event", name: "deploy", args: events!.args },
      {
        type: "key",
        key: "hook",
        handler_type: "http",
        http_handler_config: { path: hook.url, method: "PUT", header: { "x-foo": ["bar", "baz"] } },
      },
      { type: "services", args: ["/no/such/program"] },
      { type: "services", args: ["/bin/sh", "-c", "echo heard; exit 3"] },
    ],
  });
  t.match(await key!.run(1), { value: null });
  t.match(await prefix!.run(1), { value: null });
  t.match(await services!.run(1), { value: { consul: [], web: [] } });
  t.match(await nodes!.run(1), { value: [{ Node: "n1" }] });
  t.match(await service!.run(1), { value: [] });
  t.match(await checks!.run(1), { value: [{ CheckID: "ttl", Status: "critical" }] });
  t.match(await events!.run(1), { value: [] });

  await program.http("PUT", "/v1/kv/a/b?flags=18446744073709551615", "first");
  const written = await key!.run(2);
  t.match(written.value, {
    Key: "a/b",
    Value: "Zmlyc3Q=",
    Session: "",
    ModifyIndex: written.index,
  });
  t.match((await prefix!.run(2)).value, [{ Key: "a/b" }]);
  t.match(readFileSync(key!.args[2]!.split(" ").at(-1)!, "utf8"), /"Flags":18446744073709551615,/);
  await program.http("DELETE", "/v1/kv/a/b");
  t.match(await key!.run(3), { value: null });

  await program.http("PUT", "/v1/agent/check/pass/ttl");
  t.match((await service!.run(2)).value, [
    { Service: { Service: "web" }, Checks: [{}, { Status: "passing" }] },
  ]);
  t.match((await checks!.run(2)).value, [{ Status: "passing" }]);

  await program.http("PUT", "/v1/event/fire/other");
  await program.http("PUT", "/v1/event/fire/deploy", "1");
  t.match((await events!.run(2)).value, [{ Name: "deploy", Payload: "MQ==" }]);
  await program.http("PUT", "/v1/event/fire/deploy", "2");
  const second = (await events!.run(3)).value as unknown[];
  t.match(second, [{ Name: "deploy", Payload: "Mg==" }]);
  t.equal(second.length, 1, "only the new one");

  await eventually("the first request", () => hook.got[0]);
  await program.http("PUT", "/v1/kv/hook", "x");
  const told = await eventually("the second request", () => hook.got[1]);
  t.match(told, {
    method: "PUT",
    headers: { "content-type": "application/json", "x-foo": "bar, baz" },
    body: { Key: "hook", Value: "eA==" },
  });
  t.equal(
    told.headers["x-consul-index"],
    String((told.body as { ModifyIndex: number }).ModifyIndex),
  );

  await eventually("the log", () => (/exit status 3/.test(program.output()) ? true : undefined));
  const log = program.output();
  t.match(log, /Failed to run watch handler.*no\/such\/program.*no such file or directory/);
  t.match(log, /watch handler output.*heard/);
  t.match(log, /http watch handler failed.*status=500.*thanks/);
  t.notMatch(log, /secret=s/);
  t.match(log, /The 'handler' field in watches has been deprecated/);
  const { text } = await program.http("GET", "/metrics");
  t.match(text, /^waypost_watches 10$/m);
  t.match(text, /^waypost_watch_failures_total\{kind="handler"\} 3$/m);
  t.match(text, /^waypost_watch_failures_total\{kind="query"\} 0$/m);
});

t.test(
  "reload adds, removes and leaves alone; runs do not overlap; a stop ends what runs",
  async (t) => {
    const [kept, removed, added] = [recorder(t), recorder(t), recorder(t)];
    const directory = temporaryDirectory(t);
    const marks = join(directory, "marks");
    const slow = `echo begin >> ${marks}; sleep 0.3; echo end >> ${marks}`;
    const program = await startProgram(t, {
      watches: [
        { type: "key", key: "k", args: kept.args },
        { type: "key", key: "k", args: removed.args },
        { type: "key", key: "slow", args: ["/bin/sh", "-c", slow] },
      ],
    });
    await kept.run(1);
    await removed.run(1);
    for (let i = 0; i < 20; i++) await program.http("PUT", "/v1/kv/slow", String(i));
    const long = join(directory, "long");
    program.configure({
      watches: [
        { type: "key", key: "k", args: kept.args },
        { type: "key", key: "k", args: added.args },
        { type: "key", key: "slow", args: ["/bin/sh", "-c", slow] },
        {
          type: "key",
          key: "long",
          args: ["/bin/sh", "-c", `(sleep 1000 & echo $! > ${long}.1; mv ${long}.1 ${long}; wait)`],
        },
      ],
    });
    t.equal((await program.http("PUT", "/v1/agent/reload")).status, 200);
    await added.run(1);
    await program.http("PUT", "/v1/kv/k", "new");
    await kept.run(2);
    await added.run(2);
    await sleep(300);
    t.equal(kept.runs().length, 2, "a reload does not run it again");
    t.equal(removed.runs().length, 1, "what is gone is not told any more");
    const lines = readFileSync(marks, "utf8").trim().split("\n");
    t.ok(lines.length >= 2 && lines.length <= 12, `${lines.length} lines for 21 values`);
    for (const [i, line] of lines.entries()) t.equal(line, i % 2 === 0 ? "begin" : "end");
    const child = Number(
      await eventually("a long run", () =>
        existsSync(long) ? readFileSync(long, "utf8") : undefined,
      ),
    );
    t.equal(await program.end("SIGTERM"), 1);
    await eventually("its descendants are gone", () => (isRunning(child) ? undefined : true));
  },
);

t.test("a wrong watch: no start, no reload, and validate tells", async (t) => {
  const program = await startProgram(t, {});
  program.configure({ watches: [{ type: "key", args: ["x"] }] });
  const { status, text } = await program.http("PUT", "/v1/agent/reload");
  t.equal(status, 500);
  t.match(
    text,
    /config\.json: watches\[0\]: Failed to parse watch: Must specify a single key to watch/,
  );
  program.configure({ watches: [{ type: "nodes" }] });
  t.match((await program.http("PUT", "/v1/agent/reload")).text, /Must define a watch handler/);
  await t.rejects(startProgram(t, { watches: [{ type: "nodes", bogus: 1, args: ["x"] }] }), {
    message: /Invalid parameters: \[bogus\]/,
  });
});
