/** Every kind of change is in the very next answer of every worker, whatever was prepared before. */
import t, { type Test } from "tap";
import type { RecordType } from "dns-packet";
import { decode, query, udpClient, type UdpClient } from "../dns-client.ts";
import { startProgram, type Program } from "../program.ts";

const WORKERS = 3;
const SOCKETS = 24; // different source ports, so that the kernel spreads them over all workers

type Fields = { name: string; ttl: number; type: string; data: unknown };
type View = { rcode: string; text: string };
type Look = (name: string, type?: RecordType) => Promise<View[]>;

/** The same question from every socket; all replies. */
async function startLook(t: Test, program: Program): Promise<Look> {
  const clients: UdpClient[] = await Promise.all(
    Array.from({ length: SOCKETS }, () => udpClient(program.dnsPort)),
  );
  t.teardown(() => clients.forEach((client) => client.close()));
  let id = 0;
  return (name, type = "A") =>
    Promise.all(
      clients.map(async (client) => {
        const reply = await client.ask(query((id = (id + 1) & 0xffff), name, type));
        if (reply === undefined) throw new Error(`no reply to ${name} ${type}`);
        const seen = decode(reply) as ReturnType<typeof decode> & { rcode: string };
        const records = [...(seen.answers ?? []), ...(seen.additionals ?? [])];
        const text = records
          .map((record) => {
            const { name: owner, ttl, type: kind, data } = record as unknown as Fields;
            const said = Array.isArray(data) ? data.map(String) : data;
            return `${owner} ${ttl} ${kind} ${JSON.stringify(said)}`;
          })
          .join("; ");
        return { rcode: seen.rcode, text };
      }),
    );
}

type Step = {
  when: string;
  change: () => Promise<{ status: number; text: string }>;
  /** Name and type → an RCODE, or what is (or with "!" before it: is not) in the records. */
  expect: [name: string, type: RecordType, expected: string][];
};

/** Asks everything before each change too, so that workers have the old answers at hand. */
async function play(t: Test, look: Look, steps: Step[]): Promise<void> {
  for (const { when, change, expect } of steps) {
    for (let round = 0; round < 2; round++)
      for (const [name, type] of expect) await look(name, type);
    const { status, text } = await change();
    t.equal(status, 200, `${when}: ${text}`);
    const wrong: string[] = [];
    for (const [name, type, expected] of expect)
      for (const { rcode, text: records } of await look(name, type)) {
        const right = /^[A-Z]+$/.test(expected)
          ? rcode === expected
          : expected.startsWith("!")
            ? !records.includes(expected.slice(1))
            : records.includes(expected);
        if (!right) wrong.push(`${name} ${type}: ${rcode} ${records}, not ${expected}`);
      }
    t.same([...new Set(wrong)], [], `${when}: ${expect.map(([name]) => name).join(", ")}`);
  }
}

t.test("catalog and agent", async (t) => {
  const program = await startProgram(t, { workers: WORKERS, dns_config: { only_passing: true } });
  const look = await startLook(t, program);
  const put = (path: string, body?: unknown) => () => program.http("PUT", path, body);
  const node = { Node: "app1", ID: "40e4a748-2192-161a-0510-9bf59fe950b5", Address: "10.1.0.1" };
  const web = { Service: "web", Port: 80, Tags: ["v1"], Meta: { a: "1" } };
  const register = (over: object) =>
    put("/v1/catalog/register", { ...node, Service: web, ...over });
  const status = (word: string, serviceId = "") =>
    put("/v1/catalog/register", {
      ...node,
      SkipNodeUpdate: true,
      Check: {
        Node: "app1",
        CheckID: `c${serviceId}`,
        Name: "c",
        Status: word,
        ServiceID: serviceId,
      },
    });
  const usable = (yes: boolean): Step["expect"] => {
    const rcode = yes ? "NOERROR" : "NXDOMAIN";
    return [
      ["web.service.consul", "A", rcode],
      ["v1.web.service.consul", "A", rcode],
      ["_web._tcp.consul", "SRV", rcode],
    ];
  };
  let queryId = "";
  let sessionId = "";
  await play(t, look, [
    { when: "a first instance", change: register({}), expect: usable(true) },
    { when: "its node is critical", change: status("critical"), expect: usable(false) },
    { when: "its node passes", change: status("passing"), expect: usable(true) },
    { when: "its own check warns", change: status("warning", "web"), expect: usable(false) },
    { when: "its own check passes", change: status("passing", "web"), expect: usable(true) },
    {
      when: "another node address",
      change: register({ Address: "10.1.0.2", SkipNodeUpdate: false }),
      expect: [
        ["web.service.consul", "A", "10.1.0.2"],
        ["app1.node.consul", "A", "10.1.0.2"],
        ["40e4a748.node.consul", "A", "10.1.0.2"],
        ["web.service.consul", "SRV", "10.1.0.2"],
        ["2.0.1.10.in-addr.arpa", "PTR", "app1.node.dc1.consul"],
        ["1.0.1.10.in-addr.arpa", "PTR", "NXDOMAIN"],
      ],
    },
    {
      when: "metadata of the node",
      change: register({ Address: "10.1.0.2", NodeMeta: { rack: "r9" } }),
      expect: [
        ["app1.node.consul", "A", "rack=r9"],
        ["app1.node.consul", "TXT", "rack=r9"],
        ["web.service.consul", "SRV", "rack=r9"],
      ],
    },
    {
      when: "a tagged address of the node",
      change: register({ TaggedAddresses: { lan_ipv4: "10.1.7.7" } }),
      expect: [
        ["app1.node.consul", "A", "10.1.7.7"],
        ["web.service.consul", "SRV", "0a010707.addr"],
      ],
    },
    {
      when: "other tags",
      change: register({ Service: { ...web, Tags: ["v2"] } }),
      expect: [
        ["v1.web.service.consul", "A", "NXDOMAIN"],
        ["v2.web.service.consul", "A", "NOERROR"],
        ["_web._v2.consul", "SRV", "NOERROR"],
      ],
    },
    {
      when: "another port, weight and service address",
      change: register({
        Service: { ...web, Port: 81, Address: "10.1.0.3", Weights: { Passing: 9, Warning: 1 } },
      }),
      expect: [
        ["web.service.consul", "SRV", '"weight":9,"port":81,"target":"0a010003.addr.dc1.consul"'],
        ["web.service.consul", "A", "10.1.0.3"],
        ["3.0.1.10.in-addr.arpa", "PTR", "web.service.dc1.consul"],
      ],
    },
    {
      when: "a node renamed (same id)",
      change: put("/v1/catalog/register", { ...node, Node: "app9", Service: web }),
      expect: [
        ["app1.node.consul", "A", "NXDOMAIN"],
        ["app9.node.consul", "A", "10.1.0.1"],
        ["40e4a748.node.consul", "A", "10.1.0.1"],
        ["web.service.consul", "SRV", "app9.node.dc1.consul"],
        ["1.0.1.10.in-addr.arpa", "PTR", "app9.node.dc1.consul"],
      ],
    },
    {
      when: "a prepared query",
      change: async () => {
        const made = await program.http("POST", "/v1/query", {
          Name: "q",
          Service: { Service: "web" },
          DNS: { TTL: "7s" },
        });
        queryId = (JSON.parse(made.text) as { ID: string }).ID;
        return made;
      },
      expect: [
        ["q.query.consul", "A", "q.query.consul 7 A"],
        ["q.query.consul", "SRV", "app9.node.dc1.consul"],
      ],
    },
    {
      when: "its TTL and its tags",
      change: () =>
        program.http("PUT", `/v1/query/${queryId}`, {
          Name: "q",
          Service: { Service: "web", Tags: ["!v9"] },
          DNS: { TTL: "8s" },
        }),
      expect: [["q.query.consul", "A", "q.query.consul 8 A"]],
    },
    {
      when: "its service",
      change: () =>
        program.http("PUT", `/v1/query/${queryId}`, { Name: "q", Service: { Service: "nobody" } }),
      expect: [["q.query.consul", "A", "NXDOMAIN"]],
    },
    {
      when: "its name",
      change: () =>
        program.http("PUT", `/v1/query/${queryId}`, { Name: "r", Service: { Service: "web" } }),
      expect: [
        ["q.query.consul", "A", "NXDOMAIN"],
        ["r.query.consul", "A", "NOERROR"],
      ],
    },
    {
      when: "a template that fits",
      change: () =>
        program.http("POST", "/v1/query", {
          Name: "t-",
          Template: { Type: "name_prefix_match" },
          Service: { Service: "${name.suffix}" },
        }),
      expect: [
        ["t-web.query.consul", "A", "NOERROR"],
        ["t-nope.query.consul", "A", "NXDOMAIN"],
      ],
    },
    {
      when: "its removal",
      change: () => program.http("DELETE", `/v1/query/${queryId}`),
      expect: [["r.query.consul", "A", "NXDOMAIN"]],
    },
    {
      when: "a query bound to a session",
      change: async () => {
        const made = await program.http("PUT", "/v1/session/create", { Node: "n1" });
        sessionId = (JSON.parse(made.text) as { ID: string }).ID;
        return program.http("POST", "/v1/query", {
          Name: "bound",
          Session: sessionId,
          Service: { Service: "web" },
        });
      },
      expect: [["bound.query.consul", "A", "NOERROR"]],
    },
    {
      when: "the end of its session",
      change: () => program.http("PUT", `/v1/session/destroy/${sessionId}`),
      expect: [["bound.query.consul", "A", "NXDOMAIN"]],
    },
    {
      when: "an instance removed",
      change: put("/v1/catalog/deregister", { Node: "app9", ServiceID: "web" }),
      expect: [
        ["web.service.consul", "A", "NXDOMAIN"],
        ["app9.node.consul", "A", "NOERROR"],
      ],
    },
    {
      when: "a node removed",
      change: put("/v1/catalog/deregister", { Node: "app9" }),
      expect: [
        ["app9.node.consul", "A", "NXDOMAIN"],
        ["1.0.1.10.in-addr.arpa", "PTR", "NXDOMAIN"],
      ],
    },
    {
      when: "an agent service, critical until its TTL check passes",
      change: put("/v1/agent/service/register", {
        Name: "own",
        Port: 7,
        Check: { CheckID: "ttl", TTL: "10m" },
      }),
      expect: [["own.service.consul", "A", "NXDOMAIN"]],
    },
    ...(["pass", "warn", "pass", "fail", "pass"] as const).map((word): Step => ({
      when: `its check: ${word}`,
      change: put(`/v1/agent/check/${word}/ttl`),
      expect: [["own.service.consul", "A", word === "pass" ? "NOERROR" : "NXDOMAIN"]],
    })),
    ...["service/maintenance/own", "maintenance"].flatMap((path) =>
      [true, false].map((enable): Step => ({
        when: `${path} ${enable}`,
        change: put(`/v1/agent/${path}?enable=${enable}`),
        expect: [["own.service.consul", "A", enable ? "NXDOMAIN" : "NOERROR"]],
      })),
    ),
    {
      when: "the agent service removed",
      change: put("/v1/agent/service/deregister/own"),
      expect: [["own.service.consul", "A", "NXDOMAIN"]],
    },
  ]);
});

t.test("reload", async (t) => {
  const base = { only_passing: false, node_ttl: "1s", service_ttl: { "*": "1s" } };
  const program = await startProgram(t, { workers: WORKERS, dns_config: base });
  const look = await startLook(t, program);
  for (let i = 0; i < 6; i++)
    await program.http("PUT", "/v1/catalog/register", {
      Node: `app${i}`,
      Address: `10.1.0.${i}`,
      NodeMeta: { rack: "r1" },
      Service: { Service: "web", Port: 80 },
      Check: { Name: "c", Status: "warning" },
    });
  const reload = (patch: object) => () => {
    program.configure({ dns_config: { ...base, ...patch } });
    return program.http("PUT", "/v1/agent/reload");
  };
  await play(t, look, [
    {
      when: "TTLs",
      change: reload({ node_ttl: "21s", service_ttl: { web: "22s" }, soa: { min_ttl: 23 } }),
      expect: [
        ["app1.node.consul", "A", "app1.node.consul 21 A"],
        ["web.service.consul", "A", "web.service.consul 22 A"],
        ["consul", "SOA", "consul 23 SOA"],
      ],
    },
    {
      when: "only_passing",
      change: reload({ only_passing: true }),
      expect: [["web.service.consul", "A", "NXDOMAIN"]],
    },
    {
      when: "enable_additional_node_meta_txt off",
      change: reload({ enable_additional_node_meta_txt: false }),
      expect: [
        ["web.service.consul", "A", "NOERROR"],
        ["app1.node.consul", "A", "!rack"],
        ["web.service.consul", "SRV", "!rack"],
      ],
    },
  ]);
  for (const [when, patch, count, tc] of [
    ["default", {}, 3, false],
    ["udp_answer_limit", { udp_answer_limit: 5 }, 5, false],
    ["enable_truncate", { enable_truncate: true }, 3, true],
    ["a_record_limit", { a_record_limit: 1 }, 1, false],
  ] as const) {
    for (let round = 0; round < 2; round++) await look("web.service.consul");
    t.equal((await reload(patch)()).status, 200);
    const client = await udpClient(program.dnsPort);
    for (let i = 0; i < SOCKETS; i++) {
      const reply = decode((await client.ask(query(i, "web.service.consul")))!);
      t.equal(reply.answers?.length, count, when);
      t.equal(reply.flag_tc, tc, when);
    }
    client.close();
  }
});

t.test("S32: access control", async (t) => {
  const master = "6f5b1c2e-1111-4222-8333-444455556666";
  const program = await startProgram(t, {
    workers: WORKERS,
    primary_datacenter: "dc1",
    acl: { enabled: true, default_policy: "allow", tokens: { master } },
  });
  const look = await startLook(t, program);
  const call = (method: string, path: string, body?: unknown) => () =>
    program.http(method, `${path}?token=${master}`, body);
  let policyId = "";
  const anonymous = "00000000-0000-0000-0000-000000000002";
  const rules = (service: string, node: string): string =>
    `service "web" { policy = "${service}" } node "app1" { policy = "${node}" }`;
  const says = (service: boolean, node: boolean): Step["expect"] => [
    ["web.service.consul", "A", service && node ? "NOERROR" : "NXDOMAIN"],
    ["web.service.consul", "SRV", service && node ? "NOERROR" : "NXDOMAIN"],
    ["q.query.consul", "A", service && node ? "NOERROR" : "NXDOMAIN"],
    ["app1.node.consul", "A", node ? "NOERROR" : "NXDOMAIN"],
    ["1.0.1.10.in-addr.arpa", "PTR", node ? "NOERROR" : "NXDOMAIN"],
  ];
  await play(t, look, [
    {
      when: "everything may be read",
      change: async () => {
        await call("PUT", "/v1/catalog/register", {
          Node: "app1",
          Address: "10.1.0.1",
          Service: { Service: "web", Port: 80 },
        })();
        return call("POST", "/v1/query", { Name: "q", Service: { Service: "web" } })();
      },
      expect: says(true, true),
    },
    {
      when: "the anonymous token gets a policy",
      change: async () => {
        const made = await call("PUT", "/v1/acl/policy", {
          Name: "p",
          Rules: rules("deny", "read"),
        })();
        policyId = (JSON.parse(made.text) as { ID: string }).ID;
        return call("PUT", `/v1/acl/token/${anonymous}`, {
          AccessorID: anonymous,
          Policies: [{ ID: policyId }],
        })();
      },
      expect: says(false, true),
    },
    ...(
      [
        [true, false],
        [true, true],
        [false, false],
      ] as const
    ).map(([service, node]): Step => ({
      when: `its rules: service ${service}, node ${node}`,
      change: () =>
        call("PUT", `/v1/acl/policy/${policyId}`, {
          ID: policyId,
          Name: "p",
          Rules: rules(service ? "read" : "deny", node ? "read" : "deny"),
        })(),
      expect: says(service, node),
    })),
    {
      when: "the policy is gone",
      change: () => call("DELETE", `/v1/acl/policy/${policyId}`)(),
      expect: says(true, true),
    },
  ]);
});
