// Every configuration of the recorded transcripts must be taken, with the base its runner adds.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { isObject } from "../../src/config/kinds.ts";
import { load, writeFiles } from "./world.ts";

type Tree = Record<string, unknown>;

const ports = { dns: 8600, http: 8500, https: -1, grpc: -1, server: 8300 };
const common = {
  datacenter: "dc1",
  data_dir: "/d",
  server: true,
  bootstrap: true,
  bind_addr: "127.0.0.1",
  client_addr: "127.0.0.1",
  disable_update_check: true,
  performance: { raft_multiplier: 1 },
};
// As test/corpus/dns-replay.mjs and http-replay.mjs write them.
const bases: Record<string, Tree> = {
  dns: {
    ...common,
    node_name: "edge-1",
    log_level: "warn",
    ports: { ...ports, serf_lan: 8301, serf_wan: -1 },
  },
  http: {
    ...common,
    node_name: "node-a",
    log_level: "info",
    ports: { ...ports, serf_lan: 8301, serf_wan: 8302 },
  },
};

function merge(base: Tree, over: Tree): Tree {
  const merged = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isObject(below) && isObject(value) ? merge(below, value) : value;
  }
  return merged;
}

for (const [kind, base] of Object.entries(bases))
  t.test(kind, async (t) => {
    const folder = join("test/corpus", kind);
    let reloads = 0;
    for (const name of readdirSync(folder).filter((each) => each.endsWith(".json"))) {
      const text = readFileSync(join(folder, name), "utf8");
      const scenario = JSON.parse(text.replaceAll(/\{\{upstream(\d)\}\}/g, "127.0.0.1:530$1")) as {
        config?: Tree;
        steps: { reload?: Tree }[];
      };
      let tree = merge(base, scenario.config ?? {});
      const trees = [tree];
      for (const { reload } of scenario.steps)
        if (reload !== undefined) trees.push((tree = merge(tree, reload)));
      reloads += trees.length - 1;
      for (const each of trees) {
        const result = await load([writeFiles(t, { "config.json": each })]);
        t.match(result, { ok: true }, name);
      }
    }
    if (kind === "dns") t.ok(reloads > 0, "reloads are among them");
  });
