// Texts: api/watch/watch.go and funcs.go of Consul, agent/agent.go (reloadWatches).
import t from "tap";
import { parseWatchDefinition } from "../../src/watch/definition.ts";
import { parsePlan } from "../../src/watch/plan.ts";

t.test("what each type asks", async (t) => {
  const plans: [parameters: Record<string, unknown>, path: string, query: object][] = [
    [{ type: "key", key: "app/a b" }, "/v1/kv/app/a%20b", {}],
    [{ type: "key", key: "/lead", stale: true }, "/v1/kv/lead", { stale: "" }],
    [{ type: "keyprefix", prefix: "app/" }, "/v1/kv/app/", { recurse: "" }],
    [{ type: "services" }, "/v1/catalog/services", {}],
    [
      { type: "services", filter: "web in ServiceTags" },
      "/v1/catalog/services",
      { filter: "web in ServiceTags" },
    ],
    [{ type: "nodes", stale: false }, "/v1/catalog/nodes", {}],
    [{ type: "service", service: "web" }, "/v1/health/service/web", {}],
    [
      { type: "service", service: "web", tag: ["a", "b"], passingonly: true },
      "/v1/health/service/web",
      { tag: ["a", "b"], passing: "1" },
    ],
    [{ type: "service", service: "web", tag: "a" }, "/v1/health/service/web", { tag: ["a"] }],
    [{ type: "checks" }, "/v1/health/state/any", {}],
    [{ type: "checks", state: "critical" }, "/v1/health/state/critical", {}],
    [{ type: "checks", service: "web" }, "/v1/health/checks/web", {}],
    [{ type: "event" }, "/v1/event/list", {}],
    [{ type: "event", name: "deploy" }, "/v1/event/list", { name: "deploy" }],
    [{ type: "agent_service", service_id: "web-1" }, "/v1/agent/service/web-1", {}],
  ];
  for (const [parameters, path, query] of plans)
    t.match(
      parsePlan(parameters),
      { ok: true, value: { path, query } },
      JSON.stringify(parameters),
    );
  t.match(parsePlan({ type: "nodes", token: "t", datacenter: "dc2" }), {
    value: { token: "t", datacenter: "dc2" },
  });
});

t.test("what is refused", async (t) => {
  const refused: [parameters: Record<string, unknown>, error: string][] = [
    [{}, "Watch type must be specified"],
    [{ type: 1 }, "Expecting type to be a string"],
    [{ type: "nodes", token: 1 }, "Expecting token to be a string"],
    [{ type: "keys" }, "Unsupported watch type: keys"],
    [
      { type: "connect_roots" },
      "Watch type connect_roots is not supported: service mesh is left out",
    ],
    [{ type: "key" }, "Must specify a single key to watch"],
    [{ type: "keyprefix", prefix: "" }, "Must specify a single prefix to watch"],
    [{ type: "service" }, "Must specify a single service to watch"],
    [{ type: "service", service: "web", tag: 1 }, "Expecting tag to be a string or []string"],
    [{ type: "service", service: "web", tag: ["a", 1] }, "Index 1 of tag expected to be string"],
    [
      { type: "service", service: "web", passingonly: "true" },
      "Expecting passingonly to be a boolean",
    ],
    [{ type: "checks", service: "web", state: "any" }, "Cannot specify service and state"],
    [{ type: "nodes", key: "a", bogus: 1 }, "Invalid parameters: [bogus key]"],
  ];
  for (const [parameters, error] of refused)
    t.same(parsePlan(parameters), { ok: false, error }, JSON.stringify(parameters));
});

t.test("handlers of the configuration", async (t) => {
  const nodes = { type: "nodes" };
  const http = { path: "http://127.0.0.1/x" };
  const handlers: [parameters: Record<string, unknown>, handler: object, warnings: number][] = [
    [{ ...nodes, args: ["/bin/x", "-y"] }, { kind: "program", args: ["/bin/x", "-y"] }, 0],
    [
      { ...nodes, args: "/bin/x", handler_type: "script" },
      { kind: "program", args: ["/bin/x"] },
      0,
    ],
    [{ ...nodes, handler: "x | y" }, { kind: "shell", line: "x | y" }, 1],
    [
      { ...nodes, handler_type: "http", http_handler_config: http },
      {
        kind: "http",
        url: http.path,
        method: "POST",
        timeoutMs: 10_000,
        header: {},
        tlsSkipVerify: false,
      },
      0,
    ],
    [
      {
        ...nodes,
        handler_type: "http",
        http_handler_config: [
          {
            path: "https://a/x",
            method: "put",
            timeout: "3s",
            header: { a: ["b", "c"] },
            tls_skip_verify: true,
          },
        ],
      },
      {
        kind: "http",
        url: "https://a/x",
        method: "PUT",
        timeoutMs: 3000,
        header: { a: ["b", "c"] },
        tlsSkipVerify: true,
      },
      0,
    ],
  ];
  for (const [parameters, handler, warnings] of handlers) {
    const parsed = parseWatchDefinition(parameters);
    t.match(parsed, { ok: true, value: { watch: { handler } } }, JSON.stringify(parameters));
    t.equal(parsed.ok && parsed.value.warnings.length, warnings);
  }
  const inHttp = "Failed to parse watch: Failed to parse 'http_handler_config': ";
  const refused: [parameters: Record<string, unknown>, error: string][] = [
    [nodes, "Must define a watch handler"],
    [{ args: ["x"] }, "Failed to parse watch: Watch type must be specified"],
    [
      { type: "connect_leaf", args: ["x"] },
      "Watch type connect_leaf is not allowed in agent config",
    ],
    [{ ...nodes, handler_type: "smtp" }, "Handler type 'smtp' not recognized"],
    [{ ...nodes, handler: ["x"] }, "Watch handler must be a string"],
    [{ ...nodes, args: ["x", true] }, "Watch args must be a list of strings"],
    [{ ...nodes, args: [] }, "Watch args must name a program"],
    [{ ...nodes, args: ["x"], handler: "x" }, "Only one watch handler allowed"],
    [
      { ...nodes, args: ["x"], handler_type: "http", http_handler_config: http },
      "Only one watch handler allowed",
    ],
    [
      { ...nodes, handler_type: "http" },
      "Failed to parse watch: Handler type 'http' requires 'http_handler_config' to be set",
    ],
    [
      { ...nodes, handler_type: "http", http_handler_config: {} },
      `${inHttp}Requires 'path' to be set`,
    ],
    [
      { ...nodes, handler_type: "http", http_handler_config: { ...http, timeout: "10" } },
      `${inHttp}Failed to parse timeout: time: missing unit in duration "10"`,
    ],
    [
      { ...nodes, handler_type: "http", http_handler_config: { ...http, pat: 1 } },
      `${inHttp}unknown key pat`,
    ],
    [
      { ...nodes, handler_type: "http", http_handler_config: { path: "file:///x" } },
      `${inHttp}'path' is "file:///x", expected an address that begins with http:// or https://`,
    ],
    [{ ...nodes, args: ["x"], bogus: 1 }, "Failed to parse watch: Invalid parameters: [bogus]"],
  ];
  for (const [parameters, error] of refused)
    t.same(parseWatchDefinition(parameters), { ok: false, error }, JSON.stringify(parameters));
});
