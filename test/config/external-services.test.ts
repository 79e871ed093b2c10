import { join } from "node:path";
import t from "tap";
import { dnsSettings, keeperSettings } from "../../src/agent/settings.ts";
import { load, writeFiles } from "./world.ts";

const good = { name: "orders-db", address: "orders.abc.eu-west-1.rds.example", port: 5432 };

t.test("an entry becomes a service with its node, checks and TTL", async (t) => {
  const directory = writeFiles(t, {
    "a.json": {
      data_dir: "/tmp/x",
      node_name: "edge",
      dns_config: { service_ttl: { "*": "9s", "orders-db": "8s" } },
      external_services: [
        {
          ...good,
          tags: ["rds"],
          meta: { team: "shop" },
          ttl: "5s",
          check: {
            tcp: "orders.abc.eu-west-1.rds.example:5432",
            interval: "10s",
            failures_before_critical: 3,
          },
        },
        { ...good, id: "replica", ttl: "4s" },
        { name: "mail", node: "saas", address: "192.0.2.25" },
      ],
    },
    "b.hcl": `external_services {
      name = "docs"  address = "docs.example"  port = 443
      checks { http = "https://docs.example/health" header { X-A = ["1"] } timeout = "2s" }
    }`,
  });
  const loaded = await load([directory]);
  t.ok(loaded.ok, JSON.stringify(loaded));
  if (!loaded.ok) return;
  const { entries } = keeperSettings(loaded.value);
  t.match(entries, [
    {
      node: "orders-db",
      ownsNode: true,
      service: { id: "orders-db", service: "orders-db", tags: ["rds"], meta: { team: "shop" } },
      checks: [
        {
          checkId: "service:orders-db",
          name: "Service 'orders-db' check",
          status: "critical",
          serviceId: "orders-db",
          type: "tcp",
          definition: {
            TCP: "orders.abc.eu-west-1.rds.example:5432",
            Interval: "10s",
            FailuresBeforeCritical: 3,
          },
        },
      ],
      ttlSeconds: 5,
    },
    { node: "replica", service: { id: "replica", service: "orders-db" }, ttlSeconds: 4 },
    { node: "saas", ownsNode: false, service: { id: "mail" }, ttlSeconds: undefined },
    {
      service: { id: "docs", port: 443 },
      checks: [
        {
          type: "http",
          definition: { Interval: "30s", Timeout: "2s", Header: { "X-A": ["1"] } },
        },
      ],
    },
  ]);
  const ttls = dnsSettings(loaded.value).serviceTtlSeconds;
  t.same(
    [...ttls],
    [
      ["*", 9],
      ["orders-db", 4],
    ],
    "nearer than service_ttl, the least of one name",
  );
});

const refused: [entry: object, error: string][] = [
  [{ addres: "x" }, ".addres (did you mean address?)"],
  [{ check: { tcp: "a:1", intervall: "1s" } }, ".check.intervall (did you mean interval?)"],
  [{ check: { args: ["true"] } }, ".check.args"],
  [{ name: "" }, ": name is missing"],
  [{ address: "" }, ": address is missing"],
  [
    { address: "db.example:5432" },
    ': address: expected an IP address or a host name, got "db.example:5432"',
  ],
  [{ address: "0.0.0.0" }, ': address: expected an IP address or a host name, got "0.0.0.0"'],
  [{ port: 65536 }, ": port: must be from 0 to 65535, got 65536"],
  [{ port: "80" }, ": json: cannot unmarshal string into field port of type int"],
  [{ ttl: "-1s" }, ": ttl: must not be negative"],
  [{ ttl: "5" }, ': time: missing unit in duration "5"'],
  [
    { node: "HOST-1" },
    `: node: "HOST-1" is this agent's own node; use services for what runs on it`,
  ],
  [{ meta: { "waypost-external": "x" } }, ": meta: waypost-external is set by waypost"],
  [{ check: {} }, ": check: give either http or tcp"],
  [{ check: { tcp: "a:1", http: "http://a/" } }, ": check: give either http or tcp"],
  [{ check: { http: "ftp://a/" } }, ': check: http: expected a URL, got "ftp://a/"'],
  [
    { check: { tcp: "a" } },
    ': check: tcp: expected an address such as "db.example.com:5432", got "a"',
  ],
  [{ check: { tcp: "a:1", status: "up" } }, ": check: status must be passing, warning or critical"],
  [
    { weights: { passing: 0, warning: 1 } },
    ": weights: passing must be from 1 to 65535, warning from 0 to 65535",
  ],
];
for (const [entry, error] of refused)
  t.test(`refused: ${JSON.stringify(entry)}`, async (t) => {
    const external_services = [{ ...good, ...entry }];
    const directory = writeFiles(t, { "a.json": { data_dir: "/tmp/x", external_services } });
    const loaded = await load([directory]);
    const isKey = error.startsWith(".");
    const prefix = `${join(directory, "a.json")}: ${isKey ? "invalid config key " : ""}`;
    t.same(loaded, { ok: false, error: [`${prefix}external_services[0]${error}`] });
  });

t.test("the same id twice on a node is refused", async (t) => {
  const external_services = [good, { ...good, port: 1 }];
  const directory = writeFiles(t, { "a.json": { data_dir: "/tmp/x", external_services } });
  const loaded = await load([directory]);
  t.match(loaded, { ok: false });
  t.match(JSON.stringify(loaded), /external_services\[1\]: id .*orders-db.* is that of .*\[0\]/);
});
