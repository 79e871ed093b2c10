import { join } from "node:path";
import t from "tap";
import { parseHclTree } from "../../src/config/hcl.ts";
import { load, writeFiles } from "./world.ts";

const same: [hcl: string, json: unknown][] = [
  ["", {}],
  ['a = "x"', { a: "x" }],
  ['a = "x" b = 5', { a: "x", b: 5 }],
  ["a = -1\nb = 1.5\nc = 0x10\nd = 1e3", { a: -1, b: 1.5, c: 16, d: 1000 }],
  ["a = true\nb = false", { a: true, b: false }],
  ['a = ["x", "y",]', { a: ["x", "y"] }],
  ["a = []", { a: [] }],
  ["a { b = 1 }", { a: { b: 1 } }],
  ["a = { b = 1, c = 2 }", { a: { b: 1, c: 2 } }],
  ['a { "*" = "0s" rds = "5s" }', { a: { "*": "0s", rds: "5s" } }],
  ["a { b = 1 }\na { b = 2 }\na { b = 3 }", { a: [{ b: 1 }, { b: 2 }, { b: 3 }] }],
  ["a { b = 1 }\na = [{ b = 2 }]", { a: [{ b: 1 }, { b: 2 }] }],
  ["a = [{ b = 1 }]\na { b = 2 }", { a: [{ b: 1 }, { b: 2 }] }],
  ["a = [1]\na = [2]", { a: [2] }],
  ['a "x" { b = 1 }', { a: { x: { b: 1 } } }],
  ["# one\n// two\n/* three\n = */ a = 1 # four", { a: 1 }],
  ['a = "q\\"\\\\\\n\\u0041"', { a: 'q"\\\nA' }],
  ["a = <<EOF\nline 1\n  line 2\nEOF\nb = 1", { a: "line 1\n  line 2\n", b: 1 }],
  ["a = [{ b = 1 }, { b = 2 }]", { a: [{ b: 1 }, { b: 2 }] }],
];
t.test("the same as in JSON", async (t) => {
  for (const [hcl, json] of same) {
    const parsed = parseHclTree(hcl);
    t.same(JSON.parse(JSON.stringify(parsed)), { ok: true, value: json }, hcl);
  }
});

t.test("refused, naming file and line", async (t) => {
  const file = join(writeFiles(t, { "a.hcl": "\n\na = b" }), "a.hcl");
  t.same(await load([file], { dev: true }), {
    ok: false,
    error: [`${file}: not valid HCL: line 3: unknown value 'b'`],
  });
});

t.test("a configuration as packages ship it", async (t) => {
  const directory = writeFiles(t, {
    "consul.hcl": `
      datacenter = "ber1"
      data_dir   = "/opt/consul"
      client_addr = "127.0.0.1"
      server = true
      bootstrap_expect = 1
      bind_addr = "{{ GetInterfaceIP \\"eth0\\" }}"
      ui_config { enabled = false }
      ports { dns = 53 }
      dns_config {
        service_ttl { "*" = "5s" }
        soa { min_ttl = 30 }
      }
      service {
        name = "web"
        tags = ["a"]
        port = 80
        meta { k = "v" }
        weights { passing = 5 warning = 1 }
        checks { http = "http://127.0.0.1/" interval = "10s" }
      }
      service { name = "db" check { tcp = "127.0.0.1:5432" interval = "5s" } }
    `,
  });
  const result = await load([directory]);
  if (!result.ok) throw new Error(result.error.join("\n"));
  const { config, addresses, services, warnings } = result.value;
  t.match(config, {
    datacenter: "ber1",
    "ports.dns": 53,
    "dns_config.service_ttl": { "*": 5000 },
    "dns_config.soa.min_ttl": 30,
  });
  t.equal(addresses.bind, "10.1.2.3");
  t.same(
    services.map(({ fields, checks }) => [fields.service, fields.port, checks.length]),
    [
      ["web", 80, 1],
      ["db", 0, 1],
    ],
  );
  t.same(warnings, []);
});
