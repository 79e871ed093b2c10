// What each directive of dnsmasq's comes to in our JSON.
import t from "tap";
import { treeOf } from "../../src/config/dnsmasq/tree.ts";
import { handlers } from "../../src/config/dnsmasq/handlers.ts";
import { keywords } from "../../src/config/dnsmasq/keywords.ts";
import { read, tree } from "./dnsmasq.ts";

const zones = (...list: unknown[]) => ({ forwarder: { zones: list } });
const addresses = (...list: unknown[]) => ({ forwarder: { addresses: list } });
const records = (...list: unknown[]) => ({ forwarder: { records: list } });
const forwarder = (value: object) => ({ forwarder: value });

/** Lines, with `;` for the end of a line, and the JSON beyond that of an empty file. */
const cases: [lines: string, json: object][] = [
  ["no-resolv;server=192.0.2.1", { recursors: ["192.0.2.1"] }],
  ["server=192.0.2.1", { recursors: ["192.0.2.1"], forwarder: { resolv_conf_always: true } }],
  [
    "server=192.0.2.1;resolv-file=/a",
    { recursors: ["192.0.2.1"], forwarder: { resolv_conf: "/a", resolv_conf_always: true } },
  ],
  [
    "no-resolv;server=192.0.2.1#5353;server=2001:db8::1#54;server=2001:db8::2",
    {
      recursors: ["192.0.2.1:5353", "[2001:db8::1]:54", "2001:db8::2"],
    },
  ],
  [
    "no-resolv;server=192.0.2.1@eth0;server=192.0.2.1@10.0.0.1#99;server=192.0.2.1@eth0@10.0.0.1",
    {
      recursors: ["192.0.2.1@eth0", "192.0.2.1@10.0.0.1#99", "192.0.2.1@eth0@10.0.0.1"],
    },
  ],
  ["no-resolv;server=/#/192.0.2.1;server=192.0.2.1", { recursors: ["192.0.2.1"] }],
  ["no-resolv;server=fe80::1%eth0#54", { recursors: ["[fe80::1%eth0]:54"] }],
  ["no-resolv;server=dns.example", { recursors: ["dns.example"] }],
  [
    "no-resolv;server=192.0.2.1;query-port=5454;server=192.0.2.2@10.0.0.1",
    {
      recursors: ["192.0.2.1@#5454", "192.0.2.2@10.0.0.1"],
    },
  ],
  [
    "server=/a.test/b.test/192.0.2.1",
    zones({ names: ["a.test", "b.test"], servers: ["192.0.2.1"] }),
  ],
  [
    "server=/a.test/192.0.2.1;server=/A.test./192.0.2.2",
    zones({ names: ["a.test"], servers: ["192.0.2.1", "192.0.2.2"] }),
  ],
  [
    "server=/.a.test/192.0.2.1;server=/*.b.test/192.0.2.1;server=/*c.test/192.0.2.1",
    zones({
      names: ["a.test", "*.b.test", "*c.test"],
      servers: ["192.0.2.1"],
    }),
  ],
  ["server=//192.0.2.1", zones({ names: [""], servers: ["192.0.2.1"] })],
  ["server=/a.test/#", zones({ names: ["a.test"], defaults: true })],
  ["server=/a.test/", zones({ names: ["a.test"], local: true })],
  ["local=/a.test/b.test/", zones({ names: ["a.test", "b.test"], local: true })],
  ["local=/a.test/192.0.2.1;local=/a.test/", zones({ names: ["a.test"], servers: ["192.0.2.1"] })],
  [
    "server=/bücher.test/192.0.2.1",
    zones({ names: ["xn--bcher-kva.test"], servers: ["192.0.2.1"] }),
  ],
  ["server=", zones({ names: ["."], local: true })],
  [
    "rev-server=10.1.0.0/16,192.0.2.1#54",
    zones({ names: ["10.1.0.0/16"], servers: ["192.0.2.1:54"] }),
  ],
  ["rev-server=10.1.2.3,192.0.2.1", zones({ names: ["10.1.2.3/32"], servers: ["192.0.2.1"] })],
  ["rev-server=10.1.2.3/9,192.0.2.1", zones({ names: ["10.0.0.0/9"], servers: ["192.0.2.1"] })],
  [
    "rev-server=2001:db8:1::/33,192.0.2.1",
    zones({ names: ["2001:db8::/33"], servers: ["192.0.2.1"] }),
  ],
  ["rev-server=10.0.0.0/8", zones({ names: ["10.0.0.0/8"], local: true })],
  [
    "address=/a.test/b.test/192.0.2.1",
    addresses({ names: ["a.test", "b.test"], addresses: ["192.0.2.1"] }),
  ],
  [
    "address=/a.test/192.0.2.1;address=/a.test/2001:db8::1",
    addresses({ names: ["a.test"], addresses: ["192.0.2.1", "2001:db8::1"] }),
  ],
  ["address=/a.test/", addresses({ names: ["a.test"], addresses: [] })],
  ["address=/a.test/#", addresses({ names: ["a.test"], addresses: ["#"] })],
  ["address=/#/192.0.2.1", addresses({ names: ["."], addresses: ["192.0.2.1"] })],
  ["address=192.0.2.1", addresses({ names: ["."], addresses: ["192.0.2.1"] })],
  [
    "address=/a.test/192.0.2.1;local=/a.test/",
    forwarder({
      zones: [{ names: ["a.test"], local: true }],
      addresses: [{ names: ["a.test"], addresses: ["192.0.2.1"] }],
    }),
  ],
  [
    "host-record=a.test,b.test,192.0.2.1,2001:db8::1,60",
    records(
      { name: "a.test", type: "A", data: "192.0.2.1", ttl: "60s" },
      { name: "b.test", type: "A", data: "192.0.2.1", ttl: "60s" },
      { name: "1.2.0.192.in-addr.arpa", type: "PTR", data: "a.test.", ttl: "60s" },
      { name: "a.test", type: "AAAA", data: "2001:db8::1", ttl: "60s" },
      { name: "b.test", type: "AAAA", data: "2001:db8::1", ttl: "60s" },
      {
        name: "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
        type: "PTR",
        data: "a.test.",
        ttl: "60s",
      },
    ),
  ],
  [
    "host-record=a.test,192.0.2.1;host-record=b.test,192.0.2.1",
    records(
      { name: "a.test", type: "A", data: "192.0.2.1" },
      { name: "1.2.0.192.in-addr.arpa", type: "PTR", data: "a.test." },
      { name: "b.test", type: "A", data: "192.0.2.1" },
    ),
  ],
  [
    "cname=a.test,b.test,c.test",
    records(
      { name: "a.test", type: "CNAME", data: "c.test." },
      { name: "b.test", type: "CNAME", data: "c.test." },
    ),
  ],
  [
    "cname=*.a.test,c.test,60",
    records({ name: "\\*.a.test", type: "CNAME", data: "c.test.", ttl: "60s" }),
  ],
  [
    "cname=*.a.test,c.test;auth-zone=a.test",
    forwarder({
      zones: [{ names: ["a.test"], local: true }],
      records: [{ name: "a.test", type: "CNAME", data: "c.test.", ttl: "600s", wildcard: true }],
    }),
  ],
  ["cname=a.test,5", records({ name: "a.test", type: "CNAME", data: "5." })],
  [
    "srv-host=_x._tcp.a.test,b.test,443,1,2",
    records({ name: "_x._tcp.a.test", type: "SRV", data: "1 2 443 b.test." }),
  ],
  ["srv-host=_x._tcp.a.test", records({ name: "_x._tcp.a.test", type: "SRV", data: "0 0 1 ." })],
  [
    "srv-host=_x._tcp,b.test;domain=corp.test",
    forwarder({
      host_domain: "corp.test",
      records: [{ name: "_x._tcp.corp.test", type: "SRV", data: "0 0 1 b.test." }],
    }),
  ],
  [
    'txt-record=a.test,one,"two, \\"three\\""',
    records({ name: "a.test", type: "TXT", data: '"one" "two, \\"three\\""' }),
  ],
  ["txt-record=a.test", records({ name: "a.test", type: "TXT", data: '""' })],
  [
    `txt-record=a.test,${"x".repeat(256)}`,
    records({ name: "a.test", type: "TXT", data: `"${"x".repeat(255)}" "x"` }),
  ],
  ["txt-record=a.test,ü", records({ name: "a.test", type: "TXT", data: '"\\195\\188"' })],
  [
    "ptr-record=_x._tcp.a.test,b.test",
    records({ name: "_x._tcp.a.test", type: "PTR", data: "b.test." }),
  ],
  [
    "naptr-record=a.test,1,2,S,SIP+D2U,!^.*$!x!",
    records({ name: "a.test", type: "NAPTR", data: '1 2 "S" "SIP+D2U" "!^.*$!x!" .' }),
  ],
  [
    "caa-record=a.test,0,issue,ca.test",
    records({ name: "a.test", type: "CAA", data: "\\# 14 0005697373756563612e74657374" }),
  ],
  ["dns-rr=a.test,51,01:23:45", records({ name: "a.test", type: "TYPE51", data: "\\# 3 012345" })],
  ["dns-rr=a.test,51", records({ name: "a.test", type: "TYPE51", data: "\\# 0" })],
  ["mx-host=a.test,b.test,50", records({ name: "a.test", type: "MX", data: "50 b.test." })],
  [
    "mx-host=a.test;mx-target=m.test",
    records(
      { name: "a.test", type: "MX", data: "1 m.test." },
      { name: "host-1", type: "MX", data: "1 m.test." },
    ),
  ],
  ["mx-host=a.test", records({ name: "a.test", type: "MX", data: "1 host-1." })],
  [
    "interface-name=a.test,eth0/4",
    records(
      { name: "a.test", type: "A", data: "10.1.2.3" },
      { name: "3.2.1.10.in-addr.arpa", type: "PTR", data: "a.test." },
    ),
  ],
  [
    "dynamic-host=a.test,0.0.0.8,eth0",
    records(
      { name: "a.test", type: "A", data: "10.1.2.8" },
      { name: "8.2.1.10.in-addr.arpa", type: "PTR", data: "a.test." },
    ),
  ],
  [
    "synth-domain=a.test,192.0.2.0/31,n-;synth-domain=a.test,192.0.2.7,192.0.2.8,n*",
    forwarder({
      synth_domains: [
        { domain: "a.test", range: "192.0.2.7-192.0.2.8", prefix: "n", counted: true },
        { domain: "a.test", range: "192.0.2.0/31", prefix: "n-", counted: false },
      ],
    }),
  ],
  [
    "addn-hosts=/a;addn-hosts=/b;hostsdir=/d",
    forwarder({ hosts: ["/etc/hosts", "/b", "/a", "/d"] }),
  ],
  ["no-hosts;addn-hosts=/a", forwarder({ hosts: ["/a"] })],
  ["domain=corp.test", forwarder({ host_domain: "corp.test" })],
  [
    "domain=corp.test,10.1.0.0/16,local",
    forwarder({
      host_domains: [{ domain: "corp.test", networks: ["10.1.0.0/16"] }],
      zones: [{ names: ["corp.test", "10.1.0.0/16"], local: true }],
    }),
  ],
  ["auth-zone=corp.test,10.1.0.0/16", zones({ names: ["corp.test"], local: true })],
  [
    "expand-hosts;domain=corp.test;localise-queries;domain-needed;bogus-priv",
    forwarder({
      expand_hosts: true,
      host_domain: "corp.test",
      localise_queries: true,
      domain_needed: true,
      private_reverse: "local",
    }),
  ],
  [
    "local-ttl=60;neg-ttl=61;min-cache-ttl=9999",
    forwarder({
      local_ttl: "60s",
      cache_bare_negative_ttl: "61s",
      cache_min_ttl: "3600s",
    }),
  ],
  ["max-ttl=60;max-cache-ttl=600", forwarder({ cache_max_ttl: "60s" })],
  ["max-cache-ttl=600", forwarder({ cache_max_ttl: "600s" })],
  ["cache-size=10000", forwarder({ cache_size: 10_240_000 })],
  ["add-subnet", forwarder({ add_subnet: "0" })],
  ["add-subnet=24,56;strip-subnet", forwarder({ add_subnet: "24,56", strip_subnet: true })],
  ["max-tcp-connections=40", { dns_listen: { tcp_max_connections: 40 } }],
  ["cache-size=150", forwarder({ cache_size: 2 ** 20 })],
  ["cache-size=0", forwarder({ cache: false })],
  ["no-negcache", forwarder({ cache_max_negative_ttl: "0s" })],
  ["use-stale-cache", forwarder({ stale: true, stale_client_timeout: "0s", stale_max: "86400s" })],
  [
    "use-stale-cache=0",
    forwarder({ stale: true, stale_client_timeout: "0s", stale_max: "31622400s" }),
  ],
  [
    "bogus-nxdomain=192.0.2.1;bogus-nxdomain=192.0.2.0/24;ignore-address=2001:db8::/32",
    forwarder({
      bogus_nxdomain: ["192.0.2.1", "192.0.2.0/24"],
      ignore_address: ["2001:db8::/32"],
    }),
  ],
  [
    "alias=192.0.2.1-192.0.2.9,10.0.0.0,255.255.255.0",
    forwarder({ alias: ["192.0.2.1-192.0.2.9,10.0.0.0,255.255.255.0"] }),
  ],
  [
    "filter-A;filter-AAAA;filter-rr=TXT,65",
    forwarder({ filter_types: ["A", "AAAA", "TXT", "TYPE65"] }),
  ],
  ["filterwin2k", forwarder({ filter_win2k: true })],
  [
    "stop-dns-rebind;rebind-localhost-ok;rebind-domain-ok=/a.test/b.test/;rebind-domain-ok=c.test",
    forwarder({
      rebind_protection: true,
      rebind_localhost_ok: true,
      rebind_domains_ok: ["a.test", "b.test", "c.test"],
    }),
  ],
  ["dns-forward-max=500", forwarder({ max_in_flight: 500 })],
  [
    "dns-forward-max=500;server=/a.test/192.0.2.1",
    forwarder({
      max_in_flight: 500,
      zones: [{ names: ["a.test"], servers: ["192.0.2.1"], max_in_flight: 500 }],
    }),
  ],
  ["edns-packet-max=4096", { dns_access: { edns_payload: 4096 } }],
  ["min-port=4096", forwarder({ port_range: "4096-65535" })],
  ["min-port=4096;max-port=8191", forwarder({ port_range: "4096-8191" })],
  ["port=0", { ports: { dns: -1 } }],
  [
    "port=1053;listen-address=127.0.0.1,::1;listen-address=10.0.0.1",
    {
      ports: { dns: 1053 },
      addresses: { dns: "127.0.0.1 ::1 10.0.0.1" },
      dns_access: { local_service: false },
    },
  ],
  [
    "interface=eth*;except-interface=eth9;bind-dynamic",
    {
      dns_listen: { interfaces: ["lo", "eth*"], except_interfaces: ["eth9"], dynamic: true },
      dns_access: { local_service: false },
    },
  ],
  [
    "interface=eth0;bind-interfaces",
    {
      dns_listen: { interfaces: ["lo", "eth0"], dynamic: false },
      dns_access: { local_service: false },
    },
  ],
  [
    "except-interface=eth0",
    {
      dns_listen: { except_interfaces: ["eth0"], dynamic: true },
      dns_access: { local_service: false },
    },
  ],
  ["listen-address=0.0.0.0", { addresses: { dns: "0.0.0.0" } }],
  ["local-service", { dns_access: { local_service: true } }],
  [
    "local-service=host",
    { addresses: { dns: "127.0.0.1 ::1" }, dns_access: { local_service: true } },
  ],
  [
    "dns-loop-detect;log-queries=extra;log-facility=/var/log/q",
    forwarder({
      loop_detection: true,
      query_log: "dnsmasq-extra",
      query_log_file: "/var/log/q",
    }),
  ],
  ["log-queries=proto;log-queries=extra", forwarder({ query_log: "dnsmasq-proto" })],
  [
    "log-queries=extra;log-queries=only_failed",
    forwarder({ query_log: "dnsmasq-extra", query_log_only_failed: true }),
  ],
  ["do-0x20-encode", forwarder({ mixed_case: true })],
  ["no-0x20-encode;proxy-dnssec", forwarder({ mixed_case: false, trust_ad: true })],
  ["pid-file=/run/x.pid", { pid_file: "/run/x.pid" }],
  ["resolv-file=/a;resolv-file=/b", forwarder({ resolv_conf: ["/a", "/b"] })],
  ["dhcp-leasefile=/l", forwarder({ leases: ["/l"] })],
  ["dhcp-range=10.0.0.2,10.0.0.9", forwarder({ leases: ["/var/lib/misc/dnsmasq.leases"] })],
  ["strict-order", { dns_config: { recursor_strategy: "sequential" } }],
  ["all-servers", { dns_config: { recursor_strategy: "parallel" } }],
];

t.test("lines → JSON", async (t) => {
  for (const [lines, json] of cases) t.same(tree(lines.replaceAll(";", "\n")), json, lines);
});

t.test("an empty file: what dnsmasq does by itself", async (t) => {
  t.same(treeOf(read("").entries), {
    ports: { dns: 53 },
    addresses: { dns: "0.0.0.0 ::" },
    dns_config: { recursor_strategy: "fastest" },
    forwarder: {
      resolv_conf: "/etc/resolv.conf",
      hosts: ["/etc/hosts"],
      private_reverse: "forward",
      special_names: false,
      minimal_any: false,
      local_ttl: "0s",
    },
  });
  const none = treeOf(read("no-resolv\nno-hosts").entries);
  t.notOk("resolv_conf" in (none["forwarder"] as object));
  t.notOk("hosts" in (none["forwarder"] as object));
});

t.test("every keyword has a meaning, or a reason for none", async (t) => {
  for (const [word, keyword] of Object.entries(keywords))
    if ("becomes" in keyword && !/^conf-(file|dir)$/.test(word))
      t.ok(Object.hasOwn(handlers, word), word);
  for (const word of Object.keys(handlers)) t.ok(Object.hasOwn(keywords, word), word);
});

t.test("each key and each member of a list knows its line", async (t) => {
  const { entries } = read(
    "port=54\n\nserver=/a.test/192.0.2.1\nlocal=/b.test/\nserver=/c.test/192.0.2.1",
  );
  t.match(
    entries.find(({ key }) => key === "ports.dns"),
    { place: "main.conf:1" },
  );
  t.match(
    entries.find(({ key }) => key === "forwarder.zones"),
    {
      place: "main.conf:3",
      places: ["main.conf:3", "main.conf:4"],
    },
  );
});
