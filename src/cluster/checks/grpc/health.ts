/**
 * Messages of grpc.health.v1.Health/Check and how their outcome is said. Sources: the health checking
 * protocol of gRPC (health.proto), "gRPC over HTTP2" and its mapping of HTTP status codes.
 */
import type { ProbeResult } from "../check.ts";

/** Path of the call. */
export const CHECK_PATH = "/grpc.health.v1.Health/Check";

/** Octets before a message: whether it is compressed, and its length. */
const PREFIX_OCTETS = 5;
/** Field 1, length-delimited. */
const SERVICE_TAG = 0x0a;

/** "host:port/service": without a service the health of the whole server is asked for. */
export function splitTarget(target: string): { address: string; service: string } {
  const slash = target.indexOf("/");
  if (slash === -1) return { address: target, service: "" };
  return { address: target.slice(0, slash), service: target.slice(slash + 1) };
}

/** HealthCheckRequest with its prefix. */
export function encodeRequest(service: string): Uint8Array {
  const name = new TextEncoder().encode(service);
  const message = name.length === 0 ? [] : [SERVICE_TAG, ...varint(name.length), ...name];
  const framed = new Uint8Array(PREFIX_OCTETS + message.length);
  new DataView(framed.buffer).setUint32(1, message.length);
  framed.set(message, PREFIX_OCTETS);
  return framed;
}

function varint(value: number): number[] {
  const octets: number[] = [];
  for (; value > 0x7f; value >>>= 7) octets.push((value & 0x7f) | 0x80);
  octets.push(value);
  return octets;
}

/** Names of ServingStatus by number. */
const SERVING_STATUS = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/** ServingStatus in a HealthCheckResponse with its prefix; undefined if it is not one. */
export function decodeResponse(framed: Uint8Array): string | undefined {
  if (framed.length < PREFIX_OCTETS || framed[0] !== 0) return undefined;
  const length = new DataView(framed.buffer, framed.byteOffset).getUint32(1);
  if (framed.length !== PREFIX_OCTETS + length) return undefined;
  let at = PREFIX_OCTETS;
  let status = 0;
  /** A varint of at most 10 octets; what is above 2^53 is none of ours. */
  const next = (): number | undefined => {
    let value = 0;
    for (let shift = 0; shift < 70 && at < framed.length; shift += 7) {
      const octet = framed[at++]!;
      value += (octet & 0x7f) * 2 ** shift;
      if (octet < 0x80) return value;
    }
    return undefined;
  };
  while (at < framed.length) {
    const tag = next();
    if (tag === undefined) return undefined;
    const wireType = tag % 8;
    if (wireType === 0) {
      const value = next();
      if (value === undefined) return undefined;
      if (tag === 8) status = value;
    } else if (wireType === 2) {
      const octets = next();
      if (octets === undefined || octets > framed.length - at) return undefined;
      at += octets;
    } else if (wireType === 1) at += 8;
    else if (wireType === 5) at += 4;
    else return undefined;
  }
  return at === framed.length ? (SERVING_STATUS[status] ?? String(status)) : undefined;
}

/** Names of status codes by number. */
const CODES = [
  "OK",
  "Canceled",
  "Unknown",
  "InvalidArgument",
  "DeadlineExceeded",
  "NotFound",
  "AlreadyExists",
  "PermissionDenied",
  "ResourceExhausted",
  "FailedPrecondition",
  "Aborted",
  "OutOfRange",
  "Unimplemented",
  "Internal",
  "Unavailable",
  "DataLoss",
  "Unauthenticated",
] as const;

/** A call that failed, in the words of Go's gRPC. */
export function rpcError(code: (typeof CODES)[number], text: string): ProbeResult {
  return { status: "critical", output: `rpc error: code = ${code} desc = ${text}` };
}

/** What came back: status line, `grpc-status` and `grpc-message` of the trailers (or headers), message. */
export type HealthAnswer = {
  httpStatus: number;
  contentType: string;
  grpcStatus: string | undefined;
  grpcMessage: string;
  message: Uint8Array;
};

/** Result of a check of `target` by what its server answered. */
export function resultOfAnswer(target: string, answer: HealthAnswer): ProbeResult {
  const { httpStatus, contentType, grpcStatus, grpcMessage, message } = answer;
  if (grpcStatus === undefined) {
    if (httpStatus !== 200)
      return rpcError(
        codeOfHttp(httpStatus),
        `unexpected HTTP status code received from server: ${httpStatus}`,
      );
    if (!contentType.startsWith("application/grpc"))
      return rpcError("Unknown", `received unexpected content-type ${JSON.stringify(contentType)}`);
    return rpcError("Internal", "server closed the stream without sending trailers");
  }
  if (grpcStatus !== "0") {
    const code = CODES[Number(grpcStatus)] ?? "Unknown";
    return rpcError(code, percentDecoded(grpcMessage));
  }
  const serving = decodeResponse(message);
  if (serving === undefined) return rpcError("Internal", "the server's message cannot be read");
  if (serving === "SERVING") return { status: "passing", output: `gRPC check ${target}: success` };
  return { status: "critical", output: `gRPC ${target} serving status: ${serving}` };
}

function codeOfHttp(status: number): (typeof CODES)[number] {
  if (status === 400) return "Internal";
  if (status === 401) return "Unauthenticated";
  if (status === 403) return "PermissionDenied";
  if (status === 404) return "Unimplemented";
  return status === 429 || (status >= 502 && status <= 504) ? "Unavailable" : "Unknown";
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
