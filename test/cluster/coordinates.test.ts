import { readFileSync } from "node:fs";
import t from "tap";
import { startCoordinates } from "../../src/agent/coordinate-updates.ts";
import type { Command } from "../../src/cluster/command.ts";
import {
  distanceMs,
  originCoordinate,
  rttMs,
  sortByDistance,
} from "../../src/cluster/coordinates.ts";
import type { Coordinate, CoordinateRecord } from "../../src/cluster/model.ts";
import { createState } from "../../src/cluster/state.ts";
import { createLog, createPick, deregister, node, register, service } from "./state-fixtures.ts";

type Spelled = { Vec: number[]; Error: number; Adjustment: number; Height: number };
const spelled = ({ Vec, Error, Adjustment, Height }: Spelled): Coordinate => ({
  vec: Vec,
  error: Error,
  adjustment: Adjustment,
  height: Height,
});
const at = (x: number, over: Partial<Coordinate> = {}): Coordinate => ({
  ...originCoordinate,
  vec: [x, 0, 0, 0, 0, 0, 0, 0],
  ...over,
});
const update = (name: string, coordinate: Coordinate, segment = ""): CoordinateRecord => ({
  node: name,
  segment,
  coordinate,
});
const command = (...updates: CoordinateRecord[]): Command => ({ type: "coordinates", updates });

t.test("distances of serf 0.9.5", async (t) => {
  const text = readFileSync("test/corpus/gossip/vivaldi.json", "utf8");
  const { updates } = JSON.parse(text) as {
    updates: { Other: Spelled; Result: Spelled; DistSeconds: number }[];
  };
  t.equal(updates.length, 30);
  for (const { Other, Result, DistSeconds } of updates)
    t.equal(
      Math.round(rttMs(spelled(Result), spelled(Other)) * 1e6),
      Math.round(DistSeconds * 1e9),
    );
  const low = at(0, { adjustment: -1, height: 0.002 });
  t.equal(
    rttMs(low, at(0, { height: 0.001 })),
    3,
    "adjustments count only while the sum is above zero",
  );
});

t.test("the table: nodes that exist, one entry per segment, gone with the node", async (t) => {
  const { state, run } = createLog();
  const { coordinates } = state.reader;
  run(register(node("N1")));
  t.same(run(command(update("ghost", at(1)))).topics, [], "nobody of that name");
  t.same(run(command(update("n1", at(1)), update("ghost", at(1)))).topics, ["coordinates"]);
  t.same(coordinates.all(), [update("N1", at(1))], "named as the node is");
  const index = state.reader.indexOf("coordinates");
  t.equal(index, 3);
  t.same(run(command(update("n1", at(1)))).topics, [], "the same again");
  t.equal(state.reader.indexOf("coordinates"), index);
  run(command(update("n1", at(2)), update("n1", at(3), "alpha")));
  t.same(coordinates.all(), [update("N1", at(2)), update("N1", at(3), "alpha")]);
  run(register(node("b")));
  run(command(...Array.from({ length: 70 }, (_, i) => update("b", at(i), `s${i}`))));
  t.equal(coordinates.of("B")?.size, 64, "segments of a node are bounded");

  const copy = createState();
  t.ok((await copy.install(state.snapshot().chunks)).ok);
  t.same(copy.reader.coordinates.all(), coordinates.all(), "in the snapshot");
  t.equal(copy.reader.indexOf("coordinates"), state.reader.indexOf("coordinates"));
  t.equal(copy.digest(), state.digest());

  t.ok(run(deregister("n1")).topics.includes("coordinates"));
  t.equal(coordinates.of("n1"), undefined);
  run(register(node("n1")));
  t.equal(coordinates.of("n1"), undefined, "a node of that name starts anew");
});

t.test("segments: those of a client decide, servers are in all", async (t) => {
  const set = (...of: [string, number][]) =>
    new Map(of.map(([segment, x]) => [segment, update("n", at(x), segment)]));
  const server = set(["", 0], ["alpha", 10], ["beta", 20]);
  t.equal(Math.round(distanceMs(server, set(["alpha", 11]))), 1000);
  t.equal(Math.round(distanceMs(server, set(["", 1], ["beta", 5]))), 1000, "the default one");
  t.equal(distanceMs(set(["alpha", 1]), set(["beta", 1])), Infinity);
  t.equal(distanceMs(undefined, server), Infinity);
});

// The slow model: every pair is compared with the formula of spec/http.md section 15.
t.test("sorting is stable, by distance, the unknown last", async (t) => {
  const pick = createPick(7);
  for (let round = 0; round < 200; round++) {
    const { state, run } = createLog();
    const names = Array.from({ length: 2 + pick(12) }, (_, i) => `n${i}`);
    const places = new Map<string, Coordinate>();
    for (const name of names) {
      run(register(node(name), service("web")));
      if (pick(4) === 0) continue;
      const vec = Array.from({ length: 8 }, () => (pick(5) - 2) / 100);
      places.set(name, { vec, error: 1, adjustment: (pick(7) - 3) / 100, height: pick(3) / 1000 });
    }
    run(command(...[...places].map(([name, place]) => update(name, place))));
    const near = names[pick(names.length)]!;
    const from = places.get(near);
    const cost = (name: string) => {
      const to = places.get(name);
      if (from === undefined) return 0;
      if (to === undefined) return Infinity;
      const raw = Math.hypot(...from.vec.map((x, i) => x - to.vec[i]!)) + from.height + to.height;
      const sum = raw + from.adjustment + to.adjustment;
      return Math.round((sum > 0 ? sum : raw) * 1e7);
    };
    const left = [...names];
    const expected: string[] = [];
    while (left.length > 0) {
      const least = left.reduce((best, name) => (cost(name) < cost(best) ? name : best));
      expected.push(...left.splice(left.indexOf(least), 1));
    }
    const sorted = sortByDistance(state.reader.coordinates, near.toUpperCase(), names, (n) => n);
    t.same(sorted.map(cost), expected.map(cost), `round ${round}`);
    if (new Set(names.map(cost)).size < 3) t.same(sorted, expected, "what is equally far");
  }
});

t.test("updates are written in bounded batches; the own one is seen to", async (t) => {
  const { state, run } = createLog();
  const proposed: Command[] = [];
  let timer: { delayMs: number; run: () => void } | undefined;
  const warnings: unknown[] = [];
  const updates = startCoordinates({
    reader: state.reader,
    propose(asked) {
      proposed.push(asked);
      const { result } = run(asked);
      return Promise.resolve({ outcome: "committed", index: state.reader.index, result });
    },
    loaded: { dev: false, config: { disable_coordinates: false, node_name: "me" } },
    timers: {
      after(delayMs, due) {
        timer = { delayMs, run: due };
        return () => (timer = undefined);
      },
    },
    log: (_level, _message, fields) => warnings.push(fields),
  });
  t.same(proposed, [], "the node is not there yet");
  run(register(node("me")));
  updates.touched(["nodes"]);
  t.same(proposed, [command(update("me", originCoordinate))]);
  updates.touched(["nodes"]);
  t.equal(proposed.length, 1, "once");

  proposed.length = 0;
  for (let i = 0; i < 700; i++) updates.update(update(`n${i}`, at(i)));
  updates.update(update("N0", at(-1)));
  t.equal(timer?.delayMs, 5000);
  timer!.run();
  t.same(
    proposed.map((one) => (one.type === "coordinates" ? one.updates.length : 0)),
    [128, 128, 128, 128, 128],
  );
  t.match(proposed[0], { updates: { 0: update("N0", at(-1)) } }, "the newest of a node counts");
  t.same(warnings, [{ count: 60 }]);
  updates.update(update("n1", at(0)));
  updates.stop();
  t.equal(timer, undefined);
});
