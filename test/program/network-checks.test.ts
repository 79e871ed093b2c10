/** Checks over the network by the real program: every kind, their figures, and a restart. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer as createHttp } from "node:http";
import { createSecureServer, createServer as createHttp2 } from "node:http2";
import type { AddressInfo, Server } from "node:net";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import { eventually } from "../processes.ts";
import { startProgram, type Program } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { makeCertificates, noCertificates } from "./certificates.ts";

type Check = { Status: string; Output: string; Type: string };

async function checksOf(program: Program): Promise<Record<string, Check>> {
  return JSON.parse((await program.http("GET", "/v1/agent/checks")).text) as Record<string, Check>;
}

/** Type, status and output of one check once `until` holds for it. */
async function seen(program: Program, id: string, until: (check: Check) => boolean) {
  const check = await eventually(async () => {
    const found = (await checksOf(program))[id];
    return found && until(found) && found;
  });
  return check ? `${check.Type} ${check.Status} ${check.Output}` : undefined;
}

const hasRun = ({ Output }: Check) => Output !== "";

async function listen(t: Test, server: Server): Promise<string> {
  const sockets = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => sockets.add(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function listenUdp(t: Test): Promise<string> {
  const socket = createSocket("udp4");
  socket.on("message", (_message, { port, address }) => socket.send("here", port, address));
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  t.teardown(() => socket.close());
  return `127.0.0.1:${socket.address().port}`;
}

t.test("every kind, its figures, and again after a restart", async (t) => {
  const web = createHttp((_request, response) => response.end("fine"));
  const h2 = createHttp2();
  h2.on("stream", (stream) => {
    stream.on("error", () => {});
    stream.respond(
      { ":status": 200, "content-type": "application/grpc" },
      { waitForTrailers: true },
    );
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(Buffer.from([0, 0, 0, 0, 2, 8, 1]));
  });
  const http = await listen(t, web);
  const grpc = await listen(t, h2);
  const udp = await listenUdp(t);
  const every = { Interval: "1s", Timeout: "1s" };
  const wanted = {
    http: [{ HTTP: `http://${http}/` }, `HTTP GET http://${http}/: 200 OK Output: fine`],
    tcp: [{ TCP: http }, `TCP connect ${http}: Success`],
    udp: [{ UDP: udp }, `UDP connect ${udp}: Success`],
    grpc: [{ GRPC: `${grpc}/orders` }, `gRPC check ${grpc}/orders: success`],
    h2ping: [{ H2PING: grpc, h2ping_use_tls: false }, "HTTP2 ping was successful"],
  } as const;
  const program = await startProgram(t);
  for (const [kind, [body]] of Object.entries(wanted)) {
    const check = { ID: kind, Name: kind, ...every, ...body };
    const { status, text } = await program.http("PUT", "/v1/agent/check/register", check);
    t.equal(status, 200, `${kind} ${text}`);
  }
  for (const [kind, [, output]] of Object.entries(wanted))
    t.equal(await seen(program, kind, hasRun), `${kind} passing ${output}`);

  const { text: metrics } = await program.http("GET", "/metrics");
  for (const kind of Object.keys(wanted)) {
    const figure = (name: string) =>
      Number(new RegExp(`^waypost_agent_check_${name} (\\S+)$`, "m").exec(metrics)?.[1]);
    const runs = figure(`runs_total{kind="${kind}",status="passing"}`);
    t.ok(runs >= 1, `${kind} ran ${runs} times`);
    t.ok(figure(`duration_seconds_count{kind="${kind}"}`) >= runs);
    t.equal(figure(`changes_total{kind="${kind}",status="passing"}`), 1);
    t.equal(figure(`skipped_total{kind="${kind}"}`), 0);
  }

  await program.end("SIGKILL");
  const at = { directory: dirname(program.configFile), ...program };
  const again = await startProgram(t, {}, at);
  for (const [kind, [, output]] of Object.entries(wanted))
    t.equal(await seen(again, kind, hasRun), `${kind} passing ${output}`, "after a restart");
  h2.close();
  web.close();
});

t.test("enable_agent_tls_for_checks, also by reload", { skip: noCertificates }, async (t) => {
  const directory = temporaryDirectory(t);
  makeCertificates(directory, ["server", "agent"]);
  const path = (name: string) => join(directory, name);
  const secure = createSecureServer({
    key: readFileSync(path("server.key")),
    cert: readFileSync(path("server.pem")),
    ca: readFileSync(path("ca.pem")),
    requestCert: true,
    rejectUnauthorized: true,
  });
  secure.on("tlsClientError", () => {});
  secure.on("sessionError", () => {});
  const at = await listen(t, secure);
  const defaults = {
    cert_file: path("agent.pem"),
    key_file: path("agent.key"),
    ca_file: path("ca.pem"),
  };
  const config = {
    tls: { defaults },
    server_name: "server.dc1.consul",
    service: { name: "s", check: { id: "h2", h2ping: at, interval: "1s", timeout: "1s" } },
  };
  const program = await startProgram(t, config);
  const before = await seen(program, "h2", hasRun);
  t.match(before, /critical Failed to dial to .*: x509: certificate signed by unknown authority/);
  program.configure({ enable_agent_tls_for_checks: true });
  t.equal((await program.http("PUT", "/v1/agent/reload")).status, 200);
  const after = await seen(program, "h2", ({ Status }) => Status === "passing");
  t.match(after, /HTTP2 ping was successful/);
});
