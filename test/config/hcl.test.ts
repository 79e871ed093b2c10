import fc from "fast-check";
import t from "tap";
import { parseHcl } from "../../src/config/hcl.ts";
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
  ['a "x" { b = 1 }', { a: { x: { b: 1 } } }],
  ["# one\n// two\n/* three\n = */ a = 1 # four", { a: 1 }],
  ['a = "q\\"\\\\\\n\\u0041"', { a: 'q"\\\nA' }],
  ["a = <<EOF\nline 1\n  line 2\nEOF\nb = 1", { a: "line 1\n  line 2\n", b: 1 }],
  ["a = <<-EOF\n    x\n      y\n    EOF\n", { a: "x\n  y\n" }],
  ['{"not": "json"}'.slice(1, -1), { not: "json" }],
  ["a = [{ b = 1 }, { b = 2 }]", { a: [{ b: 1 }, { b: 2 }] }],
];
t.test("the same as in JSON", async (t) => {
  for (const [hcl, json] of same) {
    const parsed = parseHcl(hcl);
    t.same(JSON.parse(JSON.stringify(parsed)), { ok: true, value: json }, hcl);
  }
});

const refused: [hcl: string, error: string][] = [
  ["a =", "not valid HCL: expected a value, got the end of the file at line 1"],
  ["a", "not valid HCL: expected = or { after a, got the end of the file at line 1"],
  ["\n\na = b", "not valid HCL: expected a value, got b at line 3"],
  ["a { b = 1", "not valid HCL: expected a key, got the end of the file at line 1"],
  ["a = [1", "not valid HCL: expected a value, got the end of the file at line 1"],
  ["= 1", "not valid HCL: expected a key, got = at line 1"],
  ["a = 1 }", "not valid HCL: expected a key, got } at line 1"],
  ['a = "x', 'not valid HCL: unexpected "\\"" at line 1'],
  ['a = "\\z"', 'not valid HCL: a text with an unknown escape: "\\z" at line 1'],
  ["a = ${x}", 'not valid HCL: unexpected "$" at line 1'],
  [`${"a {".repeat(40)}`, "not valid HCL: nested too deeply at line 1"],
  [`a = ${"[".repeat(40)}`, "not valid HCL: nested too deeply at line 1"],
];
t.test("refused, with the line", async (t) => {
  for (const [hcl, error] of refused) t.same(parseHcl(hcl), { ok: false, error }, hcl);
});

t.test("any JSON object is read as HCL writes it", async () => {
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: "small" },
      fc.string(),
      fc.boolean(),
      fc.integer(),
      tie("list"),
      tie("object"),
    ),
    list: fc.array(tie("any"), { maxLength: 4 }),
    object: fc.dictionary(fc.stringMatching(/^[a-z][a-z_0-9]{0,8}$/), tie("any"), { maxKeys: 4 }),
  })).object;
  fc.assert(
    fc.property(value, (tree) => {
      const text = Object.entries(tree as object)
        .map(([key, each]) => `${key} = ${JSON.stringify(each)}\n`)
        .join("");
      const parsed = parseHcl(text);
      return JSON.stringify(parsed) === JSON.stringify({ ok: true, value: tree });
    }),
  );
});

t.test("no text throws or hangs", async () => {
  const soup = fc.array(
    fc.constantFrom("a", "=", "{", "}", "[", "]", '"', "<<E", "\n", "E", "/*", "#", "1", ","),
  );
  fc.assert(
    fc.property(soup, (parts) => void parseHcl(parts.join(" "))),
    { numRuns: 500 },
  );
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
