/** /v1/status and the datacenter list: who leads. No token is needed, nothing blocks. */
import { parseConsistency, setCacheHeaders } from "./read.ts";
import { route, type Call, type Route } from "./call.ts";

/** GET /v1/status/leader, /v1/status/peers, /v1/catalog/datacenters. */
export function statusRoutes(): readonly Route[] {
  return [
    route(["GET"], "/v1/status/leader", (call) => {
      call.requireDatacenter();
      return call.json(call.deps.leadership().leader === undefined ? "" : leaderAddress(call));
    }),
    route(["GET"], "/v1/status/peers", (call) => {
      call.requireDatacenter();
      return call.json([call.deps.info.serverAddress]);
    }),
    route(["GET"], "/v1/catalog/datacenters", (call) => {
      if (parseConsistency(call).cached) setCacheHeaders(call);
      return call.json([call.deps.info.datacenter]);
    }),
  ];
}

/** With a single voter the leader can only be this server. */
function leaderAddress(call: Call): string {
  return call.deps.info.serverAddress;
}
