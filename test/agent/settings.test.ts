// What the parts are told, as far as it is not the value of one option.
import t from "tap";
import { engineSettings, shownConfig, staleTargets } from "../../src/agent/settings.ts";
import { defaultLimits } from "../../src/cluster/single/core.ts";
import { options, usedKeys, type Config } from "../../src/config/options.ts";

function configWith(changed: Partial<Config>): Config {
  const defaults = usedKeys.map((key) => [key, options[key].default]);
  return { ...(Object.fromEntries(defaults) as Config), ...changed };
}

t.test("the log engine keeps its own defaults where the configuration gives 0", async (t) => {
  const { entryOctets } = defaultLimits;
  t.same(engineSettings(configWith({})), { limits: { entryOctets } });
  t.same(
    engineSettings(
      configWith({
        raft_snapshot_threshold: 100,
        raft_trailing_logs: 7,
        raft_snapshot_interval: 5000,
      }),
    ),
    { limits: { entryOctets, snapshotEntries: 100, trailingEntries: 7 }, snapshotIntervalMs: 5000 },
  );
  const large = engineSettings(configWith({ "limits.kv_max_value_size": 8 << 20 }));
  t.ok(large.limits!.entryOctets! > ((8 << 20) * 4) / 3, "the largest value fits, as base64");
});

t.test("last addresses of host names are stale as everything else", async (t) => {
  const told = (changed: Partial<Config>) => staleTargets({ config: configWith(changed) });
  t.same(told({}), { ttlSeconds: 30, waitMs: 400, maxSeconds: 86_400 });
  t.equal(told({ "forwarder.stale": false }), null);
  t.same(
    told({
      "forwarder.stale_ttl": 5000,
      "forwarder.stale_client_timeout": 0,
      "forwarder.stale_max": 60_000,
    }),
    { ttlSeconds: 5, waitMs: 0, maxSeconds: 60 },
  );
});

t.test("agent/self shows that there is a secret, never the secret", async (t) => {
  const secrets = usedKeys.filter(
    (key) => /token|encrypt|secret|password/.test(key) && options[key].kind === "text",
  );
  t.ok(secrets.length >= 4);
  for (const key of secrets) {
    t.equal(options[key].secret, true, `${key} is marked`);
    const shown = shownConfig(configWith({ [key]: "top-secret-value" }));
    t.equal(shown[key], "hidden");
    t.notMatch(JSON.stringify(shown), /top-secret-value/);
    t.equal(shownConfig(configWith({}))[key], "", "nothing is configured");
  }
  t.equal(shownConfig(configWith({ datacenter: "dc7" }))["datacenter"], "dc7");
});
