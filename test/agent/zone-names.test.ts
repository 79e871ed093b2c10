// What the list of upstream servers says of the names that each is asked for.
import t from "tap";
import { forwarderSettings } from "../../src/agent/forwarder-settings.ts";
import { namesByGroup } from "../../src/agent/zone-names.ts";
import { createGroups } from "../../src/forwarder/groups.ts";
import { load, writeFiles } from "../config/world.ts";

const texts = ["corp.example", "*.below.example", "*text", "", "10.0.0.0/9", "2001:db8::/33"];

async function rows(
  t: Parameters<typeof writeFiles>[0],
  tree: object,
): Promise<Record<string, [names: string[], count: number]>> {
  const folder = writeFiles(t, { "c.json": { data_dir: "/tmp/none", ...tree } });
  const config = await load([`${folder}/c.json`]);
  if (!config.ok) throw new Error(config.error.join("\n"));
  const askedFor = namesByGroup(config.value);
  const groups = createGroups(forwarderSettings(config.value));
  return Object.fromEntries(
    [...groups.askedBy()].map(([server, names]) => {
      const found = askedFor(names);
      return [server.label, [found.names, found.count]];
    }),
  );
}

t.test("names as they are written, views with theirs, each server once", async (t) => {
  t.same(
    await rows(t, {
      recursors: ["192.0.2.1", "10.0.0.2"],
      forwarder: {
        zones: [
          { names: texts, servers: ["10.0.0.1"] },
          { names: ["other.example"], servers: ["10.0.0.1", "192.0.2.1"] },
          { names: ["usual.corp.example"], defaults: true },
          { names: ["slow.example"], defaults: true, timeout: "5s" },
          { names: ["never.example"], local: true },
        ],
        views: [
          {
            name: "lab",
            clients: ["192.0.2.0/24"],
            zones: [{ names: ["corp.example"], servers: ["10.0.0.1"] }],
          },
        ],
      },
    }),
    {
      "192.0.2.1:53": [[".", "other.example", "slow.example"], 3],
      "10.0.0.2:53": [[".", "private reverse", "slow.example"], 3],
      "10.0.0.1:53": [[...texts, "other.example", "lab: corp.example"], 8],
    },
  );
});

t.test("one address under two TLS names is two servers with two labels", async (t) => {
  const [one, two] = ["tls://192.0.2.1#one.example", "tls://192.0.2.1#two.example"];
  t.same(
    await rows(t, {
      recursors: [one, two],
      forwarder: { zones: [{ names: ["corp.example"], servers: [two, "tls://192.0.2.1"] }] },
    }),
    {
      "tls://192.0.2.1:853#one.example": [["."], 1],
      "tls://192.0.2.1:853#two.example": [[".", "corp.example"], 2],
      "tls://192.0.2.1:853": [["corp.example"], 1],
    },
  );
});

t.test("of many names a hundred are listed, and all counted", async (t) => {
  const names = Array.from({ length: 150 }, (_, i) => `n${i}.example`);
  const found = await rows(t, { forwarder: { zones: [{ names, servers: ["10.0.0.1"] }] } });
  t.same(found["10.0.0.1:53"], [names.slice(0, 100), 150]);
});
