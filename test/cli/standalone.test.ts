/** version and validate, which need no agent. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import t from "tap";
import { consulVersion, version } from "../../src/version.ts";
import { waypostPath } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { runCli } from "./run.ts";

const run = (...args: string[]) => runCli(undefined, args);

t.test("version", async (t) => {
  t.same(await run("version"), { code: 0, out: `waypost v${version}\n`, err: "" });
  const json = await run("version", "-format=json");
  t.equal(json.code, 0);
  t.match(json.out, /^\{\n {3}"Version": "/, "indented as Consul's");
  t.same(JSON.parse(json.out), {
    Version: consulVersion,
    Revision: "",
    Prerelease: "",
    RPC: { Default: 2, Min: 2, Max: 3 },
    Waypost: version,
  });
  t.same(await run("version", "-format=yaml"), {
    code: 1,
    out: "",
    err: "Unknown format: yaml\n",
  });
  t.match(await run("version", "now"), { code: 1, err: /^Too many arguments/ });
});

t.test("under the name consul, through a symlink", async (t) => {
  const link = join(temporaryDirectory(t), "consul");
  symlinkSync(waypostPath, link);
  for (const args of [["version"], ["-v"], ["--version"], ["-version"]]) {
    const { status, stdout } = spawnSync(link, args, { encoding: "utf8" });
    t.equal(status, 0);
    t.equal(
      stdout,
      `Consul v${consulVersion}\nwaypost v${version}\nProtocol 2 spoken by default, understands 2 to 3\n`,
      args.join(" "),
    );
  }
  const unknown = spawnSync(link, ["no-such-command"], { encoding: "utf8" });
  t.equal(unknown.status, 127);
  t.match(unknown.stderr, /^consul: unknown command "no-such-command"\n/);
});

t.test("what is typed in the wrong place, and what cannot be taken", async (t) => {
  for (const args of [
    ["kv", "put", "key", "-h"],
    ["kv", "get", "key", "--help"],
  ])
    t.match(await run(...args), { code: 0, out: /^Usage: waypost kv /, err: "" }, args.join(" "));
  t.match(
    await run("watch", "-http-addr=127.0.0.1:1", "-type=services", "program", "-h"),
    { code: 1, out: "", err: /connection refused\n$/ },
    "-h is the program's",
  );
  t.same(await run("-http-addr=127.0.0.1:1", "members"), {
    code: 1,
    out: "",
    err: "Invalid flags before the subcommand. Put them behind it, please.\n",
  });
  t.match(await run("-nothing"), { code: 127, err: /^waypost: unknown command "-nothing"/ });
  t.same(await run("kv", "put", "key", "@/"), {
    code: 1,
    out: "",
    err: "Error! Failed to read file: read /: is a directory\n",
  });
  const [octets, full] = ["kv put $'k\\xff' v", "version >/dev/full"].map((line) =>
    spawnSync("bash", ["-c", `"$0" ${line}`, waypostPath], { encoding: "utf8" }),
  );
  t.match(octets, { status: 1, stdout: "", stderr: /^waypost: an argument is not UTF-8; / });
  t.match(full, {
    status: 1,
    stderr: "waypost: the output cannot be written: write: no space left on device\n",
  });
});

t.test("parts of Consul that are not there", async (t) => {
  t.same(await run("connect", "envoy", "-sidecar-for", "web"), {
    code: 127,
    out: "",
    err: "waypost connect is not available: there is no service mesh.\n",
  });
  for (const [line, why] of [
    ["acl auth-method list", "there are no auth methods"],
    ["acl binding-rule create -method m", "there are no auth methods"],
    ["acl templated-policy list", "there are no templates of policies"],
    ["login -method m", "there are no auth methods"],
    ["logout", "there are no auth methods"],
    ["services export -name=web -consumer-peers=east", "there are no clusters to export to"],
    ["services exported-services", "there are no clusters to export to"],
  ] as const) {
    const command = /^((acl|services) )?\S+/.exec(line)![0];
    t.match(
      await run(...line.split(" ")),
      { code: 1, out: "", err: `waypost ${command} is not available: ${why}. ` },
      line,
    );
  }
  const get = ["kv", "get", "-http-addr=127.0.0.1:1"];
  const enterprise = "are a Consul Enterprise feature: there is no";
  t.same(await run(...get, "-namespace=team", "key"), {
    code: 1,
    out: "",
    err: `Namespaces ${enterprise} "team"\n`,
  });
  t.match(await runCli(undefined, [...get, "key"], { env: { CONSUL_PARTITION: "p" } }), {
    err: `Partitions ${enterprise} "p"\n`,
  });
  t.match(await run(...get, "-namespace=default", "-partition", "default", "key"), {
    err: /connection refused/,
  });
});

t.test("validate", async (t) => {
  const directory = temporaryDirectory(t);
  const path = (name: string) => join(directory, name);
  const write = (name: string, text: string) => {
    writeFileSync(path(name), text);
    return path(name);
  };
  const good = write("good.json", '{"data_dir": "/d", "server": true, "bootstrap": true}');
  const typo = write("typo.hcl", 'data_dir = "/d"\nnode_nmae = "x"\nports { dns = "x" }');
  const broken = write("broken.json", "{");
  const bare = write("bare.conf", 'data_dir = "/d"\nserver = true');
  const valid = { code: 0, out: "Configuration is valid!\n", err: "" };
  t.same(await run("validate", good), valid);
  t.same(await run("validate", "-quiet", good), { ...valid, out: "" });
  t.same(await run("validate", "-config-format=hcl", bare), valid);
  t.same(await run("validate", "-config-format", "hcl", good), valid, "JSON is HCL, too");
  const conf = path("dnsmasq.conf");
  writeFileSync(conf, "listen-address=127.0.0.1\nno-resolv\nno-hosts\n");
  t.same(await run("validate", "-dnsmasq-conf", conf), valid, "enough by itself");
  t.same(await run("validate", `-dnsmasq-conf=${conf}`, good), valid);
  writeFileSync(conf, "listen-address=127.0.0.1\nno-reslov\n");
  t.match(await run("validate", "-dnsmasq-conf", conf, good), {
    code: 1,
    err: `Config validation failed: ${conf}:2: dnsmasq knows no option "no-reslov" (did you mean no-resolv?)`,
  });
  const naming = write(
    "naming.json",
    JSON.stringify({ data_dir: "/d", server: true, forwarder: { dnsmasq_conf: conf } }),
  );
  t.match(await run("validate", naming), {
    code: 1,
    err: `Config validation failed: ${conf}:2: dnsmasq knows no option "no-reslov"`,
  });
  t.same(await run("validate", typo), {
    code: 1,
    out: "",
    err:
      `Config validation failed: ${typo}: invalid config key node_nmae (did you mean node_name?)\n` +
      `Config validation failed: ${typo}: ports.dns: expected an integer, got "x"\n`,
  });
  t.match(await run("validate", broken), {
    code: 1,
    err: /^Config validation failed: .*broken\.json/,
  });
  mkdirSync(path("conf.d"));
  write("conf.d/one.json", '{"data_dir": "/d"}');
  write("conf.d/two.json", '{"datacenter": 7}');
  t.match(await run("validate", path("conf.d")), {
    code: 1,
    err: /^Config validation failed: .*two\.json: datacenter: /,
  });
  t.match(await run("validate", "/nowhere"), {
    code: 1,
    err: /^Config validation failed: .*nowhere/,
  });
  t.match(await run("validate"), {
    code: 1,
    out: "",
    err: /^Must specify at least one config file or directory\n\nUsage: waypost validate /,
  });
  t.same(await run("validate", "-config-format=yaml", good), {
    code: 1,
    out: "",
    err: "-config-format must be either 'hcl' or 'json', got \"yaml\"\n",
  });
});
