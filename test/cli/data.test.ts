// The commands catalog, services, event, maint and info.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { runCli, type Ended } from "./run.ts";

const fine = (out: string): Ended => ({ code: 0, out, err: "" });
const failed = (err: string): Ended => ({ code: 1, out: "", err: `${err}\n` });

t.test("an agent", async (t) => {
  const program = await startProgram(t);
  const directory = temporaryDirectory(t);
  const run = (...args: string[]) => runCli(program.httpPort, args);
  const json = async (path: string): Promise<unknown> =>
    JSON.parse((await program.http("GET", path)).text);
  const file = (name: string, text: string) => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };

  await t.test("catalog", async (t) => {
    const http = (...args: Parameters<typeof program.http>) => program.http(...args);
    await http("PUT", "/v1/catalog/register", {
      Node: "outside",
      ID: "1f2e3d4c-0000-4000-8000-000000000001",
      Address: "192.0.2.7",
      TaggedAddresses: { wan: "198.51.100.7", lan: "192.0.2.7" },
      NodeMeta: { rack: "r1", row: "b" },
      Service: { Service: "db", Tags: ["z", "a"], Port: 5432 },
    });
    await http("PUT", "/v1/catalog/register", {
      Node: "outside",
      Address: "192.0.2.7",
      SkipNodeUpdate: true,
      Service: { ID: "db2", Service: "db", Tags: ["m"] },
    });
    const nodes = (...args: string[]) => run("catalog", "nodes", ...args);
    t.same(await run("catalog", "datacenters"), fine("dc1\n"));
    const outside = "outside  1f2e3d4c  192.0.2.7  dc1\n";
    t.match(await nodes(), {
      code: 0,
      err: "",
      out: /^Node     ID        Address    DC\nn1       [0-9a-f]{8}  127\.0\.0\.1  dc1\noutside  1f2e3d4c  192\.0\.2\.7  dc1\n$/,
    });
    const some = fine(`Node     ID        Address    DC\n${outside}`);
    t.same(await nodes("-node-meta=rack=r1", "-node-meta", "row=b"), some);
    t.same(await nodes("-filter", 'Meta.rack == "r1"'), some);
    t.same(await nodes("-filter", `@${file("filter", 'Node == "outside"')}`), some);
    t.match(await nodes("-near=outside", "-detailed", "-node-meta=rack=r1"), {
      code: 0,
      out:
        "Node     ID                                    Address    DC   TaggedAddresses" +
        "                  Meta\n" +
        "outside  1f2e3d4c-0000-4000-8000-000000000001  192.0.2.7  dc1  lan=192.0.2.7, " +
        "wan=198.51.100.7  rack=r1, row=b\n",
    });
    t.same(
      (await nodes("-service=db")).out.split("\n").slice(1),
      [outside.trimEnd(), outside.trimEnd(), ""],
      "a line per instance, as in Consul",
    );
    const none = {
      code: 0,
      out: "",
      err: "No nodes match the given query - try expanding your search.\n",
    };
    t.same(await nodes("-node-meta=rack=r2"), none);
    t.same(await nodes("-service=none"), none);
    t.match(await nodes("-filter=("), {
      code: 1,
      out: "",
      err: /^Error listing nodes: Unexpected/,
    });
    t.match(await nodes("-service=db", "-filter=("), { err: /^Error listing nodes for service: / });
    t.match(await nodes("-node-meta=rack"), {
      code: 1,
      err: /Missing "=" value in argument: rack/,
    });
    t.same(await nodes("x"), failed("Too many arguments (expected 0, got 1)"));

    const services = (...args: string[]) => run("catalog", "services", ...args);
    t.same(await services(), fine("consul\ndb\n"));
    t.same(await services("-tags"), fine("consul\ndb          a,m,z\n"));
    t.same(await services("-node=outside", "-tags"), fine("db      a,m,z\n"));
    t.same(await services("-node-meta=rack=r1"), fine("db\n"));
    t.same(await services("-node=nowhere"), {
      code: 0,
      out: "",
      err: "No services match the given query - try expanding your search.\n",
    });
    t.same(await services("x"), failed("Too many arguments (expected 0, got 1)"));
    t.match(await run("catalog", "datacenters", "-datacenter=dc9"), fine("dc1\n"));
    t.match(await run("catalog", "nodes", "-datacenter=dc9"), {
      code: 1,
      err: "Error listing nodes: Unexpected response code: 500 (No path to datacenter)\n",
    });
  });

  await t.test("services: files", async (t) => {
    const hcl = file(
      "web.hcl",
      `service {
        name = "web"
        port = 80
        tags = ["one"]
        enable_tag_override = true
        meta { version = "2" }
        tagged_addresses { wan { address = "198.51.100.1" port = 8080 } }
        weights { passing = 3 warning = 0 }
        check {
          id = "web-alive"
          http = "http://127.0.0.1:1/"
          interval = "90s"
          tls_skip_verify = true
          deregister_critical_service_after = "90m"
        }
      }`,
    );
    const list = file(
      "list.json",
      JSON.stringify({
        services: [
          { name: "api", id: "api-1", checks: [{ TTL: "30s", Name: "alive" }, { ttl: "1m" }] },
          { Name: "plain", Address: "192.0.2.9" },
        ],
      }),
    );
    t.same(
      await run("services", "register", hcl, list),
      fine("Registered service: web\nRegistered service: api\nRegistered service: plain\n"),
    );
    t.match(await json("/v1/agent/services"), {
      web: {
        Port: 80,
        Tags: ["one"],
        Meta: { version: "2" },
        EnableTagOverride: true,
        Weights: { Passing: 3, Warning: 0 },
        TaggedAddresses: { wan: { Address: "198.51.100.1", Port: 8080 } },
      },
      "api-1": { Service: "api" },
      plain: { Address: "192.0.2.9" },
    });
    t.match(await json("/v1/agent/checks"), {
      "web-alive": { Type: "http", ServiceID: "web" },
      "service:api-1:1": { Name: "alive", Type: "ttl" },
      "service:api-1:2": { Type: "ttl" },
    });
    t.same(await run("services", "register", "-port=81", "-tag=two", "-meta=a=b", hcl, list), {
      ...fine("Registered service: web\nRegistered service: api\nRegistered service: plain\n"),
    });
    t.match(
      await json("/v1/agent/services"),
      {
        web: { Port: 80, Tags: ["one", "two"], Meta: { version: "2", a: "b" } },
        plain: { Port: 81, Tags: ["two"] },
      },
      "flags fill in what the file leaves open",
    );
    t.same(
      await run("services", "deregister", hcl, list),
      fine("Deregistered service: web\nDeregistered service: api-1\nDeregistered service: plain\n"),
    );
    t.same(await json("/v1/agent/services"), {});
    const wrong = file("wrong.json", '{"service": {"name": "x", "prot": 1}}');
    t.match(await run("services", "register", wrong, `${directory}/none.hcl`), {
      code: 1,
      out: "",
      err: /^Error: .*wrong\.json: invalid config key service\.prot.*\nError: .*none\.hcl: no such file or directory\n$/,
    });
    t.same(await run("services", "register", file("empty.json", "{}")), {
      code: 0,
      out: "",
      err: "warning: the files hold no service\n",
    });
    const script = file(
      "script.json",
      '{"service":{"name":"s","check":{"args":["a"],"interval":"9s"}}}',
    );
    t.match(await run("services", "register", script), {
      code: 1,
      err: /^Error registering service "s": Unexpected response code: 500 \(Scripts are disabled/,
    });
  });

  await t.test("services: flags", async (t) => {
    const where = "-tagged-address=lan=192.0.2.2:81 -tagged-address=v6=[2001:db8::1]:82";
    const options =
      `-name=web -id=w1 -address=192.0.2.1 -port=80 -tag=b -tag=a -meta=x=y=z ${where}`.split(" ");
    t.same(await run("services", "register", ...options), fine("Registered service: web\n"));
    t.match(await json("/v1/agent/service/w1"), {
      Service: "web",
      Address: "192.0.2.1",
      Port: 80,
      Tags: ["b", "a"],
      Meta: { x: "y=z" },
      TaggedAddresses: {
        lan: { Address: "192.0.2.2", Port: 81 },
        v6: { Address: "2001:db8::1", Port: 82 },
      },
    });
    t.same(await run("services", "deregister", "-id=w1"), fine("Deregistered service: w1\n"));
    t.same(await run("services", "deregister", "-id=w1"), fine("Deregistered service: w1\n"));
    t.same(
      await run("services", "register"),
      failed("Service registration requires at least one argument or flags."),
    );
    t.same(
      await run("services", "register", "-name=x", "x.json"),
      failed("Service registration requires arguments or -id, not both."),
    );
    t.same(
      await run("services", "deregister"),
      failed("Service deregistration requires at least one argument or -id."),
    );
    t.same(
      await run("services", "deregister", "-id=x", "x.json"),
      failed("Service deregistration requires arguments or -id, not both."),
    );
    t.match(await run("services", "register", "-name=x", "-tagged-address=lan=a:b:c"), {
      code: 1,
      err: /^Invalid Tagged Address: address a:b:c: /,
    });
    t.match(await run("services", "register", "-name=x", "-address=0.0.0.0"), {
      code: 1,
      err: 'Error registering service "x": Unexpected response code: 400 (Invalid service address)\n',
    });
  });

  await t.test("event", async (t) => {
    await run("services", "register", "-name=ab", "-tag=b");
    const fired = await run("event", "-name=deploy", "-node=n.*", "-service=a", "-tag=b", "42");
    t.match(fired, { code: 0, err: "", out: /^Event ID: [0-9a-f-]{36}\n$/ });
    t.match(await json("/v1/event/list?name=deploy"), [
      {
        ID: fired.out.slice("Event ID: ".length).trim(),
        Payload: Buffer.from("42").toString("base64"),
        NodeFilter: "n.*",
        ServiceFilter: "a",
        TagFilter: "b",
      },
    ]);
    t.match(await run("event", "-name=bare"), { code: 0, out: /^Event ID: / });
    t.match(await run("event"), {
      code: 1,
      out: "",
      err: /^Event name must be specified\n\nUsage: waypost event /,
    });
    t.match(await run("event", "-name=x", "1", "2"), {
      code: 1,
      err: /^Too many command line arguments\.\n\nUsage: /,
    });
    t.match(await run("event", "-name=x", "-node=("), {
      code: 1,
      err: /^Failed to compile node filter regexp: error parsing regexp: missing closing \)/,
    });
    t.same(
      await run("event", "-name=x", "-tag=a"),
      failed("Cannot provide tag filter without service filter."),
    );
  });

  await t.test("maint", async (t) => {
    await run("services", "register", "-name=web");
    t.same(await run("maint"), fine(""));
    t.same(
      await run("maint", "-enable", "-reason=new disk"),
      fine("Node maintenance is now enabled\n"),
    );
    t.same(
      await run("maint", "-enable", "-service=web"),
      fine('Service maintenance is now enabled for "web"\n'),
    );
    t.match(await run("maint"), {
      code: 0,
      out: /^Node:\n  Name:   n1\n  Reason: new disk\n\nService:\n  ID:     web\n  Reason: .+\n\n$/,
    });
    t.same(await run("maint", "-disable"), fine("Node maintenance is now disabled\n"));
    t.same(
      await run("maint", "-disable", "-service=web"),
      fine('Service maintenance is now disabled for "web"\n'),
    );
    t.same(await run("maint"), fine(""));
    t.same(
      await run("maint", "-enable", "-disable"),
      failed("Only one of -enable or -disable may be provided"),
    );
    t.same(await run("maint", "-reason=x"), failed("Reason may only be provided with -enable"));
    t.same(
      await run("maint", "-service=web"),
      failed("Service requires either -enable or -disable"),
    );
    t.same(
      await run("maint", "-enable", "-service=no"),
      failed(
        'Error enabling service maintenance: Unexpected response code: 404 (No service registered with ID "no")',
      ),
    );
  });

  await t.test("info", async (t) => {
    const { code, out, err } = await run("info");
    t.same([code, err], [0, ""]);
    const parts = out.split("\n").filter((line) => /^\S/.test(line));
    t.same(parts, parts.toSorted());
    t.match(out, /^agent:\n\tcheck_monitors = 0\n/);
    t.match(out, /^\tversion = 1\.10\.12$/m);
    t.match(out, /^consul:\n(\t.*\n)*\tserver = true\n/m);
  });
});

t.test("an agent that is away", async (t) => {
  for (const [args, start] of [
    [["catalog", "datacenters"], "Error listing datacenters: Get "],
    [["catalog", "nodes"], "Error listing nodes: Get "],
    [["catalog", "services"], "Error listing services: Get "],
    [["catalog", "services", "-node=a"], "Error listing services for node: Get "],
    [["services", "register", "-name=a"], 'Error registering service "a": Put '],
    [["services", "deregister", "-id=a"], 'Error deregistering service "a": Put '],
    [["event", "-name=a"], "Error querying Consul agent: Put "],
    [["maint"], "Error getting checks: Get "],
    [["info"], "Error querying agent: Get "],
  ] as const) {
    const { code, out, err } = await runCli(1, args);
    t.same([code, out, err.slice(0, start.length)], [1, "", start], args.join(" "));
  }
});
