/** Checks of other people's servers: Go's gRPC with its health service, nghttpd, Python's web server. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { freePort } from "../free-port.mjs";
import { eventually } from "../processes.ts";
import { makeCertificates } from "../program/certificates.ts";
import { startProgram, type Program } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { hasFile, hasPeer, startPeer } from "./peer.ts";

/** Of a service: a node check that fails would hide the whole node. */
const checking = (checks: readonly Record<string, unknown>[]) => ({
  services: [{ name: "checked", checks }],
});

const every = { interval: "1s", timeout: "1s" };

/** Status and output of a check once it has this status. */
async function seen(program: Program, id: string, status: string): Promise<string | undefined> {
  const text = await eventually(async () => {
    const reply = await program.http("GET", "/v1/agent/checks");
    const check = (JSON.parse(reply.text) as Record<string, { Status: string; Output: string }>)[
      id
    ];
    return check?.Status === status && check.Output !== "" && check.Output;
  });
  return text === false ? undefined : text;
}

/** Arguments: address, certificate, key (both "" without TLS). */
const healthServer = `package main

import (
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	pb "google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		panic(err)
	}
	options := []grpc.ServerOption{}
	if os.Args[2] != "" {
		secret, err := credentials.NewServerTLSFromFile(os.Args[2], os.Args[3])
		if err != nil {
			panic(err)
		}
		options = append(options, grpc.Creds(secret))
	}
	state := health.NewServer()
	state.SetServingStatus("orders", pb.HealthCheckResponse_SERVING)
	state.SetServingStatus("down", pb.HealthCheckResponse_NOT_SERVING)
	server := grpc.NewServer(options...)
	pb.RegisterHealthServer(server, state)
	panic(server.Serve(listener))
}
`;

function buildHealthServer(t: Test): string {
  const path = temporaryDirectory(t);
  writeFileSync(join(path, "main.go"), healthServer);
  const environment = {
    GO111MODULE: "off",
    CGO_ENABLED: "0",
    GOPATH: "/usr/share/gocode",
    GOPROXY: "off",
    GOCACHE: join(path, "cache"),
  };
  const env = { ...process.env, ...environment };
  execFileSync("go", ["build", "-o", "server", "main.go"], { cwd: path, env });
  return join(path, "server");
}

const hasGrpc =
  hasPeer("go") && hasFile("/usr/share/gocode/src/google.golang.org/grpc/health/server.go");

t.test("gRPC of Go", { skip: !(hasGrpc && hasPeer("openssl")) && "no gRPC for Go" }, async (t) => {
  const server = buildHealthServer(t);
  const directory = temporaryDirectory(t);
  makeCertificates(directory, ["server"]);
  const at = `127.0.0.1:${await freePort()}`;
  const secure = `127.0.0.1:${await freePort()}`;
  startPeer(t, server, [at, "", ""]);
  startPeer(t, server, [secure, join(directory, "server.pem"), join(directory, "server.key")]);
  const program = await startProgram(
    t,
    checking([
      { id: "whole", name: "whole", grpc: at, ...every },
      { id: "orders", name: "orders", grpc: `${at}/orders`, ...every },
      { id: "down", name: "down", grpc: `${at}/down`, ...every },
      { id: "unknown", name: "unknown", grpc: `${at}/nobody`, ...every },
      { id: "plain", name: "plain", grpc: secure, ...every },
      {
        id: "tls",
        name: "tls",
        grpc: `${secure}/orders`,
        grpc_use_tls: true,
        tls_skip_verify: true,
        ...every,
      },
      { id: "verified", name: "verified", grpc: secure, grpc_use_tls: true, ...every },
    ]),
  );
  t.equal(await seen(program, "whole", "passing"), `gRPC check ${at}: success`);
  t.equal(await seen(program, "orders", "passing"), `gRPC check ${at}/orders: success`);
  t.equal(await seen(program, "tls", "passing"), `gRPC check ${secure}/orders: success`);
  t.equal(await seen(program, "down", "critical"), `gRPC ${at}/down serving status: NOT_SERVING`);
  t.equal(
    await seen(program, "unknown", "critical"),
    "rpc error: code = NotFound desc = unknown service",
  );
  t.match(await seen(program, "plain", "critical"), /^rpc error: code = Unavailable/);
  t.match(await seen(program, "verified", "critical"), /certificate signed by unknown authority/);
});

const hasNghttpd = hasPeer("nghttpd") && hasPeer("openssl");

t.test("HTTP/2 of nghttpd", { skip: !hasNghttpd && "no nghttpd" }, async (t) => {
  const directory = temporaryDirectory(t);
  makeCertificates(directory, ["server"]);
  const plain = await freePort();
  const secure = await freePort();
  startPeer(t, "nghttpd", ["-a", "127.0.0.1", "--no-tls", String(plain)]);
  startPeer(t, "nghttpd", [
    "-a",
    "127.0.0.1",
    String(secure),
    join(directory, "server.key"),
    join(directory, "server.pem"),
  ]);
  const at = (port: number) => ({ h2ping: `127.0.0.1:${port}`, ...every });
  const program = await startProgram(t, {
    tls: { defaults: { ca_file: join(directory, "ca.pem") } },
    enable_agent_tls_for_checks: true,
    ...checking([
      { id: "plain", name: "plain", h2ping_use_tls: false, ...at(plain) },
      { id: "tls", name: "tls", tls_server_name: "localhost", ...at(secure) },
      { id: "other", name: "other", tls_server_name: "other.example", ...at(secure) },
      { id: "not-tls", name: "not-tls", ...at(plain) },
    ]),
  });
  t.equal(await seen(program, "plain", "passing"), "HTTP2 ping was successful");
  t.equal(await seen(program, "tls", "passing"), "HTTP2 ping was successful");
  t.match(await seen(program, "other", "critical"), /^Failed to dial to /);
  t.match(await seen(program, "not-tls", "critical"), /^Failed to dial to |^HTTP2 ping failed: /);
});

t.test("HTTP of Python", { skip: !hasPeer("python3") && "no python3" }, async (t) => {
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, "health"), "all is well\n");
  const port = await freePort();
  const web = ["-m", "http.server", "--bind", "127.0.0.1", "--directory", directory, String(port)];
  startPeer(t, "python3", web);
  const base = `http://127.0.0.1:${port}`;
  const program = await startProgram(
    t,
    checking([
      { id: "found", name: "found", http: `${base}/health`, ...every },
      { id: "missing", name: "missing", http: `${base}/nothing`, method: "HEAD", ...every },
    ]),
  );
  t.equal(
    await seen(program, "found", "passing"),
    `HTTP GET ${base}/health: 200 OK Output: all is well\n`,
  );
  t.equal(
    await seen(program, "missing", "critical"),
    `HTTP HEAD ${base}/nothing: 404 File not found Output: `,
  );
});
