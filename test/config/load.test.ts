import { join } from "node:path";
import t, { type Test } from "tap";
import { differences } from "../../src/config/differences.ts";
import { load, writeFiles } from "./world.ts";

/** Loads one JSON tree with a data_dir beside it; fails the test if it is refused. */
async function loaded(t: Test, tree: object, over = {}) {
  const directory = writeFiles(t, { "a.json": { data_dir: "/d", ...tree } });
  const result = await load([join(directory, "a.json")], over);
  if (!result.ok) throw new Error(result.error.join("\n"));
  return result.value;
}

t.test("defaults are Consul's", async (t) => {
  const { config, addresses, upstreams } = await loaded(t, { server: true });
  t.match(config, {
    node_name: "host-1",
    datacenter: "dc1",
    primary_datacenter: "dc1",
    domain: "consul.",
    alt_domain: "",
    "ports.dns": 8600,
    "ports.http": 8500,
    "dns_config.allow_stale": true,
    "dns_config.max_stale": 87600 * 3600_000,
    "dns_config.udp_answer_limit": 3,
    "dns_config.recursor_timeout": 2000,
    "dns_config.enable_additional_node_meta_txt": true,
    check_update_interval: 300_000,
    check_output_max_size: 4096,
    "acl.enabled": false,
    "forwarder.cache": true,
  });
  t.same(addresses.dns, [{ address: "127.0.0.1", port: 8600 }]);
  t.same(addresses.http, [{ address: "127.0.0.1", port: 8500 }]);
  t.same(upstreams, []);
  t.ok(Object.isFrozen(config));
});

t.test("files merge in order: scalars replace, lists append, maps merge", async (t) => {
  const directory = writeFiles(t, {
    "d/b.json": {
      node_name: "from-b",
      recursors: ["192.0.2.2"],
      node_meta: { b: "2", both: "b" },
      services: [{ name: "two" }],
    },
    "d/a.json": {
      node_name: "from-a",
      data_dir: "/a",
      recursors: ["192.0.2.1"],
      node_meta: { a: "1", both: "a" },
      service: { name: "one" },
    },
    "d/ignored.txt": "not configuration",
    "d/sub/c.json": { node_name: "from a directory below" },
    "last.json": { recursors: ["192.0.2.3", "192.0.2.1"], checks: [{ name: "c", ttl: "5s" }] },
  });
  const result = await load([join(directory, "d"), join(directory, "last.json")]);
  if (!result.ok) throw new Error(result.error.join("\n"));
  const { config, upstreams, services, checks } = result.value;
  t.equal(config.node_name, "from-b");
  t.equal(config.data_dir, "/a");
  t.same(config.node_meta, { a: "1", b: "2", both: "b" });
  t.same(
    upstreams.map(({ address }) => address),
    ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
    "in order, each once",
  );
  t.same(
    services.map(({ fields }) => fields.service),
    ["one", "two"],
  );
  t.same(
    checks.map(({ name, ttlMs }) => [name, ttlMs]),
    [["c", 5000]],
  );
});

t.test("keys are matched without regard to case; keys of maps are kept", async (t) => {
  const { config } = await loaded(t, {
    Node_Name: "n",
    NODE_META: { CamelCase: "kept" },
    Dns_Config: { Service_TTL: { "*": "0s", rds: "5s", Web: "1m30s" }, SOA: { Min_TTL: 30 } },
  });
  t.equal(config.node_name, "n");
  t.same(config.node_meta, { CamelCase: "kept" });
  t.same(config["dns_config.service_ttl"], { "*": 0, rds: 5000, Web: 90_000 });
  t.equal(config["dns_config.soa.min_ttl"], 30);
});

t.test("null and empty files say nothing", async (t) => {
  const directory = writeFiles(t, {
    "a.json": { data_dir: "/d", segments: null, node_name: null, dns_config: null, services: null },
    "b.json": "",
    "c.json": "\uFEFF \n",
    "d.json": "{}",
  });
  const result = await load([directory]);
  t.ok(result.ok);
});

t.test("names are brought into one form", async (t) => {
  const { config } = await loaded(t, {
    domain: "Lab.Example",
    alt_domain: "Mesh.Example.",
    datacenter: "BER1",
    node_id: "6F5B1C2E-1111-4222-8333-444455556666",
    log_level: "ERR",
  });
  t.equal(config.domain, "lab.example.");
  t.equal(config.alt_domain, "mesh.example.");
  t.equal(config.datacenter, "ber1");
  t.equal(config.node_id, "6f5b1c2e-1111-4222-8333-444455556666");
  t.equal(config.log_level, "error");
});

t.test("HTTPS without a certificate is left out, half a pair is refused", async (t) => {
  const { addresses, warnings } = await loaded(t, { ports: { https: 8501 } });
  t.same(addresses.https, []);
  t.ok(warnings.includes("ports.https is set without a certificate: HTTPS is not offered"));
  for (const more of [{ cert_file: "a" }, { key_file: "a" }, { verify_incoming_https: true }])
    await t.rejects(loaded(t, { ports: { https: 8501 }, ...more }), JSON.stringify(more));
});

t.test("the forwarder block", async (t) => {
  const { config } = await loaded(t, { forwarder: { cache: false, cache_size: "8MiB" } });
  t.equal(config["forwarder.cache"], false);
  t.equal(config["forwarder.cache_size"], 8 * 2 ** 20);
});

t.test("upstreams", async (t) => {
  const servers = async (tree: object) =>
    (await loaded(t, tree)).upstreams.map(({ address, port }) => `${address} ${port}`);
  const resolvConf = join(
    writeFiles(t, {
      "resolv.conf": [
        "# comment",
        "search example.com",
        "nameserver 127.0.0.1",
        " nameserver 192.0.2.7 # first",
        "nameserver 2001:db8::7",
        "nameserver fe80::99%eth0",
        "nameserver 192.0.2.7",
        "nameserver not-an-address",
        "options edns0",
      ].join("\n"),
    }),
    "resolv.conf",
  );
  t.same(
    await servers({
      recursors: ["192.0.2.1", "192.0.2.2:5353", "[2001:db8::1]:54", "2001:db8::2"],
    }),
    ["192.0.2.1 53", "192.0.2.2 5353", "2001:db8::1 54", "2001:db8::2 53"],
  );
  t.same(
    await servers({ recursors: ["resolver.example:5300"] }),
    ["192.0.2.53 5300", "2001:db8::53 5300"],
    "a host name gives all its addresses",
  );
  t.same(await servers({ recursors: ['{{ GetInterfaceIP "eth0" }}:54'] }), ["10.1.2.3 54"]);
  const forwarder = { resolv_conf: resolvConf };
  t.same(await servers({ forwarder, ports: { dns: 53 } }), [
    "192.0.2.7 53",
    "2001:db8::7 53",
    "fe80::99%eth0 53",
  ]);
  t.same(
    await servers({ forwarder }),
    ["127.0.0.1 53", "192.0.2.7 53", "2001:db8::7 53", "fe80::99%eth0 53"],
    "our own port is 8600 here",
  );
  t.same(
    await servers({ forwarder, ports: { dns: 53 }, client_addr: "0.0.0.0" }),
    ["192.0.2.7 53", "2001:db8::7 53", "fe80::99%eth0 53"],
    "a wildcard is every address of the machine",
  );
  t.same(await servers({ forwarder, recursors: ["192.0.2.1"] }), ["192.0.2.1 53"]);
  const absent = await loaded(t, { forwarder: { resolv_conf: "/nowhere/resolv.conf" } });
  t.same(absent.upstreams, []);
  t.match(absent.warnings.join("\n"), "/nowhere/resolv.conf: no such file or directory");
});

t.test("addresses", async (t) => {
  const of = async (tree: object) => (await loaded(t, tree)).addresses;
  t.match(await of({}), { bind: "0.0.0.0", advertise: "10.1.2.3", advertiseWan: "10.1.2.3" });
  t.match(await of({ bind_addr: "::" }), { bind: "::", advertise: "fd00:1::3" });
  t.match(await of({ bind_addr: "{{ GetPrivateIP }}" }), { bind: "10.1.2.3" });
  t.match(await of({ advertise_addr: "[2600:1f18::9]", advertise_addr_wan: "8.8.4.4" }), {
    advertise: "2600:1f18::9",
    advertiseWan: "8.8.4.4",
  });
  t.same(
    await of({
      client_addr: '127.0.0.1 ::1 {{ GetInterfaceIPs "eth1" }}',
      addresses: { http: "unix:///run/w.sock 127.0.0.2" },
      ports: { dns: 53, http: 80 },
    }).then(({ dns, http }) => ({ dns: dns.map(({ address }) => address), http })),
    {
      dns: ["127.0.0.1", "::1", "192.168.7.9", "8.8.4.4", "2600:1f18::9"],
      http: [{ address: "127.0.0.2", port: 80 }, { path: "/run/w.sock" }],
    },
  );
  t.match(await of({ ports: { dns: -1, http: -1 } }), { dns: [], http: [] });
  t.match(
    await of({ client_addr: "127.0.0.1 0.0.0.0 ::1", ports: { dns: 53, http: -1 } }),
    { dns: [{ address: "0.0.0.0" }, { address: "::1" }] },
    "an unspecified address takes the others of its family",
  );
});

t.test("what has no effect is said", async (t) => {
  const warnings = async (tree: object) => (await loaded(t, { server: true, ...tree })).warnings;
  const about = async (tree: object) =>
    (await warnings({ bind_addr: "127.0.0.1", ...tree })).map((line) =>
      line.replace(/^.*a\.json: /, ""),
    );
  t.same(
    await about({
      retry_join: ["192.0.2.9"],
      connect: { enabled: true },
      ports: { grpc: 8502 },
      acl_token: "",
    }),
    [
      "retry_join has no effect: this version runs one server on its own",
      "connect has no effect: service mesh is left out",
      "ports.grpc has no effect: service mesh is left out",
      "acl_token is deprecated, use acl.tokens.default",
    ],
  );
  t.same(
    await about({
      retry_join: [],
      connect: { enabled: false },
      ports: { grpc: -1, https: -1 },
      disable_update_check: true,
      performance: { raft_multiplier: 5 },
      dns_config: { use_cache: true, cache_max_age: "10s" },
      verify_incoming: false,
      ui_config: { enabled: false },
    }),
    [],
    "nothing is said where the value is what happens anyway",
  );
  t.match(
    (await loaded(t, { server: false })).warnings.join("\n"),
    "server is false, but this version has no client mode: it runs as a server",
  );
  t.equal((await loaded(t, { server: false })).config.server, true);
  t.match(
    (await warnings({ telemetry: { prefix_filter: ["consul.raft", "+consul.dns"] } })).join("\n"),
    'prefix_filter: "consul.raft" is left out',
  );
  t.match((await warnings({ bootstrap_expect: 3 })).join("\n"), "it does not wait for others");
  t.match((await warnings({ node_name: "a.b" })).join("\n"), "cannot be found by DNS");
  t.match((await warnings({})).join("\n"), "bind_addr 0.0.0.0 names no single address");
});

t.test("every key that an appliance is configured with is taken without a word", async (t) => {
  const tree = {
    node_name: "n1",
    node_id: "aaaaaaaa-0000-4000-8000-000000000001",
    node_meta: { rack: "r1" },
    datacenter: "dc1",
    domain: "consul.",
    alt_domain: "example.",
    server: true,
    bootstrap_expect: 1,
    data_dir: "data",
    bind_addr: "127.0.0.1",
    client_addr: "127.0.0.1",
    addresses: { dns: "127.0.0.1", http: "127.0.0.1" },
    ports: { dns: 8600, http: 8500, server: 8300 },
    recursors: ["192.0.2.53"],
    dns_config: {
      recursor_timeout: "2s",
      recursor_strategy: "random",
      allow_stale: true,
      max_stale: "5s",
      node_ttl: "1s",
      service_ttl: { "*": "0s", rds: "5s" },
      only_passing: true,
      udp_answer_limit: 3,
      a_record_limit: 4,
      enable_truncate: true,
      disable_compression: true,
      enable_additional_node_meta_txt: false,
      soa: { refresh: 1, retry: 2, expire: 3, min_ttl: 4 },
      use_cache: false,
      cache_max_age: "0s",
    },
    services: [{ name: "web", check: { ttl: "10s" } }],
    checks: [{ name: "disk", ttl: "10s" }],
    translate_wan_addrs: true,
    telemetry: {
      prometheus_retention_time: "60s",
      disable_hostname: true,
      metrics_prefix: "consul",
      prefix_filter: ["+consul.raft", "-consul.dns"],
      filter_default: false,
    },
    log_level: "warn",
    disable_update_check: false,
    performance: { raft_multiplier: 1 },
    raft_snapshot_threshold: 100,
    raft_snapshot_interval: "5s",
    raft_trailing_logs: 10,
    default_query_time: "1m",
    max_query_time: "2m",
  };
  const { warnings } = await loaded(t, tree);
  t.same(warnings, []);
  const capitals = Object.fromEntries(
    Object.entries(tree).map(([key, value]) => [key.toUpperCase(), value]),
  );
  t.same((await loaded(t, capitals)).config, (await loaded(t, tree)).config);
});

t.test("old spellings reach the new key unless that is given too", async (t) => {
  const old = await loaded(t, {
    acl_master_token: "m",
    acl_default_policy: "deny",
    acl_datacenter: "dc9",
    acl: { tokens: { agent_master: "r", default: "new" } },
    acl_token: "old",
  });
  t.match(old.config, {
    "acl.enabled": true,
    "acl.default_policy": "deny",
    "acl.tokens.initial_management": "m",
    "acl.tokens.agent_recovery": "r",
    "acl.tokens.default": "new",
    primary_datacenter: "dc9",
  });
});

t.test("-dev needs no data_dir and stays on loopback", async (t) => {
  const result = await load([], { dev: true });
  t.match(result, {
    ok: true,
    value: {
      dev: true,
      config: { data_dir: "", log_level: "debug", server: true },
      addresses: { bind: "127.0.0.1", advertise: "127.0.0.1" },
      warnings: [],
    },
  });
});

t.test("differences tell what a reload can change", async (t) => {
  const before = (await loaded(t, { datacenter: "a", node_meta: { x: "1", y: "2" } })).config;
  const same = (await loaded(t, { datacenter: "a", node_meta: { y: "2", x: "1" } })).config;
  t.same(differences(before, same), { reloadable: [], needRestart: [] });
  const after = (
    await loaded(t, {
      datacenter: "b",
      ports: { dns: 53 },
      recursors: ["192.0.2.1"],
      dns_config: { node_ttl: "5s", service_ttl: { "*": "1s" }, only_passing: true },
    })
  ).config;
  t.same(differences(before, after), {
    reloadable: [
      "node_meta",
      "ports.dns",
      "recursors",
      "dns_config.node_ttl",
      "dns_config.service_ttl",
      "dns_config.only_passing",
    ],
    needRestart: ["datacenter", "primary_datacenter"],
  });
});
