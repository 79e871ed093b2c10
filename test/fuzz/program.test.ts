/**
 * Random requests, and octets that are none, to the real program: it goes on, answers the next one, and
 * says nothing of errors of its own. FUZZ_PROGRAM sets how many, FUZZ_SEED repeats a run.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, request as send } from "node:http";
import { connect } from "node:net";
import t from "tap";
import { startProgram } from "../program.ts";
import { CASE_LIMIT_MS } from "./limit.ts";
import { changedText, createSource, seed } from "./random.ts";
import { createRequests, hasBrokenEscape, type FuzzRequest, type FuzzRoute } from "./requests.ts";

const CASES = Number(process.env["FUZZ_PROGRAM"] ?? 1_500);
const IN_FLIGHT = 8;
/** A blocking query is left alone after so long; everything else has to be answered by then. */
const HELD_MS = 250;
const ANSWER_MS = 20_000;
const CLOCK_TICK_MS = 10;

/** spec/http.md section 20, without those that end the program or never end. */
const table: [methods: string, paths: string][] = [
  ["GET", "status/leader status/peers catalog/datacenters catalog/nodes catalog/services"],
  ["GET", "catalog/service/ catalog/connect/ catalog/node/ catalog/node-services/"],
  ["GET", "health/node/ health/checks/ health/state/ health/service/ health/connect/"],
  ["PUT", "catalog/register catalog/deregister txn session/create session/destroy/ session/renew/"],
  ["GET,PUT,DELETE", "kv/ query/ acl/policy/ acl/token/ acl/role/"],
  ["GET", "session/info/ session/node/ session/list event/list coordinate/node/ coordinate/nodes"],
  ["PUT", "event/fire/ coordinate/update"],
  ["GET,POST", "query"],
  ["GET,PUT", "snapshot operator/autopilot/configuration"],
  ["GET", "agent/self agent/members agent/host agent/metrics agent/services agent/service/"],
  ["GET", "agent/checks agent/health/service/id/ agent/health/service/name/"],
  ["PUT", "agent/maintenance agent/join/ agent/force-leave/ agent/token/ agent/service/register"],
  ["PUT", "agent/service/deregister/ agent/service/maintenance/ agent/check/register"],
  ["PUT", "agent/check/deregister/ agent/check/pass/ agent/check/warn/ agent/check/update/"],
  ["GET", "operator/raft/configuration operator/autopilot/health operator/autopilot/state"],
  ["DELETE", "operator/raft/peer"],
  ["GET,POST,PUT,DELETE", "operator/keyring"],
  ["GET", "acl/policies acl/tokens acl/roles acl/replication acl/policy/name/ acl/token/self"],
  ["PUT", "acl/bootstrap acl/policy acl/token acl/role"],
  ["POST", "acl/rules/translate"],
];
const routes: FuzzRoute[] = table.flatMap(([methods, paths]) =>
  paths.split(" ").map((path) => ({ path: `/v1/${path}`, methods: methods.split(",") })),
);

/** Processor time of a process so far; proc(5) fields 14 and 15. */
function processorMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_MS;
}

t.test(`requests of seed ${seed}`, async (t) => {
  const program = await startProgram(t);
  const agent = new Agent({ keepAlive: true, maxSockets: IN_FLIGHT });
  t.teardown(() => agent.destroy());
  const next = createRequests(createSource(100), routes, [""]);

  /** Why the answer is wrong, if it is. */
  const judge = ({ method, path, headers, body }: FuzzRequest): Promise<string | undefined> =>
    new Promise((resolve) => {
      const holds = /[?&](index|hash|wait|cached)\b/.test(path);
      const limitMs = holds ? HELD_MS : ANSWER_MS;
      const at = { host: "127.0.0.1", port: program.httpPort, agent };
      const call = send({ ...at, method, path, headers, timeout: limitMs }, (reply) => {
        let text = "";
        reply.on("data", (octets: Buffer) => (text += octets.toString()));
        reply.on("end", () => {
          const isSilent = reply.statusCode === 500 && text === "" && method !== "HEAD";
          const isOurs = /Internal server error|TypeError|RangeError|undefined is not/.test(text);
          if ((isSilent && !hasBrokenEscape(path)) || isOurs)
            resolve(`${reply.statusCode} ${text}`);
          else resolve(undefined);
        });
      });
      call.on("timeout", () => {
        call.destroy();
        resolve(holds ? undefined : `no answer in ${limitMs} ms`);
      });
      // A connection that the server has closed meanwhile is taken again by the next request.
      call.on("error", (error: NodeJS.ErrnoException) =>
        resolve(/ECONNRESET|EPIPE/.test(error.code ?? "") || holds ? undefined : error.message),
      );
      call.end(body);
    });

  const before = processorMs(program.pid);
  let taken = 0;
  const worker = async () => {
    while (taken++ < CASES) {
      const request = next();
      const problem = await judge(request);
      if (problem !== undefined) {
        t.fail(`FUZZ_SEED=${seed}: ${JSON.stringify(request).slice(0, 4_000)}: ${problem}`);
        return;
      }
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  const each = (processorMs(program.pid) - before) / CASES;
  t.ok(each < CASE_LIMIT_MS / 10, `${each.toFixed(2)} ms of processor time each`);
  t.equal(program.child.exitCode, null, "it lives");
  t.match((await program.http("GET", "/v1/status/leader")).text, /"127/);
  t.notMatch(program.output(), /request failed|TypeError|RangeError|panic|assertion|unhandled/);
});

t.test(`octets of seed ${seed}`, async (t) => {
  const program = await startProgram(t);
  const source = createSource(200);
  const good = [
    "GET /v1/kv/a?raw HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
    "PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /v1/query HTTP/1.0\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n{}",
  ];
  for (let n = 0; n < CASES / 5; n++) {
    const octets = changedText(source, source.pick(good), "\r\n\0\t :/?#%HTP1.0\u00ff-");
    const socket = connect(program.httpPort, "127.0.0.1");
    socket.on("error", () => {});
    socket.resume();
    socket.end(Buffer.from(octets, "latin1"));
    const closed = once(socket, "close");
    const timer = setTimeout(() => socket.destroy(), HELD_MS);
    await closed;
    clearTimeout(timer);
    if (program.child.exitCode !== null)
      return void t.fail(`FUZZ_SEED=${seed}, ${n}: ${JSON.stringify(octets)}: ${program.output()}`);
  }
  t.match((await program.http("GET", "/v1/status/leader")).text, /"127/);
  t.notMatch(program.output(), /request failed|TypeError|RangeError|panic|assertion|unhandled/);
});
