/** `dns`: every explained answer is compared with what a client gets over UDP, as dns-packet reads it. */
import t from "tap";
import type { RecordType } from "dns-packet";
import { startProgram } from "../program.ts";
import { saying, startScene, type Seen } from "../program/scene.ts";
import { a, cname, replyTo, soa, type Got, type ReplyParts } from "../upstream.ts";
import { runCli } from "./run.ts";

type Explained = {
  Source: string;
  Rcode: string;
  Flags: string[];
  Answer: { Name: string; TTL: number; Type: string; Data: string }[];
  Additional: { Name: string; Type: string; Data: string }[];
  Steps: { Step: string; Text: string; LeftOut?: Record<string, number> }[];
};

/** What dns-packet read, in the words of a zone file. */
function dataText({ type, data }: { type: string; data: unknown }): string {
  const value = data as Record<string, unknown>;
  const dotted = (name: unknown) => `${String(name)}.`;
  if (type === "SRV")
    return [value["priority"], value["weight"], value["port"], dotted(value["target"])].join(" ");
  if (type === "TXT")
    return (data as Buffer[])
      .map((each) => `"${each.toString().replaceAll(/["\\]/g, "\\$&")}"`)
      .join(" ");
  if (type === "SOA")
    return [
      ...[value["mname"], value["rname"]].map(dotted),
      ...["serial", "refresh", "retry", "expire", "minimum"].map((name) => value[name]),
    ].join(" ");
  if (["CNAME", "PTR", "NS"].includes(type)) return dotted(data);
  return String(data);
}

const upstreamSays = saying((got: Got): ReplyParts => {
  const { name, type } = got;
  if (type === "AAAA") return { authorities: [soa("example.test", 60, 60)] };
  if (name.startsWith("missing.")) return { rcode: 3, authorities: [soa("example.test", 60, 60)] };
  if (name.startsWith("nodata.")) return { authorities: [soa("example.test", 60, 60)] };
  if (name.startsWith("broken.")) return { rcode: 2 };
  if (name.startsWith("alias."))
    return { answers: [cname(name, "www.example.test", 60), a("www.example.test", "192.0.2.7")] };
  if (name.startsWith("inward.")) return { answers: [cname(name, "web.service.consul", 60)] };
  return { answers: [a(name, "192.0.2.7", 60)] };
});

const services = [
  { name: "web", id: "w1", port: 80, address: "10.0.0.1", tags: ["v1"] },
  { name: "web", id: "w2", port: 81, address: "10.0.0.2", tags: ["v2"] },
  { name: "web", id: "w3", port: 82, address: "10.0.0.3", check: { ttl: "1h" } },
  {
    name: "web",
    id: "w4",
    port: 83,
    address: "10.0.0.4",
    check: { ttl: "1h", status: "warning" },
  },
  { name: "rds", id: "r1", port: 5432, address: "alias.example.test" },
  { name: "hop", id: "h1", port: 1, address: "web.service.consul" },
  ...Array.from({ length: 60 }, (_, i) => ({
    name: "many",
    id: `m${i}`,
    port: 1000 + i,
    address: `10.9.0.${i + 1}`,
  })),
];

t.test("an explained answer is the answer that clients get", async (t) => {
  const { program, ask, upstream } = await startScene(t, upstreamSays, {
    services,
    node_meta: { rack: 'r "7"' },
    dns_config: { only_passing: true, service_ttl: { "*": "7s" }, a_record_limit: 0 },
  });
  await program.http("POST", "/v1/query", { Name: "near-web", Service: { Service: "web" } });
  const explain = async (name: string, type: string, more = ""): Promise<Explained> => {
    const path = `/v1/waypost/dns/query?name=${encodeURIComponent(name)}&type=${type}${more}`;
    const { status, text } = await program.http("GET", path);
    t.equal(status, 200, `${name} ${type}: ${text}`);
    return JSON.parse(text) as Explained;
  };
  const cases: [name: string, types: (RecordType | "ANY")[], source: string, step: RegExp][] = [
    [
      "web.service.consul",
      ["A", "AAAA", "SRV", "ANY"],
      "catalog",
      /4 instances, 2 usable; left out: 1 critical, 1 not passing/,
    ],
    ["v1.web.service.consul", ["A"], "catalog", /left out: 3 without tag "v1"/],
    ["_web._tcp.service.consul", ["SRV"], "catalog", /service "web"/],
    ["many.service.consul", ["A", "SRV"], "catalog", /60 instances, 60 usable/],
    ["rds.service.consul", ["A"], "catalog", /CNAME alias\.example\.test\.: not ours/],
    ["hop.service.consul", ["A"], "catalog", /CNAME web\.service\.consul\.: a name of ours/],
    ["none.service.consul", ["A"], "catalog", /0 instances/],
    ["web.service.dc9.consul", ["A"], "catalog", /datacenter dc9 is not known/],
    ["nonsense.consul", ["A"], "catalog", /no form/],
    ["n1.node.consul", ["A", "TXT", "ANY"], "catalog", /node "n1"/],
    ["nobody.node.consul", ["A"], "catalog", /no node "nobody"/],
    ["near-web.query.consul", ["A"], "catalog", /3 instances of service "web"/],
    ["0a000001.addr.consul", ["A"], "catalog", /asks for address 10\.0\.0\.1/],
    ["consul", ["SOA", "NS"], "catalog", /lies in consul\./],
    ["1.0.0.10.in-addr.arpa", ["PTR"], "catalog", /10\.0\.0\.1 is the address of web/],
    ["www.example.test", ["A"], "cache", /fresh, 0 s old, \d\d s left/],
    ["alias.example.test", ["A"], "cache", /forwarder: NOERROR/],
    ["inward.example.test", ["A"], "cache", /service "web" has 4 instances/],
    ["missing.example.test", ["A"], "cache", /forwarder: NXDOMAIN/],
    ["nodata.example.test", ["A"], "cache", /NODATA/],
    ["broken.example.test", ["A"], "cache", /failed too recently/],
  ];
  const shownAnswers = ({ answers = [] }: Seen) =>
    answers.map(
      (rr) => `${rr.name}. ${rr.type} ${dataText(rr as { type: string; data: unknown })}`,
    );
  // The serial is the present second, which may pass between the two questions.
  const timeless = (records: string[]) =>
    records.map((record) => record.replace(/( SOA \S+ \S+) \d{10} /, "$1 now ")).toSorted();
  let compared = 0;
  let fromTable = 0;
  for (const [name, types, source, step] of cases)
    for (const type of types)
      for (const edns of [undefined, 1232, 4096]) {
        // Twice: computed the first time, then perhaps out of the table.
        for (const round of ["first", "second"]) {
          const seen = await ask(name, {
            type: type as RecordType,
            ...(edns === undefined ? {} : { edns }),
          });
          const explained = await explain(name, type, `&payload=${edns ?? 0}`);
          const what = `${name} ${type} ${edns ?? "plain"} ${round}`;
          t.equal(explained.Rcode, seen.rcode, what);
          const shown = explained.Answer.map((rr) => `${rr.Name} ${rr.Type} ${rr.Data}`);
          const wanted = shownAnswers(seen);
          t.equal(explained.Flags.includes("tc"), seen.flag_tc, `${what}: TC`);
          t.equal(explained.Flags.includes("aa"), seen.flag_aa, `${what}: AA`);
          // A choice of many is another one each time; how many fit is not.
          if (name.startsWith("many.")) t.equal(shown.length, wanted.length, what);
          else t.same(timeless(shown), timeless(wanted), what);
          compared++;
          if (explained.Source !== "table") t.equal(explained.Source, source, what);
          else fromTable++;
          if (type === types[0])
            t.ok(
              explained.Steps.some(({ Text }) => step.test(Text)),
              `${what}: ${explained.Steps.map(({ Text }) => Text).join("; ")}`,
            );
        }
      }
  t.ok(compared > 150 && fromTable > 80, `${compared} answers, ${fromTable} out of the table`);

  const tcp = await explain("many.service.consul", "A", "&transport=tcp");
  t.equal(tcp.Answer.length, 60, "over TCP all of them");
  const cut = await explain("many.service.consul", "SRV", "&payload=0");
  t.ok(cut.Steps.some(({ Text }) => /^cut to \d+ of \d+ records by size or limit/.test(Text)));

  const before = upstream.count("new.example.test");
  const fresh = await explain("new.example.test", "A");
  t.equal(upstream.count("new.example.test"), before + 1, "the question really is sent");
  t.equal(fresh.Source, "upstream");
  const label = upstream.address.replaceAll(".", "\\.");
  t.match(
    fresh.Steps.map(({ Text }) => Text).join("\n"),
    new RegExp(
      `cache: new.example.test. A: not there\nupstream ${label}: asked over UDP\nupstream ${label}: NOERROR over UDP after \\d`,
    ),
  );
});

t.test(
  "an upstream that cuts, that is silent, that is gone: told attempt by attempt",
  async (t) => {
    const { program, upstream } = await startScene(
      t,
      (got) => {
        if (got.name.startsWith("silent.")) return [];
        if (got.transport === "udp") return [replyTo(got, { flags: 0x200 })];
        return [replyTo(got, { answers: [a(got.name, "192.0.2.8", 60)] })];
      },
      { dns_config: { recursor_timeout: "200ms" } },
    );
    const steps = async (name: string): Promise<string> => {
      const { text } = await program.http("GET", `/v1/waypost/dns/query?name=${name}`);
      const { Steps } = JSON.parse(text) as Explained;
      return Steps.map(({ Text }) => Text).join("\n");
    };
    t.match(
      await steps("large.test"),
      /asked over UDP\n.*truncated over UDP.*\n.*asked over TCP\n.*NOERROR over TCP after/,
    );
    t.match(
      await steps("silent.test"),
      /asked over UDP\n.*asked over UDP\n.*no answer after 1\d\d\.\d ms\nforwarder: failed, SERVFAIL/,
    );
    await upstream.hangUp();
    t.match(await steps("gone.test"), /ECONNREFUSED after/);

    const shown = await runCli(program.httpPort, ["dns", "upstreams"]);
    t.equal(shown.code, 0);
    const [head, row] = shown.out.split("\n");
    t.match(
      head,
      /^Address +State +RTT +Queries +Failures +Last Change +Last Error +Last Error Time +Zones$/,
    );
    t.match(
      row,
      new RegExp(
        `^${upstream.address} +dead +\\d+\\.\\dms +\\d+ +\\d+ +\\d{4}-.* ECONNREFUSED +\\d{4}-.* UTC +\\.$`,
      ),
    );
    const json = await runCli(program.httpPort, ["dns", "upstreams", "-format=json"]);
    t.match(JSON.parse(json.out), [
      {
        Address: upstream.address,
        Zones: ["."],
        ZoneCount: 1,
        State: "dead",
        QueriesTcp: 1,
        Timeouts: 2,
        Truncated: 1,
        LastError: "ECONNREFUSED",
      },
    ]);
  },
);

t.test("dns query as dig prints it", async (t) => {
  const { program } = await startScene(t, upstreamSays, { services: services.slice(0, 3) });
  const run = (...args: string[]) => runCli(program.httpPort, ["dns", ...args]);
  const shown = await run("query", "v1.web.service.consul");
  t.match(shown, { code: 0, err: "" });
  t.match(
    shown.out,
    /^;; v1\.web\.service\.consul A\n;; status: NOERROR, flags: qr aa rd ra\n\n;; ANSWER SECTION:\nv1\.web\.service\.consul\.\t0\tIN\tA\t10\.0\.0\.1\n\n;; source: catalog\n(;; source: .*\n)+;; \S+ ms, \d+ octets, udp\n$/,
  );
  t.match(
    (await run("query", "10.0.0.2")).out,
    /^;; 2\.0\.0\.10\.in-addr\.arpa PTR\n[^]*\tPTR\tweb\.service\.dc1\.consul\.\n/,
  );
  t.match(
    (await run("query", "-type=srv", "-tcp", "_web._v2.service.consul")).out,
    /SRV\t1 1 81 0a000002\.addr\.dc1\.consul\.[^]*, tcp\n$/,
  );
  const json = await run("query", "-format=json", "n1.node.consul");
  t.match(JSON.parse(json.out), { Rcode: "NOERROR", Source: "catalog" });
  t.match(await run("query"), { code: 1, out: "", err: "Must specify the name to ask for\n" });
  t.match(await run("query", "a", "A", "b"), {
    code: 1,
    err: /^Too many arguments \(expected 1 or 2, got 3\)/,
  });
  const { out: asked } = await run("query", "_web._v2.service.consul", "SRV", "-tcp");
  t.match(asked, /\tSRV\t1 1 81 [^]*, tcp\n$/, "the type as a word, flags behind");
  t.match(await run("query", "--", "n1.node.consul", "-tcp"), { err: /400 \(type: "-tcp"/ });
  t.match(await run("query", "-type=NOPE", "a"), {
    code: 1,
    err: /^Error asking: .*400 \(type: "NOPE" is no type of question\)/,
  });
  t.match(await run("query", "a..b"), { code: 1, err: /empty label/ });
  t.match(await run("query", "-bufsize=70000", "a"), {
    code: 1,
    err: /payload: expected 0 to 65535/,
  });
  t.match(await run("query", "-format=xml", "a"), { code: 1, err: "Unknown format: xml\n" });
  t.match(await runCli(1, ["dns", "query", "a"]), {
    code: 1,
    err: /^Error asking: Get .*connection refused\n$/,
  });
});

t.test("cache: what is listed is what was asked, what is flushed is asked again", async (t) => {
  const { program, ask, upstream } = await startScene(t, upstreamSays);
  const run = (...args: string[]) => runCli(program.httpPort, ["dns", "cache", ...args]);
  t.same(await run("dump"), { code: 0, out: "", err: "The cache holds no such entry.\n" });
  const names = [
    "www.example.test",
    "alias.example.test",
    "missing.example.test",
    "deep.www.example.test",
  ];
  for (const name of names) await ask(name);
  await ask("www.example.test", { type: "AAAA" });
  await ask("nodata.example.test", { type: "TXT" });
  await ask("www.example.test");
  const listed = async (...args: string[]) =>
    (
      JSON.parse((await run("dump", "-format=json", ...args)).out) as {
        Name: string;
        Type: string;
      }[]
    )
      .map(({ Name, Type }) => `${Name} ${Type}`)
      .toSorted();
  t.same(await listed(), [
    "alias.example.test. A",
    "deep.www.example.test. A",
    "missing.example.test. ANY",
    "nodata.example.test. TXT",
    "www.example.test. A",
    "www.example.test. AAAA",
  ]);
  t.same(await listed("-name=WWW.example.test"), ["www.example.test. A", "www.example.test. AAAA"]);
  t.same(await listed("-name=www.example.test", "-type=aaaa"), ["www.example.test. AAAA"]);
  t.equal((await listed("-name=www.example.test", "-subtree")).length, 3);
  const lines = (await run("dump")).out.trimEnd().split("\n");
  t.match(lines[0], /^TTL +Age +State +Octets +Hits +Type +Answer +Server +Name$/);
  t.equal(lines.length, 7);
  const line = (name: string) => lines.find((each) => each.includes(` ${name}`));
  t.match(
    line("missing."),
    /^\d+ +\d+ +fresh +\d+ +0 +ANY +NXDOMAIN +127\.0\.0\.1:\d+ +missing\.example\.test\.$/,
  );
  t.match(line("nodata."), / TXT +NODATA /);
  t.match(line("alias."), / A +NOERROR /);

  const asked = () => upstream.count("www.example.test");
  const before = asked();
  await ask("www.example.test");
  t.equal(asked(), before, "kept");
  t.same(await run("flush", "www.example.test"), { code: 0, out: "Removed 2 entries\n", err: "" });
  await ask("www.example.test");
  t.equal(asked(), before + 1, "also out of the table of the workers");
  t.same(
    (await run("flush", "-type=TXT")).out,
    "Removed 2 entries\n",
    "a denial of a name is of every type",
  );
  t.same((await run("flush", "-subtree", "www.example.test")).out, "Removed 2 entries\n");
  t.same((await run("flush")).out, "Removed 1 entry\n");
  t.same(await listed(), []);
  t.match(await run("flush", "a", "b"), { code: 1, err: /^Too many arguments/ });
  t.match(await run("dump", "-type=NOPE"), { code: 1, err: /is no type of record/ });
  t.match(await run("flsh"), { code: 1, err: /flsh/ });
});

t.test("rights: reading needs agent:read or operator:read, flushing operator:write", async (t) => {
  const program = await startProgram(t, {
    services: [{ name: "web", port: 80, address: "10.0.0.1", token: "root" }],
    acl: {
      enabled: true,
      default_policy: "deny",
      tokens: { initial_management: "root", agent: "root" },
    },
  });
  const run = (token: string, ...args: string[]) =>
    runCli(program.httpPort, ["dns", ...args], { env: { CONSUL_HTTP_TOKEN: token } });
  for (const args of [["query", "a"], ["upstreams"], ["cache", "dump"], ["cache", "flush"]])
    t.match(await run("", ...args), { code: 1, err: /403 \(Permission denied\)/ }, args.join(" "));
  const shown = await run("root", "query", "web.service.consul");
  t.match(shown.out, /status: NXDOMAIN/, "the DNS token sees nothing");
  t.match(shown.out, /left out: 1 hidden by the ACLs of the DNS token/);
  t.match((await run("root", "query", "n1.node.consul")).out, /node "n1" is hidden by the ACLs/);
  t.match(await run("root", "query", "a.example"), {
    out: /status: REFUSED[^]*source: none\n[^]*no upstream servers/,
  });
  t.match(await run("root", "upstreams"), {
    code: 0,
    out: "",
    err: "No upstream servers are configured.\n",
  });
});
