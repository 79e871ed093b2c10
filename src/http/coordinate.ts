/** /v1/coordinate: network coordinates of nodes. Consul 1.10; spec/http.md section 15. */
import { DIMENSIONS, originCoordinate } from "../cluster/coordinates.ts";
import type { Coordinate, CoordinateRecord } from "../cluster/model.ts";
import { HttpError, route, type Call, type Reply, type Route } from "./call.ts";
import { answerRead } from "./read.ts";
import { requireRight } from "./rights.ts";
import { beginRead } from "./select.ts";

/** All routes; with `disable_coordinates` each of them refuses. */
export function coordinateRoutes(): readonly Route[] {
  const rows = [
    route(["GET"], "/v1/coordinate/datacenters", answerDatacenters),
    route(["GET"], "/v1/coordinate/nodes", answerNodes),
    route(["GET"], "/v1/coordinate/node/", answerNode),
    route(["PUT"], "/v1/coordinate/update", update),
  ];
  return rows.map((row) => ({
    ...row,
    handle: (call) =>
      call.settings.disableCoordinates
        ? call.text(401, "Coordinate support disabled")
        : row.handle(call),
  }));
}

/** Coordinate as the API shows it, in seconds. */
export function toCoordinate({ vec, error, adjustment, height }: Coordinate) {
  return { Vec: vec, Error: error, Adjustment: adjustment, Height: height };
}

/** The map of servers. Those of other datacenters are not known, and we have measured nobody. */
function answerDatacenters(call: Call): Reply {
  const { nodeName, datacenter } = call.deps.info;
  const server = {
    Node: `${nodeName}.${datacenter}`,
    Segment: "",
    Coord: toCoordinate(originCoordinate),
  };
  return call.json([{ Datacenter: datacenter, AreaID: "wan", Coordinates: [server] }]);
}

const topics = ["coordinates"];

function answerNodes(call: Call): Reply {
  const options = beginRead(call);
  const { coordinates } = call.deps.reader;
  return answerRead(call, options, {
    topics,
    showsConsistency: false,
    look: (rights) => ({
      value: inSegment(call, coordinates.all())
        .filter(({ node }) => rights.nodeRead(node))
        .map(toNodeCoordinate),
    }),
  });
}

async function answerNode(call: Call): Promise<Response> {
  const options = beginRead(call);
  const { coordinates } = call.deps.reader;
  let found: CoordinateRecord[] = [];
  const answer = await answerRead(call, options, {
    topics,
    showsConsistency: false,
    look(rights) {
      requireRight(rights.nodeRead(call.argument));
      found = inSegment(call, [...(coordinates.of(call.argument)?.values() ?? [])]);
      return { value: found.map(toNodeCoordinate) };
    },
  });
  return found.length > 0 ? answer : call.empty(404);
}

/** Those of `?segment=`, which counts when it is empty, too. */
function inSegment(call: Call, records: readonly CoordinateRecord[]): CoordinateRecord[] {
  const segment = call.query("segment");
  const isAny = !call.has("segment");
  return records.filter((record) => isAny || record.segment === segment);
}

function toNodeCoordinate({ node, segment, coordinate }: CoordinateRecord) {
  return { Node: node, Segment: segment, Coord: toCoordinate(coordinate) };
}

const updateShape = {
  struct: {
    Datacenter: "string",
    Node: "string",
    Segment: "string",
    Coord: {
      pointer: {
        struct: { Vec: { list: "float" }, Error: "float", Adjustment: "float", Height: "float" },
      },
    },
  },
} as const;

/** Answers before the update is in the log, as Consul does: it comes with the next batch. */
async function update(call: Call): Promise<Response> {
  const { Datacenter, Node, Segment, Coord } = await call.readBody(updateShape);
  // Consul 1.10 crashes here.
  if (Coord === null) throw new HttpError(400, "Request decode failed: missing Coord");
  call.requireDatacenter(call.query("dc") || Datacenter);
  const coordinate = {
    vec: Coord.Vec ?? [],
    error: Coord.Error,
    adjustment: Coord.Adjustment,
    height: Coord.Height,
  };
  const { vec, error, adjustment, height } = coordinate;
  if (![...vec, error, adjustment, height].every(Number.isFinite))
    throw new HttpError(500, "invalid coordinate");
  if (vec.length !== DIMENSIONS) throw new HttpError(500, "incompatible coordinate");
  requireRight(call.authorizer().nodeWrite(Node));
  call.deps.updateCoordinate({ node: Node, segment: Segment, coordinate });
  return call.empty();
}
