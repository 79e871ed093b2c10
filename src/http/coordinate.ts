/** /v1/coordinate: there are no coordinates yet, so only the refusals of `disable_coordinates` exist. */
import { route, type Call, type Reply, type Route } from "./call.ts";

/** No routes at all (404) unless `disable_coordinates` is set. */
export function coordinateRoutes(disableCoordinates: boolean): readonly Route[] {
  if (!disableCoordinates) return [];
  return [
    route(["GET"], "/v1/coordinate/datacenters", refuse),
    route(["GET"], "/v1/coordinate/nodes", refuse),
    route(["GET"], "/v1/coordinate/node/", refuse),
    route(["PUT"], "/v1/coordinate/update", refuse),
  ];
}

function refuse(call: Call): Reply {
  return call.text(401, "Coordinate support disabled");
}
