/** Names that mean something by themselves, wherever they are asked for. */
import t from "tap";
import { localDataSettings } from "../../../src/agent/local-data.ts";
import { formatName } from "../../../src/dns/name.ts";
import { createPipeline } from "../../../src/forwarder/pipeline.ts";
import { seededRandom } from "../world.ts";
import { createScene, expectAll, requestOf } from "./scene.ts";

t.test("RFC 8375: home.arpa stays at home", async (t) => {
  const outside = await createScene(t, {
    records: [{ name: "nas.home.arpa", type: "A", data: "192.168.1.5" }],
    zones: [{ names: ["lab.home.arpa"], servers: ["192.0.2.2"] }],
  });
  expectAll(t, outside, [
    ["nas.home.arpa A", "A 192.168.1.5"],
    ["nas.home.arpa AAAA", "NODATA"],
    ["tv.Home.ARPA A", "NXDOMAIN"],
    ["home.arpa SOA", "NODATA"],
    ["x.lab.home.arpa A", "@2"],
    ["nothome.arpa A", "@1"],
  ]);
  t.equal(outside.pipeline.stats().answers["private reverse"], 3);
  const denial = outside.answer("tv.home.arpa A");
  t.equal(denial.ok && formatName(denial.authority[0]!.owner), "home.arpa.");
  outside.ask("home.arpa DS");
  t.equal(outside.world.asked.at(-1)?.question.name, "home.arpa", "DS is the parent's");
  const router = await createScene(t, {}, { recursors: ["192.168.1.1"] });
  const groups: string[] = [];
  const pipeline = createPipeline({
    forwarder: { forwardTo: (group) => void groups.push(group) },
    settings: localDataSettings(router.loaded),
    filter: null,
    random: seededRandom(1),
  });
  pipeline.forward(requestOf("tv.home.arpa A", "127.0.0.1"), () => {});
  t.same(groups, [""], "the router at home is asked");
  const dnsmasq = await createScene(t, { special_names: false, private_reverse: "local" });
  t.equal(dnsmasq.ask("tv.home.arpa A"), "@1", "dnsmasq's bogus-priv is for addresses alone");
});

t.test("RFC 9462: resolver.arpa is empty, and asked of nobody", async (t) => {
  const scene = await createScene(t, {});
  expectAll(t, scene, [
    ["_dns.resolver.arpa TYPE64", "NODATA"],
    ["resolver.arpa A", "NODATA"],
    ["x.y.resolver.arpa TXT", "NODATA"],
    ["xresolver.arpa A", "@1"],
  ]);
  t.equal(scene.pipeline.stats().answers["special name"], 3);
  const nodata = scene.answer("_dns.Resolver.arpa TYPE64");
  t.equal(nodata.ok && formatName(nodata.authority[0]!.owner), "resolver.arpa.");
  const off = await createScene(t, { special_names: false });
  t.equal(off.ask("x.resolver.arpa A"), "@1");
  const zone = [{ names: ["resolver.arpa"], servers: ["192.0.2.2"] }];
  const zoned = await createScene(t, { zones: zone });
  t.equal(zoned.ask("x.resolver.arpa A"), "@2");
});

t.test("RFC 6761 names are answered here, unless a zone says otherwise", async (t) => {
  const scene = await createScene(t, {});
  expectAll(t, scene, [
    ["localhost A", "A 127.0.0.1"],
    ["LocalHost AAAA", "AAAA ::1"],
    ["x.localhost A", "A 127.0.0.1"],
    ["localhost MX", "NODATA"],
    ["x.invalid A", "NXDOMAIN"],
    ["invalid TXT", "NXDOMAIN"],
    ["hidden.onion A", "NXDOMAIN"],
    ["x.test A", "@1"],
    ["printer.local A", "@1"],
    ["notlocalhost A", "@1"],
  ]);
  const zoned = await createScene(t, { zones: [{ names: ["onion"], servers: ["192.0.2.2"] }] });
  expectAll(t, zoned, [
    ["hidden.onion A", "@2"],
    ["x.invalid A", "NXDOMAIN"],
  ]);
  const off = await createScene(t, { special_names: false });
  expectAll(t, off, [
    ["localhost A", "@1"],
    ["x.invalid A", "@1"],
  ]);
});
