import t from "tap";
import { originCoordinate, rttMs } from "../../../src/cluster/coordinates.ts";
import { placeOf } from "../../../src/cluster/external/place.ts";

const own = { ...originCoordinate, vec: [0.01, 0, 0, 0, 0, 0, 0, 0], height: 0.001 };
for (const measuredMs of [2, 15, 250]) {
  const place = placeOf(own, undefined, measuredMs)!;
  t.ok(Math.abs(rttMs(own, place) - measuredMs) < 0.001, `${measuredMs} ms away`);
  t.equal(placeOf(own, place, measuredMs * 1.1), undefined, "the same, as far as one can tell");
  t.ok(placeOf(own, place, measuredMs * 2), "further away");
}
t.equal(
  placeOf(own, undefined, 0)!.height,
  originCoordinate.height,
  "nearer than we are ourselves",
);
