import { readFileSync } from "node:fs";
import t from "tap";
import {
  fieldsOfCheck,
  fieldsOfServiceChecks,
  kindOfCheck,
  parseCheck,
  parseConfigCheck,
  parseConfigService,
  parseService,
  problemOfTaggedAddresses,
  refusalOfCheck,
} from "../../src/cluster/definition.ts";

type Step = {
  request?: { method: string; path: string; body?: unknown };
  expect: { status: number; text?: string };
};

function stepsOf(scenario: string): Step[] {
  const url = new URL(`../corpus/http/${scenario}.json`, import.meta.url);
  return (JSON.parse(readFileSync(url, "utf8")) as { steps: Step[] }).steps;
}

const noScripts = { enableScriptChecks: false, enableLocalScriptChecks: false };

/** What the two parsers and the later refusals say to a body, as a client would see it. */
function verdict(path: string, body: unknown): { status: number; text: string } {
  if (path === "/v1/agent/check/register") {
    const check = parseCheck(body);
    if (!check.ok) return check.error;
    const refusal = refusalOfCheck(check.value, "api", noScripts);
    return refusal === undefined ? { status: 200, text: "" } : { status: 500, text: refusal };
  }
  const service = parseService(body);
  if (!service.ok) return service.error;
  const refusal =
    problemOfTaggedAddresses(service.value.fields.taggedAddresses) ??
    service.value.checks.map((check) => refusalOfCheck(check, "api", noScripts)).find(Boolean);
  return refusal === undefined ? { status: 200, text: "" } : { status: 500, text: refusal };
}

t.test("every recorded registration gets the recorded status and text", async (t) => {
  let count = 0;
  for (const scenario of ["agent-service-a", "agent-check-a", "old-examples-a"])
    for (const { request, expect } of stepsOf(scenario)) {
      if (request?.method !== "PUT" || request.body === undefined) continue;
      if (!/^\/v1\/agent\/(service|check)\/register/.test(request.path)) continue;
      if (expect.text?.startsWith("ServiceID")) continue; // needs the set of services: local.test.ts
      const path = request.path.split("?")[0]!;
      const got = verdict(path, request.body);
      const label = JSON.stringify(request.body).slice(0, 100);
      t.equal(got.status, expect.status, label);
      const wanted = expect.text!.replace("<any>", "");
      t.ok(
        expect.text!.endsWith("<any>") ? got.text.startsWith(wanted) : got.text === wanted,
        label,
      );
      count++;
    }
  t.ok(count > 50, `${count} recorded registrations`);
});

t.test("defaults of a service", async (t) => {
  const parsed = parseService({ Name: "web" });
  t.ok(parsed.ok);
  if (!parsed.ok) return;
  t.same(parsed.value, {
    fields: {
      id: "web",
      service: "web",
      kind: "",
      tags: [],
      address: "",
      taggedAddresses: null,
      meta: null,
      port: 0,
      socketPath: "",
      weights: { passing: 1, warning: 1 },
      enableTagOverride: false,
      proxy: null,
      connect: null,
    },
    token: "",
    checks: [],
  });
});

t.test(
  "an IP address becomes tagged addresses, given ones are kept, a name adds none",
  async (t) => {
    const tagged = (body: Record<string, unknown>) => {
      const parsed = parseService({ Name: "web", Port: 7, ...body });
      return parsed.ok ? parsed.value.fields.taggedAddresses : parsed.error;
    };
    const own = { address: "10.0.0.1", port: 7 };
    t.same(tagged({ Address: "10.0.0.1" }), { lan_ipv4: own, wan_ipv4: own });
    t.same(tagged({ Address: "::1" }), {
      lan_ipv6: { address: "::1", port: 7 },
      wan_ipv6: { address: "::1", port: 7 },
    });
    t.same(
      tagged({
        Address: "10.0.0.1",
        TaggedAddresses: { lan_ipv4: { Address: "9.9.9.9", Port: 1 } },
      }),
      { lan_ipv4: { address: "9.9.9.9", port: 1 }, wan_ipv4: own },
    );
    t.equal(tagged({ Address: "db.example.com" }), null);
  },
);

t.test("ids and names of the checks of a service", async (t) => {
  const ids = (body: Record<string, unknown>) => {
    const parsed = parseService({ Name: "web", ID: "web1", ...body });
    if (!parsed.ok) return parsed.error.text;
    return fieldsOfServiceChecks(parsed.value).map(({ checkId, name, status }) => [
      checkId,
      name,
      status,
    ]);
  };
  const ttl = { TTL: "5s" };
  const named = "Service 'web' check";
  t.same(ids({ Check: ttl }), [["service:web1", named, "critical"]]);
  t.same(ids({ Check: {}, Checks: [ttl] }), [["service:web1", named, "critical"]], "empty Check");
  t.same(ids({ Check: ttl, Checks: [{ ...ttl, Status: "passing" }] }), [
    ["service:web1:1", named, "critical"],
    ["service:web1:2", named, "passing"],
  ]);
  t.same(ids({ Checks: [{ ...ttl, CheckID: "mine", Name: "m" }, ttl] }), [
    ["mine", "m", "critical"],
    ["service:web1:2", named, "critical"],
  ]);
});

t.test("intervals and types as the catalog shows them", async (t) => {
  const check = parseCheck({ Name: "c", HTTP: "http://h/", Interval: "90s", Timeout: "1500ms" });
  t.ok(check.ok);
  if (!check.ok) return;
  t.match(fieldsOfCheck(check.value, "api"), {
    checkId: "c",
    type: "http",
    interval: "1m30s",
    timeout: "1.5s",
    definition: {},
  });
  t.equal(fieldsOfCheck(check.value, "config").type, "", "from configuration: no type");
});

t.test("configuration: flat form, snake_case or run together, unknown keys refused", async (t) => {
  const service = parseConfigService(
    {
      id: "r1",
      name: "redis",
      port: 8001,
      enabletagoverride: true,
      tagged_addresses: { lan: { address: "10.0.0.1", port: 1 } },
      weights: { passing: 5, warning: 2 },
      checks: [{ id: "r1-ttl", ttl: "30s", deregister_critical_service_after: "90m" }],
    },
    "services[0]",
  );
  t.ok(service.ok);
  if (!service.ok) return;
  t.match(service.value.fields, {
    id: "r1",
    enableTagOverride: true,
    taggedAddresses: { lan: { address: "10.0.0.1", port: 1 } },
    weights: { passing: 5, warning: 2 },
  });
  t.match(service.value.checks[0], {
    checkId: "r1-ttl",
    ttlMs: 30_000,
    deregisterCriticalServiceAfterMs: 5_400_000,
  });

  const bad: [unknown, string][] = [
    [{ name: "a", prot: 1 }, "invalid config key services[0].prot"],
    [{ name: "a", check: { script: "x" } }, "invalid config key services[0].check.script"],
    [{ port: 1 }, "services[0]: Missing service name"],
    [
      { name: "a", weights: { passing: 0 } },
      "services[0]: Invalid Weights: Passing must be greater than 0",
    ],
    [
      { name: "a", port: "x" },
      "services[0]: json: cannot unmarshal string into field port of type int",
    ],
    [
      { name: "a", tagged_addresses: { wan_ipv6: { address: "1.2.3.4" } } },
      'services[0]: Service tagged address "wan_ipv6" must be a valid ipv6 address',
    ],
    [[], "services[0]: json: cannot unmarshal array into value of type object"],
  ];
  for (const [value, error] of bad)
    t.same(parseConfigService(value, "services[0]"), { ok: false, error }, error);

  const both = { name: "s", check: { id: "one", ttl: "1s" }, checks: [{ id: "many", ttl: "1s" }] };
  const checks = [{ checkId: "many" }, { checkId: "one" }];
  t.match(parseConfigService(both, "s"), { value: { checks } }, "Consul's Builder.serviceVal");
  for (const [given, weights] of [
    [{ passing: 5 }, { passing: 5, warning: 1 }],
    [{ warning: 0 }, { passing: 1, warning: 0 }],
    [[{ warning: 2 }], { passing: 1, warning: 2 }],
  ] as const) {
    const weighted = parseConfigService({ name: "s", weights: given }, "s");
    t.match(weighted, { value: { fields: { weights } } }, JSON.stringify(given));
  }
  const block = { name: "s", check: [{ id: "block", ttl: "1s", header: [{ a: ["b"] }] }] };
  const read = { checkId: "block", header: { a: ["b"] } };
  t.match(parseConfigService(block, "s"), { value: { checks: [read] } }, "as HCL has blocks");
  t.match(parseConfigService({ name: "s", check: [both.check, both.check] }, "s"), {
    error: "s: json: cannot unmarshal array into field check of type object",
  });
  t.match(parseConfigCheck({ name: "x", ttl: 30 }, "check"), {
    error: "check: json: cannot unmarshal number into field ttl of type duration",
  });

  const alias = parseConfigCheck({ id: "al", name: "alias", alias_service: "r0" }, "check");
  t.equal(alias.ok && kindOfCheck(alias.value), "alias");
  t.same(parseConfigCheck({ name: "x" }, "check"), {
    ok: false,
    error: "check: Invalid check: TTL must be > 0 for TTL checks",
  });
});

t.test("programs run for whom the options name", async (t) => {
  const parsed = parseCheck({ Name: "x", Interval: "5s", Args: ["true"] });
  const docker = parseCheck({ Name: "x", Interval: "5s", Args: ["true"], DockerContainerID: "c" });
  if (!parsed.ok || !docker.ok) throw new Error("a valid check");
  t.equal(kindOfCheck(parsed.value), "script");
  t.equal(kindOfCheck(docker.value), "docker");
  const here =
    "Scripts are disabled on this agent; to enable, configure 'enable_script_checks' or 'enable_local_script_checks' to true";
  const afar =
    "Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' to true";
  // enable_script_checks, enable_local_script_checks, refusal by API, in configuration
  const rows: [boolean, boolean, string | undefined, string | undefined][] = [
    [false, false, afar, here],
    [false, true, afar, undefined],
    [true, false, undefined, undefined],
    [true, true, undefined, undefined],
  ];
  for (const [enableScriptChecks, enableLocalScriptChecks, api, config] of rows)
    for (const check of [parsed.value, docker.value]) {
      const settings = { enableScriptChecks, enableLocalScriptChecks };
      t.equal(refusalOfCheck(check, "api", settings), api, JSON.stringify(settings));
      t.equal(refusalOfCheck(check, "config", settings), config, JSON.stringify(settings));
    }
  const others = [{ HTTP: "h:1/x" }, { TCP: "h:1" }, { GRPC: "h:1" }, { H2PING: "h:1" }];
  for (const body of others) {
    const check = parseCheck({ Name: "x", Interval: "5s", ...body });
    t.equal(check.ok && refusalOfCheck(check.value, "api", noScripts), undefined);
  }
});

t.test("every spelling of a program's check, in bodies and in files", async (t) => {
  const names = [
    ["Args", "DockerContainerID", "Shell"],
    ["args", "docker_container_id", "shell"],
    ["ScriptArgs", "dockercontainerid", "SHELL"],
    ["script_args", "DOCKERCONTAINERID", "Shell"],
    ["scriptargs", "dockerContainerID", "shell"],
  ] as const;
  const expected = { args: ["a", "b"], dockerContainerId: "c", shell: "/bin/bash" };
  for (const [args, container, shell] of names) {
    const body = {
      Name: "x",
      Interval: "5s",
      [args]: ["a", "b"],
      [container]: "c",
      [shell]: "/bin/bash",
    };
    t.match(parseCheck(body), { ok: true, value: expected }, args);
    t.match(parseConfigCheck(body, "check"), { ok: true, value: expected }, args);
    const service = { name: "s", checks: [body] };
    t.match(parseService(service), { ok: true, value: { checks: [expected] } });
    t.match(parseConfigService(service, "service"), { ok: true, value: { checks: [expected] } });
  }
  const legacy = { name: "x", script: "/bin/true", interval: "5s" };
  const later = { name: "x", os_service: "nginx", interval: "5s" }; // Consul 1.15
  t.match(parseCheck(later), { error: { text: /unknown field "os_service"$/ } });
  t.match(parseConfigCheck(later, "check"), { error: "invalid config key check.os_service" });
  t.match(parseCheck(legacy), {
    error: { status: 400, text: 'Request decode failed: json: unknown field "script"' },
  });
  t.match(parseConfigCheck(legacy, "check"), { error: "invalid config key check.script" });
  t.match(parseConfigService({ name: "s", check: legacy }, "services[0]"), {
    error: "invalid config key services[0].check.script",
  });
});

t.test("what the log could never hold is refused, not acknowledged", async (t) => {
  const long = "x".repeat(300_000);
  const refused = /^Definition too large: \d+ characters, at most 262144 are accepted$/;
  const error = (parsed: { ok: boolean; error?: unknown }) => JSON.stringify(parsed.error);
  const service = parseService({ Name: long });
  t.notOk(service.ok);
  if (!service.ok) t.match(service.error, { status: 400, text: refused });
  const checks = Array.from({ length: 200 }, (_, i) => ({ CheckID: `c${i}`, TTL: "10s" }));
  t.notOk(parseService({ Name: "x".repeat(2_000), Checks: checks }).ok, "names that checks repeat");
  t.notOk(parseCheck({ Name: "c", TTL: "10s", Notes: long }).ok);
  t.match(error(parseConfigService({ name: long }, "services[0]")), /services\[0\]: Definition/);
  t.ok(parseService({ Name: "x".repeat(60_000) }).ok);
});
