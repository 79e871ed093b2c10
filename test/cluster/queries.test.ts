import { readFileSync } from "node:fs";
import t from "tap";
import { createAuthorizer } from "../../src/cluster/acl.ts";
import { mergeRules, parseRules } from "../../src/cluster/acl-rules.ts";
import type { QueryFields } from "../../src/cluster/command.ts";
import { execute, type ExecuteContext } from "../../src/cluster/query-execute.ts";
import { check, createLog, createPick, deregister, node } from "./state-fixtures.ts";
import { query, register, service, session } from "./state-fixtures.ts";

const Q1 = "aaaaaaaa-0000-0000-0000-000000000001";
const Q2 = "11111111-0000-0000-0000-000000000002";
const S1 = "22222222-0000-0000-0000-000000000001";
const error = (text: string) => ({ ok: false, error: text });
const prefix = { type: "name_prefix_match" };

t.test("refusals (HTTP spec section 14)", async (t) => {
  const held = [
    query(Q1, "my-query"),
    query("11111111-0000-0000-0000-000000000009", "", { template: prefix }),
  ];
  const cases: [string, Extract<ReturnType<typeof query>, { type: "query-set" }>, string][] = [
    ["name taken", query(Q2, "MY-Query"), "name 'MY-Query' aliases an existing query name"],
    ["name is an id", query(Q2, Q1), `name '${Q1}' aliases an existing query ID`],
    ["no such session", query(Q2, "e4", { session: S1 }), `invalid session "${S1}"`],
    [
      "second catch-all",
      query(Q2, "", { template: prefix }),
      "a query template with an empty name already exists",
    ],
    [
      "unknown type",
      query(Q2, "e8", { template: { type: "bogus" } }),
      "failed compiling template: Bad Template.Type 'bogus'",
    ],
  ];
  for (const [when, command, text] of cases) {
    const { state, run } = createLog();
    for (const earlier of held) run(earlier);
    const applied = run(command);
    t.same(applied, { result: error(`raft apply failed: ${text}`), topics: [] }, when);
    t.equal(state.reader.query(Q2), undefined, when);
    t.equal(state.reader.indexOf("queries"), 2, when);
  }
  const { run } = createLog();
  const unknown = error(`Cannot modify non-existent prepared query: '${Q1}'`);
  t.same(run(query(Q1, "x", {}, false)).result, unknown);
  t.same(run({ type: "query-delete", id: Q1 }).result, unknown);
});

t.test("every template that Consul refused is refused (query-template-a)", async (t) => {
  const bodies = recordedSteps().filter(
    ({ path, status }) => path === "/v1/query" && status === 500,
  );
  t.equal(bodies.length, 4);
  for (const { body } of bodies) {
    const { run } = createLog();
    run(query(Q1, "", { template: prefix }));
    t.equal(run({ type: "query-set", create: true, query: fieldsOf(Q2, body) }).result.ok, false);
  }
});

t.test("recorded explanations (query-template-a)", async (t) => {
  const { state, run } = createLog();
  let created = 0;
  let explained = 0;
  for (const { method, path, status, body, json } of recordedSteps()) {
    if (method === "POST" && path === "/v1/query" && status === 200) {
      const id = `${String(++created).padStart(8, "0")}-0000-0000-0000-000000000000`;
      t.same(run({ type: "query-set", create: true, query: fieldsOf(id, body) }).result.ok, true);
    }
    const [, name] = /^\/v1\/query\/([\w-]+)\/explain$/.exec(path) ?? [];
    if (method !== "GET" || name === undefined || status !== 200) continue;
    explained++;
    const resolved = state.reader.resolveQuery(name);
    if (!resolved.ok || resolved.value === undefined) throw new Error(`${name} is not found`);
    const wanted = json!.Query;
    t.equal(resolved.value.name, wanted.Name, `${name}: template`);
    t.equal(resolved.value.service.service, wanted.Service.Service, `${name}: service`);
    t.same(resolved.value.service.tags, wanted.Service.Tags, `${name}: tags`);
    const { datacenters } = resolved.value.service.failover;
    t.same(datacenters, wanted.Service.Failover?.Datacenters, `${name}: datacenters`);
    t.same(resolved.value.service.nodeMeta, wanted.Service.NodeMeta, `${name}: node meta`);
  }
  t.equal(explained, 10);
  t.same(
    state.reader.resolveQuery("00000001-0000-0000-0000-000000000000"),
    error("prepared query templates can only be resolved up by name, not by ID"),
  );
});

t.test("lookup: id, exact name, longest prefix, catch-all; case ignored", async (t) => {
  const { state, run } = createLog();
  const found = (name: string) => {
    const resolved = state.reader.resolveQuery(name);
    return resolved.ok ? resolved.value?.name : resolved.error;
  };
  t.equal(found("anything"), undefined);
  run(query(Q1, "Exact"));
  run(query(Q2, "geo-", { template: prefix }));
  run(query("11111111-0000-0000-0000-000000000003", "Geo-Web-", { template: prefix }));
  const rows: [string, string | undefined][] = [
    [Q1, "Exact"],
    [Q1.toUpperCase(), "Exact"],
    ["EXACT", "Exact"],
    ["exactly", undefined],
    ["geo-", "geo-"],
    ["GEO-x", "geo-"],
    ["geo-web-x", "Geo-Web-"],
    ["geo", undefined],
  ];
  for (const [name, wanted] of rows) t.equal(found(name), wanted, name);
  run(query("11111111-0000-0000-0000-000000000004", "", { template: prefix }));
  t.equal(found("exactly"), "");
  run({ type: "query-delete", id: Q2 });
  t.equal(found("geo-x"), "");
  // Renamed: the old name is free and finds nothing.
  run(query(Q1, "other"));
  t.equal(found("other"), "other");
  t.equal(found("exact"), "");
});

t.test(
  "a prefix stored in capitals is not cut from a small name (DNS spec section 13)",
  async (t) => {
    const { state, run } = createLog();
    const texts = "${name.prefix}|${name.suffix}|${name.full}|${match(1)}|${ match( 0 ) }|$${x}";
    const template = { ...prefix, regexp: "^(?i)GEO-(.)" };
    run(query(Q1, "GEO-", { template, service: { service: texts } }));
    const rendered = (name: string) => {
      const resolved = state.reader.resolveQuery(name);
      return resolved.ok ? resolved.value?.service.service : resolved.error;
    };
    t.equal(rendered("geo-web"), "GEO-|geo-web|geo-web|w|geo-w|${x}");
    t.equal(rendered("GEO-web"), "GEO-|web|GEO-web|w|GEO-w|${x}");
  },
);

t.test("a query bound to a session goes with it", async (t) => {
  const { state, run } = createLog();
  run(register(node("n"), null, [check("c")]));
  run(session(S1, "n", { nodeChecks: ["c"] }));
  run(query(Q1, "a", { session: S1 }));
  run(query(Q2, "b"));
  const { topics } = run(register(node("n"), null, [check("c", { status: "critical" })]));
  t.ok(topics.includes("sessions") && topics.includes("queries"));
  t.same(
    [...state.reader.queries()].map(({ id }) => id),
    [Q2],
  );
  t.same(state.reader.resolveQuery("a"), { ok: true, value: undefined });
});

t.test("execution (HTTP spec section 14, DNS spec section 13)", async (t) => {
  const { state, run } = createLog();
  const instance = (n: number, over: Parameters<typeof service>[1], status: string, meta: string) =>
    run(
      register(
        node(`n${n}`, { address: `10.0.0.${n}`, meta: { env: meta } }),
        service("web", { id: `web${n}`, ...over }),
        [check(`c${n}`, { serviceId: `web${n}`, status })],
      ),
    );
  instance(1, { tags: ["a", "Blue"], meta: { ver: "1" } }, "passing", "prod");
  instance(2, { tags: ["b", "blue"], meta: { ver: "2" } }, "warning", "prod");
  instance(3, {}, "critical", "dev");
  run(register(node("n4"), service("web", { id: "web4", tags: ["blue"] })));
  const all = allowAll();
  const names = (over: Partial<QueryFields["service"]>, context: Partial<ExecuteContext> = {}) => {
    const { query: fields } = query(Q1, "q", { service: over });
    const record = { ...fields, createIndex: 1, modifyIndex: 1 };
    const executed = execute(state.reader, record, { ...contextWith(all), ...context });
    return executed.instances.map(({ service: own }) => own.id).sort();
  };
  const cases: [string, Partial<QueryFields["service"]>, string[]][] = [
    ["warning is usable, critical is not", {}, ["web1", "web2", "web4"]],
    ["OnlyPassing", { onlyPassing: true }, ["web1", "web4"]],
    ["IgnoreCheckIDs", { onlyPassing: true, ignoreCheckIds: ["c2"] }, ["web1", "web2", "web4"]],
    ["ignored critical", { ignoreCheckIds: ["c3"] }, ["web1", "web2", "web3", "web4"]],
    ["all tags, without case", { tags: ["BLUE", "a"] }, ["web1"]],
    ["a forbidden tag", { tags: ["blue", "!B"] }, ["web1", "web4"]],
    ["node meta", { nodeMeta: { env: "prod" } }, ["web1", "web2"]],
    ["service meta", { serviceMeta: { ver: "1" } }, ["web1"]],
    ["meta that nobody has", { nodeMeta: { __proto__x: "1" } }, []],
    ["another service", { service: "WEB" }, ["web1", "web2", "web4"]],
    ["no such service", { service: "none", failover: { nearestN: 2, datacenters: ["dc9"] } }, []],
    ["connect without a mesh", { connect: true }, []],
  ];
  for (const [what, over, wanted] of cases) t.same(names(over), wanted, what);
  const limits: [number | undefined, number][] = [
    [1, 1],
    [0, 3],
    [-1, 3],
    [undefined, 3],
    [9, 3],
  ];
  for (const [limit, count] of limits)
    t.equal(names({}, { limit }).length, count, `limit ${limit}`);
  const rules = parseRules('service "web" { policy = "read" } node "n1" { policy = "read" }');
  if (!rules.ok) throw new Error(rules.error);
  t.same(names({}, { authorizer: createAuthorizer(rules.value, "deny") }), ["web1"], "rights");
});

t.test("order: shuffled, the named node first if among the first ten", async (t) => {
  const { state, run } = createLog();
  for (let n = 10; n < 40; n++)
    run(register(node(`n${n}`, { address: `10.0.0.${n}` }), service("web")));
  const pick = createPick(3);
  const order = (near: string, context: Partial<ExecuteContext> = {}) => {
    const { query: fields } = query(Q1, "q", { service: { near } });
    const record = { ...fields, createIndex: 1, modifyIndex: 1 };
    const random = () => pick(2 ** 32);
    const full = { ...contextWith(allowAll()), random, ...context };
    return execute(state.reader, record, full).instances.map((own) => own.node.node);
  };
  const counts = new Map<string | undefined, number>();
  for (let i = 0; i < 6000; i++) {
    const first = order("")[0];
    counts.set(first, (counts.get(first) ?? 0) + 1);
  }
  // 30 nodes, 200 each expected; five standard deviations are 70.
  t.equal(counts.size, 30);
  for (const count of counts.values()) t.ok(count > 130 && count < 270, `${count} of 6000`);

  const share = (near: string, node: string, context: Partial<ExecuteContext> = {}) => {
    let first = 0;
    for (let i = 0; i < 300; i++) if (order(near, context)[0] === node) first++;
    return first;
  };
  const third = (count: number) => count > 60 && count < 140;
  t.ok(third(share("_agent", "n12", { agentNode: "N12" })), "the agent's own node");
  t.ok(third(share("n15", "n15")), "another node: only from among the first ten of thirty");
  t.ok(third(share("_ip", "n17", { clientAddress: "10.0.0.17" })), "the client's node");
  t.ok(share("_ip", "n17", { clientAddress: "203.0.113.1" }) < 40, "no such node");
  t.ok(share("n15", "n20", { near: "n20" }) > 60, "the request's near beats the query's");

  const place = (name: string, x: number) => ({
    node: name,
    segment: "",
    coordinate: { vec: [x, 0, 0, 0, 0, 0, 0, 0], error: 1, adjustment: 0, height: 0 },
  });
  const updates = [place("n12", 5), place("n30", 7), place("n39", 6)];
  run({ type: "coordinates", updates });
  t.equal(share("_agent", "n12", { agentNode: "N12" }), 300, "with coordinates always");
  t.same(order("_agent", { agentNode: "n12", limit: 3 }), ["n12", "n39", "n30"], "by distance");
  t.same(order("n30", { limit: 3 }), ["n30", "n39", "n12"]);
});

t.test("topics name what the answer was computed from", async (t) => {
  const { state, run } = createLog();
  run(register(node("n"), service("web")));
  const { query: fields } = query(Q1, "q", { service: { service: "Web", near: "_ip" } });
  const record = { ...fields, createIndex: 1, modifyIndex: 1 };
  const { topics } = execute(state.reader, record, contextWith(allowAll()));
  t.same(topics, ["queries", "acl", "service:web", "addresses"]);
  const touched = run(deregister("n", "web")).topics;
  t.ok(touched.some((topic) => topics.includes(topic)));
});

function allowAll() {
  return createAuthorizer(mergeRules([]), "allow");
}

function contextWith(authorizer: ExecuteContext["authorizer"]): ExecuteContext {
  const pick = createPick(1);
  return {
    datacenter: "dc1",
    agentNode: "agent",
    clientAddress: undefined,
    authorizer,
    random: () => pick(2 ** 32),
  };
}

/** A query as the recorded requests and answers spell it. */
type Spelled = {
  Name: string;
  Template?: { Type?: string; Regexp?: string; RemoveEmptyTags?: boolean };
  Service: {
    Service: string;
    Near?: string;
    Tags?: string[] | null;
    NodeMeta?: Record<string, string> | null;
    Failover?: { Datacenters?: string[] | null };
  };
};
type Recorded = {
  method: string;
  path: string;
  status: number | undefined;
  body: Spelled;
  json: { Query: Spelled } | undefined;
};

/** Requests of the recorded session with the answers that Consul 1.10.12 gave. */
function recordedSteps(): Recorded[] {
  type Step = {
    request: Pick<Recorded, "method" | "path" | "body">;
    expect?: Pick<Recorded, "status" | "json">;
  };
  const text = readFileSync("test/corpus/http/query-template-a.json", "utf8");
  const { steps } = JSON.parse(text) as { steps: Step[] };
  return steps.map(({ request, expect }) => ({
    ...request,
    status: expect?.status,
    json: expect?.json,
  }));
}

/** A recorded request body as the HTTP layer would hand it on. */
function fieldsOf(id: string, { Name, Template, Service }: Spelled): QueryFields {
  const template = { type: Template?.Type ?? "", regexp: Template?.Regexp ?? "" };
  return query(id, Name, {
    template: { ...template, removeEmptyTags: Template?.RemoveEmptyTags ?? false },
    service: {
      service: Service.Service,
      near: Service.Near ?? "",
      tags: Service.Tags ?? null,
      nodeMeta: Service.NodeMeta ?? null,
      failover: { nearestN: 0, datacenters: Service.Failover?.Datacenters ?? null },
    },
  }).query;
}
