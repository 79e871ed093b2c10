/** /v1/waypost/dns: where answers come from, what the forwarder keeps, and its upstream servers. */
import type { Result } from "../base.ts";
import { requireAgentRead } from "./agent-rights.ts";
import { HttpError, route, type Call, type Reply, type Route } from "./call.ts";
import { renderJson } from "./json.ts";
import { requireRight } from "./rights.ts";

/** A question, as texts of a request. */
export type AskedDns = {
  name: string;
  type: string;
  transport: "udp" | "tcp";
  /** Octets that the asker takes over UDP; 0: without EDNS. */
  payload: number;
  rd: boolean;
  do: boolean;
  clientAddress: string;
};

/** Entries of the cache: `name` and `type` are "" for all. */
export type CacheSelection = { name: string; subtree: boolean; type: string };

/** What the DNS side tells; agent.ts fills it in. Errors are texts for the client. */
export type DnsInspection = {
  query(asked: AskedDns): Promise<Result<Record<string, unknown>, string>>;
  /** undefined: a place to pause. */
  entries(selection: CacheSelection): Result<Iterable<Record<string, unknown> | undefined>, string>;
  /** How many entries went. */
  flush(selection: CacheSelection): Promise<Result<number, string>>;
  upstreams(): Record<string, unknown>[];
  /** Names that are answered without a server. */
  local(): Record<string, unknown>;
};

/** Listings of the cache at a time; a further one is refused with 503. */
const MAX_LISTINGS = 4;

/** All routes of /v1/waypost/dns. */
export function dnsRoutes(dns: DnsInspection): readonly Route[] {
  const open = { count: 0 };
  return [
    route(["GET"], "/v1/waypost/dns/query", (call) => answerQuery(call, dns)),
    route(["GET", "DELETE"], "/v1/waypost/dns/cache", (call) =>
      call.method === "GET" ? answerListing(call, dns, open) : answerFlush(call, dns),
    ),
    route(["GET"], "/v1/waypost/dns/upstreams", (call) => {
      requireAgentRead(call);
      return call.json(dns.upstreams());
    }),
    route(["GET"], "/v1/waypost/dns/local", (call) => {
      requireAgentRead(call);
      return call.json(dns.local());
    }),
  ];
}

/** `?name=`, `?type=` (A), `?transport=` (udp), `?payload=` (1232; 0: no EDNS), `?norecurse`, `?dnssec`. */
async function answerQuery(call: Call, dns: DnsInspection): Promise<Response> {
  requireAgentRead(call);
  const transport = call.query("transport") || "udp";
  if (transport !== "udp" && transport !== "tcp")
    throw new HttpError(400, `transport: expected udp or tcp, got ${JSON.stringify(transport)}`);
  const payload = call.query("payload") || "1232";
  if (!/^\d{1,5}$/.test(payload) || Number(payload) > 65_535)
    throw new HttpError(400, `payload: expected 0 to 65535, got ${JSON.stringify(payload)}`);
  const answer = await dns.query({
    name: call.query("name"),
    type: call.query("type") || "A",
    transport,
    payload: Number(payload),
    rd: !call.has("norecurse"),
    do: call.has("dnssec"),
    clientAddress: call.env.client.address,
  });
  return call.json(required(answer));
}

function selectionOf(call: Call): CacheSelection {
  return { name: call.query("name"), subtree: call.has("subtree"), type: call.query("type") };
}

/** `?name=`, `?subtree`, `?type=`: one JSON array with an entry on each line, written in slices. */
function answerListing(call: Call, dns: DnsInspection, open: { count: number }): Reply {
  requireRight(call.authorizer().operatorRead());
  const entries = required(dns.entries(selectionOf(call)));
  if (open.count >= MAX_LISTINGS)
    throw new HttpError(
      503,
      `${MAX_LISTINGS} listings are under way on this agent, try again later`,
    );
  open.count++;
  call.setHeader("Content-Type", "application/json");
  return new Response(
    linesOf(entries, () => open.count--),
    { headers: call.empty().headers },
  );
}

function linesOf(
  entries: Iterable<Record<string, unknown> | undefined>,
  onEnd: () => void,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const from = entries[Symbol.iterator]();
  let separator = "[\n";
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      let text = "";
      // A pull that brings nothing is not followed by another one: slices without an entry are passed.
      while (text === "") {
        // DNS and other requests go first.
        // oxlint-disable-next-line no-await-in-loop -- one slice after the other
        await new Promise<void>((resolve) => setImmediate(resolve));
        for (;;) {
          const { value, done } = from.next();
          if (done === true) {
            controller.enqueue(encoder.encode(`${text}${separator === "[\n" ? "[" : "\n"}]\n`));
            controller.close();
            onEnd();
            return;
          }
          if (value === undefined) break;
          text += separator + renderJson(value, false);
          separator = ",\n";
        }
      }
      controller.enqueue(encoder.encode(text));
    },
    cancel: onEnd,
  });
}

/** The same parameters; without any everything goes. */
async function answerFlush(call: Call, dns: DnsInspection): Promise<Response> {
  requireRight(call.authorizer().operatorWrite());
  return call.json({ Removed: required(await dns.flush(selectionOf(call))) });
}

function required<T>(result: Result<T, string>): T {
  if (!result.ok) throw new HttpError(400, result.error);
  return result.value;
}
