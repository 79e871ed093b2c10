// Names of DHCP leases end by the wall clock, which an operator or NTP may set at any time.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { followLocalFiles } from "../../src/agent/local-files.ts";
import { hashSuffixes } from "../../src/forwarder/local/suffix-hash.ts";
import type { LocalSources } from "../../src/forwarder/local/decide.ts";
import { load, writeFiles } from "../config/world.ts";
import { wireName } from "../forwarder/world.ts";
import { World } from "../http/harness.ts";

t.test("a clock that is set forward ends leases within a minute", async (t) => {
  const directory = writeFiles(t, {});
  const file = join(directory, "leases");
  const startMs = 1_800_000_000_000;
  writeFileSync(file, `${startMs / 1000 + 86_400} 02:00:00:00:00:01 192.0.2.1 laptop *\n`);
  writeFileSync(
    join(directory, "a.json"),
    JSON.stringify({ data_dir: "x", forwarder: { hosts: [], leases: [file] } }),
  );
  const loaded = await load([join(directory, "a.json")]);
  if (!loaded.ok) throw new Error(loaded.error.join());
  const world = new World();
  let aheadMs = startMs - world.clock.monotonicMs();
  const hashKey = { low: 1, high: 2 };
  let sources: LocalSources = { records: [], blocklists: [] };
  let changes = 0;
  const files = followLocalFiles(loaded.value, {
    pipeline: {
      hashKey,
      replace: (next) => (sources = next),
      stats: () => {
        throw new Error("nobody asks");
      },
    },
    clock: {
      monotonicMs: () => world.clock.monotonicMs(),
      wallMs: () => world.clock.monotonicMs() + aheadMs,
    },
    timers: world.timers,
    log: () => {},
    changed: () => changes++,
  });
  t.teardown(() => files.stop());
  await files.ready();
  const isThere = (): boolean => {
    const name = wireName("laptop");
    hashSuffixes(name, hashKey);
    return sources.records.some((set) => set.hasName(name));
  };
  t.ok(isThere());
  const before = changes;
  world.advance(30 * 60_000);
  t.ok(isThere());
  t.equal(changes, before, "looking at the clock changes nothing");
  aheadMs += 2 * 86_400_000;
  world.advance(60_000);
  t.notOk(isThere());
  t.equal(changes, before + 1);
});
