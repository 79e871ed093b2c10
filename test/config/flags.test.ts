import t from "tap";
import { loadConfig } from "../../src/config.ts";
import { agentFlagHelp, parseAgentFlags } from "../../src/config/flags.ts";
import { options } from "../../src/config/options.ts";
import { machine, writeFiles } from "./world.ts";

async function configOf(args: string[]) {
  const parsed = parseAgentFlags(args);
  if (!parsed.ok) throw new Error(parsed.error);
  const loaded = await loadConfig(parsed.value.sources, machine);
  if (!loaded.ok) throw new Error(loaded.error.join("\n"));
  return loaded.value;
}

t.test("every style of Consul's flags", async (t) => {
  const rows: [args: string[], expected: object][] = [
    [["-node", "n1"], { node_name: "n1" }],
    [["-node=n1"], { node_name: "n1" }],
    [["--node", "n1"], { node_name: "n1" }],
    [["--node=n=1"], { node_name: "n=1" }],
    [["-node", "n1", "-node", "n2"], { node_name: "n2" }],
    [["-node", "-dash"], { node_name: "-dash" }],
    [["-bootstrap"], { bootstrap: true }],
    [["--bootstrap=true"], { bootstrap: true }],
    [["-bootstrap=1"], { bootstrap: true }],
    [["-bootstrap=F"], { bootstrap: false }],
    [["-bootstrap", "-node", "n"], { bootstrap: true, node_name: "n" }],
    [["-dns-port", "53", "-http-port=-1"], { "ports.dns": 53, "ports.http": -1 }],
    [["-recursor", "192.0.2.1", "-recursor=192.0.2.2"], { recursors: ["192.0.2.1", "192.0.2.2"] }],
    [
      ["-node-meta", "a:1", "-node-meta=b:x:y", "-node-meta", "c"],
      { node_meta: { a: "1", b: "x:y", c: "" } },
    ],
    [["-log-rotate-duration", "1h"], { log_rotate_duration: 3_600_000 }],
    [["-datacenter", "DC2", "-domain=lab"], { datacenter: "dc2", domain: "lab." }],
    [["-hcl", 'node_name = "h"', "-node", "f"], { node_name: "h" }],
    [["-hcl", '{"node_name": "j"}'], { node_name: "j" }],
  ];
  for (const [args, expected] of rows) {
    const { config } = await configOf(["-server", "-data-dir", "/d", ...args]);
    t.match(config, expected, args.join(" "));
  }
});

t.test("flags and files: scalars of flags win, lists of flags come first", async (t) => {
  const directory = writeFiles(t, {
    "a.json": {
      node_name: "file",
      data_dir: "/d",
      recursors: ["192.0.2.9"],
      node_meta: { a: "f" },
    },
    "d/b.hcl": 'recursors = ["192.0.2.10"]',
  });
  const { config } = await configOf([
    "-recursor=192.0.2.1",
    "-node=flag",
    "-node-meta=a:flag",
    "-config-file",
    `${directory}/a.json`,
    "-config-dir",
    `${directory}/d`,
  ]);
  t.equal(config.node_name, "flag");
  t.same(config.recursors, ["192.0.2.1", "192.0.2.9", "192.0.2.10"]);
  t.same(config.node_meta, { a: "flag" });
});

t.test("-config-file and -config-dir keep their common order", async (t) => {
  const parsed = parseAgentFlags(["-config-dir=b", "-config-file", "c", "--config-dir", "a"]);
  t.match(parsed, { ok: true, value: { sources: { paths: ["b", "c", "a"] } } });
});

t.test("the flags that existing installations send are all known", async (t) => {
  // The list of the drop-in notes: recorded from SDK test helpers and configuration tools.
  const bare =
    "server bootstrap dev rejoin log-json syslog ui enable-script-checks " +
    "enable-local-script-checks disable-host-node-id";
  const valued =
    "config-file=f config-dir=d config-format=json bootstrap-expect=1 node=n node-id=i datacenter=d " +
    "domain=d bind=127.0.0.1 advertise=127.0.0.1 client=127.0.0.1 data-dir=d pid-file=p encrypt=k " +
    "join=a retry-join=a join-wan=a retry-join-wan=a node-meta=a:b recursor=192.0.2.1 dns-port=1 " +
    "http-port=1 https-port=-1 serf-lan-port=1 serf-wan-port=1 server-port=1 log-level=info " +
    "log-file=f hcl={} raft-protocol=3 protocol=2";
  for (const flag of [...bare.split(" "), ...valued.split(" ")])
    t.match(parseAgentFlags([`-${flag}`]), { ok: true }, flag);
});

const refused: [args: string[], error: string][] = [
  [["-nod", "x"], "flag provided but not defined: -nod (did you mean -node?)"],
  [["--zzzzzzzzzzzz"], "flag provided but not defined: -zzzzzzzzzzzz"],
  [["-node"], "flag needs an argument: -node"],
  [["-server=maybe"], 'invalid boolean value "maybe" for -server: use true or false'],
  [["-server", "true"], "unexpected extra argument: true"],
  [["extra"], "unexpected extra argument: extra"],
  [["--", "x"], "unexpected extra argument: x"],
  [["-"], "unexpected extra argument: -"],
  [["-dns-port", "dns"], '-dns-port: ports.dns: expected an integer, got "dns"'],
  [["-dns-port="], '-dns-port: ports.dns: expected an integer, got ""'],
  [["-dns-port", "70000"], "-dns-port: ports.dns: must be from -1 to 65535, got 70000"],
  [["-config-format", "yaml"], "-config-format must be either 'hcl' or 'json', got \"yaml\""],
  [["-__proto__", "x"], "flag provided but not defined: -__proto__"],
];
t.test("refused", async (t) => {
  for (const [args, error] of refused)
    t.same(parseAgentFlags(args), { ok: false, error }, args.join(" "));
});

t.test("flags are unique and in the help", async (t) => {
  const flags = Object.values(options).flatMap(({ flag }) => flag ?? []);
  t.equal(new Set(flags).size, flags.length);
  const help = agentFlagHelp();
  for (const flag of flags) t.match(help, new RegExp(`^  ${flag}(=<value>)?$`, "m"), flag);
});
