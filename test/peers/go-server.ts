/** The program as the tests of HashiCorp's Go client start it, and requests as that client sends them. */
import type { Test } from "tap";
import { freePort } from "../free-port.mjs";
import { startProgram, type Program } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

export type Answer = {
  status: number;
  text: string;
  json: unknown;
  /** X-Consul-Index; NaN without. */
  index: number;
  headers: Headers;
};
export type Ask = (method: string, path: string, body?: unknown, token?: string) => Promise<Answer>;

/** The file of sdk/testutil (`NewTestServerConfigT`): everything it writes has to be accepted. */
export async function startTestServer(
  t: Test,
  over: Record<string, unknown> = {},
): Promise<{ program: Program; ask: Ask; nodeId: string; nodeName: string }> {
  const [dns, http, https, serf_lan, serf_wan, server, grpc, grpc_tls] = await Promise.all(
    Array.from({ length: 8 }, () => freePort()),
  );
  const nodeId = "8a7c86f8-6a0d-4a39-8c86-f86a0d4a39aa";
  const nodeName = `node-${nodeId}`;
  const config = {
    node_name: nodeName,
    node_id: nodeId,
    performance: { raft_multiplier: 1 },
    segments: null,
    disable_update_check: true,
    log_level: "debug",
    addresses: {},
    ports: { dns, http, https, serf_lan, serf_wan, server, grpc, grpc_tls },
    acl: { tokens: {} },
    connect: {
      enabled: true,
      ca_config: { cluster_id: "11111111-2222-3333-4444-555555555555" },
    },
    skip_leave_on_interrupt: true,
    peering: { enabled: true },
    ...over,
  };
  const directory = temporaryDirectory(t);
  const program = await startProgram(t, config, { directory, dnsPort: dns!, httpPort: http! });
  const ask: Ask = async (method, path, body, token) => {
    const reply = await fetch(`http://127.0.0.1:${http}/v1/${path}`, {
      method,
      headers: token === undefined ? {} : { "X-Consul-Token": token },
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await reply.text();
    const isJson = reply.headers.get("Content-Type") === "application/json";
    return {
      status: reply.status,
      text,
      json: isJson ? (JSON.parse(text) as unknown) : undefined,
      index: Number(reply.headers.get("X-Consul-Index") ?? NaN),
      headers: reply.headers,
    };
  };
  return { program, ask, nodeId, nodeName };
}

/** Members of an answer that the test knows to be there. */
export const idOf = ({ json }: Answer): string => (json as { ID: string }).ID;
export const listOf = ({ json }: Answer): Record<string, unknown>[] =>
  json as Record<string, unknown>[];
export const base64 = (text: string): string => Buffer.from(text).toString("base64");
