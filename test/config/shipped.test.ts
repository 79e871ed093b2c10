// Everything in config/ is taken by the program that ships it.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { loadConfig } from "../../src/config.ts";
import { parseAgentFlags } from "../../src/config/flags.ts";
import { load, machine, writeFiles } from "./world.ts";

const serviceTtl = { "*": 0, rds: 5000, elasticache: 5000 };

t.test("waypost.json: what npm start runs", async (t) => {
  const result = await load(["config/waypost.json"]);
  t.match(result, {
    ok: true,
    value: {
      config: {
        data_dir: "./data",
        "forwarder.resolv_conf": ["/etc/resolv.conf"],
        "dns_config.service_ttl": serviceTtl,
      },
      addresses: {
        dns: [{ address: "127.0.0.1", port: 8600 }],
        http: [{ address: "127.0.0.1", port: 8500 }],
      },
    },
  });
});

t.test("edge.json: in place of dnsmasq", async (t) => {
  const result = await load(["config/edge.json"]);
  t.match(result, {
    ok: true,
    value: {
      config: { "dns_config.service_ttl": serviceTtl },
      addresses: { dns: [{ address: "127.0.0.1", port: 53 }] },
      upstreams: [{ address: "169.254.169.253", port: 53 }],
    },
  });
});

t.test("examples of the README are taken without a word", async (t) => {
  const examples = [...readFileSync("README.md", "utf8").matchAll(/```json\n([\s\S]*?)```/g)];
  t.ok(examples.length > 0);
  for (const [, text] of examples) {
    const directory = writeFiles(t, { "example.json": text! });
    const result = await load([join(directory, "example.json"), "config/waypost.json"]);
    t.same(result.ok ? result.value.warnings : result.error, []);
  }
});

t.test("no other file is shipped without a test", async (t) => {
  t.same(readdirSync("config").toSorted(), [
    "edge.json",
    "waypost.json",
    "waypost.service",
    "waypost.socket",
  ]);
});

t.test("S35: waypost.service", async (t) => {
  const sections = parseUnit(readFileSync("config/waypost.service", "utf8"));
  t.same([...sections.keys()], ["Unit", "Service", "Install"]);
  const service = sections.get("Service")!;
  const [program, command, ...args] = service.get("ExecStart")!.split(" ");
  t.equal(program, "/opt/waypost/bin/waypost");
  t.equal(command, "agent");
  const parsed = parseAgentFlags(args);
  if (!parsed.ok) throw new Error(parsed.error);
  const directory = writeFiles(t, {
    "edge.json": readFileSync("config/edge.json", "utf8"),
  });
  const sources = { ...parsed.value.sources, paths: [directory] };
  t.match(await loadConfig(sources, machine), {
    ok: true,
    value: { config: { data_dir: join("/var/lib", service.get("StateDirectory")!) } },
  });
  t.match(service.get("AmbientCapabilities"), "CAP_NET_BIND_SERVICE", "port 53 without root");
  t.match(service.get("CapabilityBoundingSet"), "CAP_NET_BIND_SERVICE");
  for (const [key, value] of [
    ["DynamicUser", "yes"],
    ["NoNewPrivileges", "yes"],
    ["ProtectSystem", "strict"],
  ] as const)
    t.equal(service.get(key), value, key);
  t.notOk(service.has("MemoryDenyWriteExecute"), "the engine writes machine code");
  t.equal(service.get("Type"), "notify", "it tells when it answers, and who succeeds it");
});

t.test("waypost.socket listens where edge.json does", async (t) => {
  const socket = parseUnit(readFileSync("config/waypost.socket", "utf8")).get("Socket")!;
  const result = await load(["config/edge.json"]);
  if (!result.ok) throw new Error(String(result.error));
  const places = result.value.addresses.dns.map(({ address, port }) => `${address}:${port}`);
  t.equal(socket.get("ListenDatagram"), places.join(" "));
  t.equal(socket.get("ListenStream"), places.join(" "));
});

/** Sections of a systemd unit; the last value of a key wins. */
function parseUnit(text: string): Map<string, Map<string, string>> {
  const sections = new Map<string, Map<string, string>>();
  let section = new Map<string, string>();
  for (const line of text.split("\n")) {
    const head = /^\[(\w+)\]$/.exec(line)?.[1];
    const member = /^(\w+)=(.*)$/.exec(line);
    if (head !== undefined) sections.set(head, (section = new Map()));
    else if (member !== null) section.set(member[1]!, member[2]!);
    else if (line !== "" && !line.startsWith("#")) throw new Error(`not understood: ${line}`);
  }
  return sections;
}
