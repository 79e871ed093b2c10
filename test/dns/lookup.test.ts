import t from "tap";
import { parseLookup } from "../../src/dns/lookup.ts";
import { parseName } from "../../src/dns/name.ts";
import { TYPE } from "../../src/dns/rr.ts";
import { dnsDefaults, prepareSettings } from "../../src/dns/settings.ts";

const { zone, altZone } = prepareSettings({ ...dnsDefaults, altDomain: "Mesh.Example" });
const wire = (text: string) => {
  const parsed = parseName(text);
  if (!parsed.ok) throw new Error(`${text}: ${parsed.error}`);
  return parsed.value;
};
const inConsul = (name: string, qtype: number = TYPE.A) =>
  parseLookup(wire(`${name}consul.`), qtype, zone);

const none = { kind: "none" };
const service = (name: string, tag = "", datacenter = "") => ({
  kind: "service",
  service: name,
  tag,
  datacenter,
});
const node = (name: string, datacenter = "") => ({ kind: "node", node: name, datacenter });
const query = (name: string, datacenter = "") => ({ kind: "query", query: name, datacenter });

t.test("the grammar (spec of the DNS interface, section 2)", async (t) => {
  const rows: [name: string, meaning: object][] = [
    ["", none],
    ["x.", none],
    ["ns.", none],
    ["x.bogus.", none],
    ["service.", none],
    ["node.", none],
    ["query.", none],
    ["addr.", none],
    ["web.service.", service("web")],
    ["WEB.Service.", service("web")],
    ["web.service.dc2.", service("web", "", "dc2")],
    ["web.service.DC2.", service("web", "", "dc2")],
    ["web.service.dc2.dc.", service("web", "", "dc2")],
    ["web.service.dc.", service("web", "", "dc")],
    ["web.service.a.b.", none],
    ["web.service.dc2.dc.dc.", none],
    ["blue.web.service.", service("web", "blue")],
    ["v1.2.web.service.", service("web", "v1.2")],
    ["service.service.", service("service")],
    ["node.service.", service("node")],
    ["web.service.node.", node("web.service")],
    ["a.b.c.node.", node("a.b.c")],
    ["n1.node.dc9.", node("n1", "dc9")],
    ["n1.node.dc9.dc.", node("n1", "dc9")],
    ["n1.node.x.y.", none],
    ["q.query.", query("q")],
    ["a.b.query.dc1.", query("a.b", "dc1")],
    ["q.query.dc1.dc.", none],
    ["_q._tcp.query.", query("q")],
    ["_a.b._x.query.", query("a.b")],
    ["_q.query.", query("_q")],
    ["q._tcp.query.", query("q._tcp")],
    ["_web._tcp.service.", service("web")],
    ["_web._TCP.service.", service("web")],
    ["_web._udp.service.", service("web", "udp")],
    ["_web._blue.service.dc2.", service("web", "blue", "dc2")],
    ["_web.service.", service("_web")],
    ["web._tcp.service.", service("_tcp", "web")],
    ["_web.tcp.service.", service("tcp", "_web")],
    ["_a._web._tcp.service.", service("_tcp", "_a._web")],
    ["__x._tcp.service.", service("_x")],
    ["_web._tcp.", none],
    ["web.connect.", none],
    ["web.ingress.", none],
    ["*.service.", service("*")],
    ["a\\.b.service.", service("a\\.b")],
    ["a\\\\b.node.", node("a\\\\b")],
    ["a\\.b.c.node.", node("a\\.b.c")],
    ["\\195\\188ber.node.", node("über")],
    ["\\195\\156ber.node.", node("über")],
    ["sp\\032ace.service.", service("sp ace")],
    ["\\000.service.", service("\0")],
  ];
  for (const [name, meaning] of rows) t.same(inConsul(name), meaning, name);
});

t.test("SRV makes the keyword optional behind an underscore", async (t) => {
  const rows: [name: string, meaning: object][] = [
    ["_web._tcp.", service("web")],
    ["_web._blue.", service("web", "blue")],
    ["_web._tcp.dc1.", service("web", "", "dc1")],
    ["_web._tcp.dc1.dc.", service("web", "", "dc1")],
    ["_web._tcp.a.b.", none],
    ["_web.", service("_web")],
    ["web._tcp.", service("_tcp", "web")],
    ["_web._tcp.service.", service("web")],
    ["_web._tcp.service.dc1.dc2.", none],
    ["web.service.", service("web")],
    ["_q._tcp.query.", query("q")],
  ];
  for (const [name, meaning] of rows) t.same(inConsul(name, TYPE.SRV), meaning, name);
});

t.test("addr: 8 or 32 hexadecimal digits, anything behind it", async (t) => {
  const v4 = { kind: "addr", address: Uint8Array.of(10, 1, 2, 255) };
  t.same(inConsul("0a0102ff.addr."), v4);
  t.same(inConsul("0A0102FF.ADDR."), v4);
  t.same(inConsul("0a0102ff.addr.any.thing."), v4);
  t.match(inConsul(`${"00".repeat(15)}01.addr.`), { kind: "addr", address: { length: 16 } });
  for (const bad of ["a0102ff", "0a0102fff", "0a0102fg", "", "x.0a0102ff", "0".repeat(31)])
    t.same(inConsul(`${bad === "" ? "" : `${bad}.`}addr.`), none, bad);
});

t.test("the suffix is stripped by label, in either domain", async (t) => {
  t.ok(altZone);
  t.same(parseLookup(wire("web.SERVICE.mesh.EXAMPLE."), TYPE.A, altZone!), service("web"));
  // A label that ends like the domain is no domain.
  t.same(parseLookup(wire("service.consul.consul."), TYPE.A, zone), none);
  t.same(
    parseLookup(wire("web.service.consul.consul."), TYPE.A, zone),
    service("web", "", "consul"),
  );
});

t.test(
  "service_ttl: exact key, then the longest prefix, then 0 (Consul GetTTLForService)",
  async (t) => {
    const settings = prepareSettings({
      ...dnsDefaults,
      serviceTtlSeconds: new Map([
        ["*", 5],
        ["db*", 10],
        ["db-master", 3],
        ["Cap", 9],
        ["a*b", 8],
        ["frac", 1.5],
      ]),
    });
    const rows: [service: string, seconds: number][] = [
      ["web", 5],
      ["db", 10],
      ["dbx", 10],
      ["db-master", 3],
      ["db-master-2", 10],
      ["cap", 5],
      ["a*b", 8],
      ["axb", 5],
      ["frac", 1],
    ];
    for (const [name, seconds] of rows) t.equal(settings.serviceTtl(name), seconds, name);
    t.equal(prepareSettings(dnsDefaults).serviceTtl("web"), 0);
  },
);
