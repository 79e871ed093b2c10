import { join } from "node:path";
import assert from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import { placeOfJsonError } from "../../src/config/json-place.ts";
import { load, writeFiles } from "./world.ts";

/** A tree (data_dir is added) or the text of a file, and all that is said about it. */
const refused: [tree: object | string, errors: string[]][] = [
  [{ foo: 1 }, ["F: invalid config key foo"]],
  [{ node_nam: "a" }, ["F: invalid config key node_nam (did you mean node_name?)"]],
  [{ nodename: "a" }, ["F: invalid config key nodename (did you mean node_name?)"]],
  [
    { dns_config: { node_tl: "5s" } },
    ["F: invalid config key dns_config.node_tl (did you mean dns_config.node_ttl?)"],
  ],
  [{ node_ttl: "5s" }, ["F: invalid config key node_ttl (did you mean dns_config.node_ttl?)"]],
  [{ dns_confgi: {} }, ["F: invalid config key dns_confgi (did you mean dns_config?)"]],
  [{ sevrices: [] }, ["F: invalid config key sevrices (did you mean services?)"]],
  [
    { Forwarder: { CacheSize: 1 } },
    ["F: invalid config key forwarder.CacheSize (did you mean forwarder.cache_size?)"],
  ],
  [{ service: { name: "a", prot: 80 } }, ["F: invalid config key service.prot"]],
  [
    { services: [{ name: "a" }, { name: "b", check: { ttll: "5s" } }] },
    ["F: invalid config key services[1].check.ttll"],
  ],
  [{ services: [{ port: 80 }] }, ["F: services[0]: Missing service name"]],
  [{ services: ["a"] }, ['F: services[0]: expected an object, got "a"']],
  [{ checks: [{ name: "a" }] }, ["F: checks[0]: Invalid check: TTL must be > 0 for TTL checks"]],
  [
    { check: { name: "a", args: ["/bin/true"], interval: "10s" } },
    [
      "F: check: Scripts are disabled on this agent; to enable, configure 'enable_script_checks' or 'enable_local_script_checks' to true",
    ],
  ],
  [{ node_name: 5 }, ["F: node_name: expected a text, got 5"]],
  [{ server: "yes" }, ['F: server: expected true or false, got "yes"']],
  [{ ports: { dns: "53" } }, ['F: ports.dns: expected an integer, got "53"']],
  [{ ports: { dns: 53.5 } }, ["F: ports.dns: expected an integer, got 53.5"]],
  [{ ports: { dns: 65536 } }, ["F: ports.dns: must be from -1 to 65535, got 65536"]],
  [{ ports: { http: -2 } }, ["F: ports.http: must be from -1 to 65535, got -2"]],
  [{ ports: 53 }, ["F: ports: expected an object, got 53"]],
  [{ recursors: "192.0.2.1" }, ['F: recursors: expected a list of texts, got "192.0.2.1"']],
  [{ recursors: [53] }, ["F: recursors: expected a list of texts, got a list with 53"]],
  [{ node_meta: { a: 1 } }, ["F: node_meta: expected an object of texts, got an object"]],
  [
    { dns_config: { node_ttl: 5 } },
    ['F: dns_config.node_ttl: expected a duration such as "10s", got 5'],
  ],
  [
    { dns_config: { node_ttl: "5" } },
    ['F: dns_config.node_ttl: time: missing unit in duration "5"'],
  ],
  [{ dns_config: { node_ttl: "-5s" } }, ["F: dns_config.node_ttl: must be at least 0s, got -5s"]],
  [
    { dns_config: { service_ttl: { web: "5x", db: "1s" } } },
    ['F: dns_config.service_ttl: web: time: unknown unit "x" in duration "5x"'],
  ],
  [
    { dns_config: { service_ttl: { web: "-1s" } } },
    ['F: dns_config.service_ttl: web: must not be negative, got "-1s"'],
  ],
  [
    { dns_config: { udp_answer_limit: -1, a_record_limit: -1 } },
    [
      "F: dns_config.udp_answer_limit: must be at least 0, got -1",
      "F: dns_config.a_record_limit: must be at least 0, got -1",
    ],
  ],
  [
    { dns_config: { recursor_strategy: "quickest" } },
    [
      'F: dns_config.recursor_strategy: must be one of sequential, random, fastest, parallel; got "quickest"',
    ],
  ],
  [
    { log_level: "loud" },
    ['F: log_level: must be one of trace, debug, info, warn, err, error; got "loud"'],
  ],
  [
    { forwarder: { cache_size: "many" } },
    ['F: forwarder.cache_size: expected a size in octets such as 67108864 or "64MiB", got "many"'],
  ],
  [{ workers: 65 }, ["F: workers: must be from 0 to 64, got 65"]],
  [{ acl: { tokens: { agent: 77 } } }, ["F: acl.tokens.agent: expected a text"]],
  [
    { acl: { default_policy: "maybe" } },
    ['F: acl.default_policy: must be one of allow, deny; got "maybe"'],
  ],
  [{ data_dir: "" }, ["F: data_dir cannot be empty"]],
  [
    { datacenter: "d c" },
    ["F: datacenter can only contain lowercase alphanumeric, - or _ characters."],
  ],
  [{ datacenter: "" }, ["F: datacenter cannot be empty"]],
  [{ node_id: "7" }, ['F: node_id: "7" is not a UUID']],
  [{ bootstrap: true, server: false }, ["F: 'bootstrap = true' requires 'server = true'"]],
  [
    { bootstrap: true, bootstrap_expect: 1 },
    ["F: 'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive"],
  ],
  [{ bootstrap_expect: 3, server: false }, ["F: 'bootstrap_expect > 0' requires 'server = true'"]],
  [{ encrypt: "short" }, ["F: encrypt: the key must be 16, 24 or 32 octets in base64"]],
  [{ domain: "a..b" }, ['F: domain: "a..b." is not a domain name']],
  [{ domain: `${"a".repeat(64)}.b` }, [`F: domain: "${"a".repeat(64)}.b." is not a domain name`]],
  ...["service", "connect", "node", "query", "addr", "dc1"].map((word): [object, string[]] => [
    { alt_domain: `${word}.example` },
    ["F: alt_domain cannot start with {service,connect,node,query,addr,dc1}"],
  ]),
  [
    { node_meta: { "consul-x": "1" } },
    [
      "F: node_meta: Couldn't load metadata pair ('consul-x', '1'): Key prefix 'consul-' is reserved for internal use",
    ],
  ],
  [{ bind_addr: "localhost" }, ['F: bind_addr: "localhost" is not an IP address']],
  [{ bind_addr: "" }, ["F: bind_addr cannot be empty"]],
  [
    { bind_addr: "127.0.0.1 127.0.0.2" },
    ["F: bind_addr: takes one address, got 127.0.0.1 127.0.0.2"],
  ],
  [
    { advertise_addr: "0.0.0.0" },
    [
      "F: advertise_addr cannot be 0.0.0.0, :: or [::]",
      "advertise_addr_wan cannot be 0.0.0.0, :: or [::]",
    ],
  ],
  [
    { bind_addr: '{{ GetInterfaceIP "eth9" }}' },
    ['F: bind_addr: template {{ GetInterfaceIP "eth9" }}: finds no address on this machine'],
  ],
  [
    { client_addr: "{{ GetPrivatIP }}" },
    [
      "F: client_addr: template {{ GetPrivatIP }}: unknown function GetPrivatIP (did you mean GetPrivateIP?)",
    ],
  ],
  [{ client_addr: "unix:///x" }, ["F: client_addr cannot be a Unix socket; use addresses.http"]],
  [{ addresses: { dns: "unix:///x" } }, ["F: addresses.dns: DNS cannot listen on a Unix socket"]],
  [{ addresses: { http: "unix://" } }, ["F: addresses.http: unix:// without a path"]],
  [{ ports: { dns: 8500 } }, ["ports.http: 127.0.0.1:8500 is already used by ports.dns"]],
  [
    { ports: { dns: 8500 }, addresses: { http: "0.0.0.0" } },
    ["ports.http: 0.0.0.0:8500 is already used by ports.dns"],
  ],
  [{ recursors: ["0.0.0.0"] }, ['F: recursors: "0.0.0.0" is the unspecified address']],
  [{ recursors: ["::"] }, ['F: recursors: "::" is the unspecified address']],
  [
    { recursors: ["192.0.2.1:0"] },
    ['F: recursors: "192.0.2.1:0" has a port that is not from 1 to 65535'],
  ],
  [{ recursors: ["192.0.2"] }, ['F: recursors: "192.0.2" is not an IP address']],
  [
    { recursors: ["a b!"] },
    [
      'F: recursors: "b!" is neither an IP address nor a host name',
      'F: recursors: the host name "a" cannot be resolved',
    ],
  ],
  [
    { recursors: ["nowhere.example"] },
    ['F: recursors: the host name "nowhere.example" cannot be resolved'],
  ],
  [
    { http_config: { allow_write_http_from: ["10.0.0.0/8", "10.0.0.1"] } },
    ['F: http_config.allow_write_http_from: "10.0.0.1" is not a network such as 10.0.0.0/8'],
  ],
  ["[]", ["F: expected an object at the top, got a list"]],
  ["null", ["F: expected an object at the top, got null"]],
  [
    `{"data_dir": "/d", "recursors": ${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
    ["F: recursors: expected a list of texts, got a list with a list"],
  ],
];

for (const [tree, errors] of refused)
  t.test(JSON.stringify(tree).slice(0, 80), async (t) => {
    const content = typeof tree === "string" ? tree : { data_dir: "/d", server: true, ...tree };
    const file = join(writeFiles(t, { "a.json": content }), "a.json");
    const result = await load([file]);
    if (result.ok) return t.fail("was accepted");
    const said = result.error.map((line) => line.replaceAll(file, "F"));
    return t.same(said.toSorted(), errors.toSorted());
  });

const broken: [text: string, line: number, column: number, found: string][] = [
  ['{\n  "node_name": "x",\n  "data_dir": }\n', 3, 15, '"}"'],
  ['{"a": 1,}', 1, 9, '"}"'],
  ['{"a": 1 "b": 2}', 1, 9, '"\\""'],
  ["{'a': 1}", 1, 2, '"\'"'],
  ['{"a": 01}', 1, 8, '"1"'],
  ['{"a": [1, 2}', 1, 12, '"}"'],
  ['{"a": [1,]}', 1, 10, '"]"'],
  ['{"a": "x\ny"}', 1, 7, '"\\""'],
  ['{"a": 1', 1, 8, "end of the file"],
  ['{"a"', 1, 5, "end of the file"],
  ["{}\n{}", 2, 1, '"{"'],
  ["{a: 1}", 1, 2, '"a"'],
  ["// no comments\n{}", 1, 1, '"/"'],
];
for (const [text, line, column, found] of broken)
  t.test(`broken JSON: ${JSON.stringify(text)}`, async (t) => {
    const file = join(writeFiles(t, { "a.json": text }), "a.json");
    t.same(await load([file], { dev: true }), {
      ok: false,
      error: [`${file}: not valid JSON at line ${line}, column ${column}: unexpected ${found}`],
    });
  });

t.test("where the engine names a place, ours is the same", async () => {
  const soup = fc.array(fc.constantFrom("{", "}", "[", "]", ",", ":", '"a"', "true", " "));
  fc.assert(
    fc.property(soup, (tokens) => {
      const text = tokens.join("");
      try {
        JSON.parse(text);
      } catch (error) {
        const place = /at position (\d+)/.exec(String(error))?.[1];
        const { column, found } = placeOfJsonError(text);
        if (place === undefined) assert.match(String(error), /Unexpected (end|token)/);
        else assert.equal(column - 1, Number(place), text);
        if (/Unexpected end/.test(String(error))) assert.equal(found, "end of the file");
      }
    }),
    { numRuns: 1000 },
  );
});

t.test("paths that cannot be read", async (t) => {
  const directory = writeFiles(t, { "notes.txt": "{}" });
  t.match(await load(["/nowhere"]), {
    error: ["/nowhere: no such file or directory"],
  });
  t.match(await load([join(directory, "notes.txt")]), {
    error: [`${directory}/notes.txt: the name must end in .json or .hcl, or give -config-format`],
  });
  const forced = await load([join(directory, "notes.txt")], { format: "json", dev: true });
  t.ok(forced.ok, "-config-format holds for every name");
});

t.test("all mistakes are listed, up to a bound", async (t) => {
  const many = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`zz_${i}`, 1]));
  const result = await load([writeFiles(t, { "a.json": { data_dir: "/d", ...many } })]);
  t.match(result, { ok: false });
  const errors = result.ok ? [] : result.error;
  t.equal(errors.length, 51);
  t.equal(errors.at(-1), "and 10 more");
});
