/** gRPC checks: one call of the health checking protocol over HTTP/2. Texts as Consul's, which are Go's. */
import type { ClientHttp2Session } from "node:http2";
import { timeoutOf, type ProbeResult } from "../check.ts";
import { lookupOf, tlsOptions, type DialOptions } from "../dial/driver.ts";
import { dialHttp2 } from "../http2/driver.ts";
import { runOnce, type Prober } from "../run/driver.ts";
import { CHECK_PATH, encodeRequest, resultOfAnswer, rpcError, splitTarget } from "./health.ts";

/** A HealthCheckResponse is two octets; who sends more than this does not speak the protocol. */
const MAX_MESSAGE_OCTETS = 4_096;

/** Runs checks with `grpc`. */
export function createGrpcProbe(options: DialOptions): Prober {
  const lookup = lookupOf(options);
  return (check, _limits, signal) => {
    const target = check.grpc;
    const { address, service } = splitTarget(target);
    const tls = check.grpcUseTls
      ? { ...tlsOptions(check, options), ALPNProtocols: ["h2"] }
      : undefined;
    const timeoutMs = timeoutOf(check);
    const timedOut = () => rpcError("DeadlineExceeded", "context deadline exceeded");
    return runOnce({ timeoutMs, timedOut, signal }, (finish) => {
      return dialHttp2(
        { address, lookup, tls },
        {
          connected: (session) => call(session, { target, service, timeoutMs }, finish),
          failed(text, wasConnected) {
            const during = text.startsWith("dial ")
              ? "Error while dialing"
              : "authentication handshake failed:";
            const said = wasConnected ? text : `transport: ${during} ${text}`;
            finish(rpcError("Unavailable", `connection error: desc = ${JSON.stringify(said)}`));
          },
        },
      );
    });
  };
}

function call(
  session: ClientHttp2Session,
  { target, service, timeoutMs }: { target: string; service: string; timeoutMs: number },
  finish: (result: ProbeResult) => void,
): void {
  const answer = { httpStatus: 0, contentType: "", grpcMessage: "" };
  let grpcStatus: string | undefined;
  const chunks: Buffer[] = [];
  let octets = 0;
  const take = (headers: Record<string, unknown>) => {
    grpcStatus = textOf(headers["grpc-status"]) ?? grpcStatus;
    answer.grpcMessage = textOf(headers["grpc-message"]) ?? answer.grpcMessage;
  };
  const request = session.request({
    ":method": "POST",
    ":path": CHECK_PATH,
    "content-type": "application/grpc",
    "user-agent": "grpc-waypost",
    "grpc-timeout": `${Math.ceil(timeoutMs)}m`,
    te: "trailers",
  });
  request.on("error", (error) => finish(rpcError("Unavailable", error.message)));
  request.on("response", (headers) => {
    answer.httpStatus = headers[":status"] ?? 0;
    answer.contentType = headers["content-type"] ?? "";
    take(headers); // an answer without a message has its trailers here
  });
  request.on("trailers", take);
  request.on("data", (chunk: Buffer) => {
    octets += chunk.length;
    if (octets > MAX_MESSAGE_OCTETS)
      finish(
        rpcError(
          "ResourceExhausted",
          `received a message of more than ${MAX_MESSAGE_OCTETS} octets`,
        ),
      );
    else chunks.push(chunk);
  });
  request.on("end", () => {
    if (answer.httpStatus === 0) return; // the connection broke, and says so itself
    finish(resultOfAnswer(target, { ...answer, grpcStatus, message: Buffer.concat(chunks) }));
  });
  request.end(encodeRequest(service));
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
