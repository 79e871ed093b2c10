// S34: what the system may hold in place of a configuration file of dnsmasq's. Nothing waits, nothing grows.
import { spawnSync } from "node:child_process";
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { systemFiles } from "../../src/config/dnsmasq/files.ts";
import { readDnsmasq } from "../../src/config/dnsmasq/tree.ts";
import { waypostPath } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { host } from "./dnsmasq.ts";
import { load, machine, writeFiles } from "./world.ts";
import { loadConfig } from "../../src/config.ts";
import { parseAgentFlags } from "../../src/config/flags.ts";
import { stateDirectory } from "../../src/config/machine.ts";
import { atOnce } from "../../src/slices.ts";

t.test("S34: FIFO, device, directory, links in a circle, a gigabyte", async (t) => {
  const directory = temporaryDirectory(t);
  const at = (name: string) => join(directory, name);
  t.equal(spawnSync("mkfifo", [at("fifo")]).status, 0);
  mkdirSync(at("dir"));
  symlinkSync(at("loop"), at("loop"));
  symlinkSync(at("gone"), at("dangling"));
  writeFileSync(at("huge"), "");
  truncateSync(at("huge"), 2 ** 30);
  const errorOf = (path: string) => {
    writeFileSync(at("main"), `# why\nconf-file=${path}\n`);
    const started = performance.now();
    const { errors } = atOnce(readDnsmasq(at("main"), systemFiles, host));
    t.ok(performance.now() - started < 1_000, `${path}: at once`);
    return errors.map((each) => each.replaceAll(directory, ""));
  };
  t.same(errorOf(at("fifo")), ["/main:2: /fifo: not a regular file"]);
  t.same(errorOf("/dev/zero"), ["/main:2: /dev/zero: not a regular file"]);
  t.same(errorOf(at("dir")), ["/main:2: /dir: is a directory"]);
  t.same(errorOf(at("loop")), ["/main:2: /loop: too many levels of symbolic links"]);
  t.same(errorOf(at("dangling")), ["/main:2: /dangling: no such file or directory"]);
  t.same(errorOf(at("huge")), ["/main:2: /huge: larger than 268435456 octets"]);
  t.same(errorOf("/dev/null"), []);
  t.same(errorOf(`${at("x")}\0y`), ["/main:2: /x: no such file or directory"]);
  t.match(atOnce(readDnsmasq(at("none"), systemFiles, host)).errors, [
    /none: no such file or directory$/,
  ]);
});

t.test("S34: the same for our own configuration; what it was given is read", async (t) => {
  const directory = writeFiles(t, { "a.json": { data_dir: "x" }, "d/z.json": {} });
  const at = (name: string) => join(directory, name);
  t.equal(spawnSync("mkfifo", [at("fifo.json"), at("d/b.json")]).status, 0);
  symlinkSync("/dev/zero", at("zero.json"));
  symlinkSync("/dev/null", at("null.json"));
  symlinkSync("a.json", at("link.json"));
  const errorsOf = async (...names: string[]) => {
    const loaded = await load(names.map(at));
    return loaded.ok ? [] : loaded.error.map((each) => each.replaceAll(directory, ""));
  };
  t.same(await errorsOf("a.json", "fifo.json"), ["/fifo.json: not a regular file"]);
  t.same(await errorsOf("a.json", "d"), ["/d/b.json: not a regular file"]);
  t.same(await errorsOf("a.json", "zero.json"), ["/zero.json: not a regular file"]);
  t.same(await errorsOf("link.json", "null.json"), []);
  const from = (script: string, input?: string) =>
    spawnSync("bash", ["-c", script, "bash", waypostPath], { encoding: "utf8", input });
  const file = JSON.stringify({ data_dir: "/tmp/x", nodename: "x" });
  for (const given of [
    from('"$1" validate -config-format json /dev/stdin', file),
    from(`echo '${file}' | "$1" validate -config-format json /dev/stdin`),
    from(`"$1" validate -config-format json <(echo '${file}')`),
  ]) {
    t.equal(given.status, 1);
    t.match(given.stderr + given.stdout, "nodename", "what was given is read");
  }
  const endless = from('"$1" validate -config-format json <(cat /dev/zero)');
  t.equal(endless.status, 1);
  t.match(endless.stderr + endless.stdout, "larger than 268435456 octets");
});

t.test(
  "a directory: links to files count, links to nothing are refused unless left out",
  async (t) => {
    const directory = writeFiles(t, {
      "main.conf": "",
      "d/a.conf": "server=192.0.2.1",
      "d/sub/b.conf": "broken",
    });
    symlinkSync(join(directory, "d/a.conf"), join(directory, "d/same.conf"));
    symlinkSync(join(directory, "gone"), join(directory, "d/.#lock"));
    writeFileSync(join(directory, "main.conf"), `conf-dir=${directory}/d`);
    const config = () => atOnce(readDnsmasq(join(directory, "main.conf"), systemFiles, host));
    t.same(config().errors, []);
    t.same(config().entries.find(({ key }) => key === "recursors")?.value, ["192.0.2.1"]);
    symlinkSync(join(directory, "gone"), join(directory, "d/z.conf"));
    t.match(config().errors, [
      /main.conf:1: cannot access .*\/d\/z.conf: no such file or directory/,
    ]);
  },
);

t.test("one layer of the configuration: files and flags win, lists are appended", async (t) => {
  const directory = writeFiles(t, {
    "dnsmasq.conf":
      "port=1053\nserver=192.0.2.1\nno-resolv\nno-hosts\ndomain-needed\ncache-size=5000",
    "waypost.json": {
      data_dir: "/d",
      recursors: ["192.0.2.9"],
      forwarder: { cache_size: "2MiB" },
    },
  });
  const conf = join(directory, "dnsmasq.conf");
  const agent = async (...args: string[]) => {
    const flags = parseAgentFlags(args);
    if (!flags.ok) throw new Error(flags.error);
    const loaded = await loadConfig(flags.value.sources, machine);
    if (!loaded.ok) throw new Error(loaded.error.join("\n"));
    return loaded.value;
  };
  const file = join(directory, "waypost.json");
  const { config, addresses } = await agent("-dnsmasq-conf", conf, "-config-file", file);
  t.equal(config["ports.dns"], 1053);
  t.same(config.recursors, ["192.0.2.1", "192.0.2.9"]);
  t.equal(config["forwarder.cache_size"], 2 * 2 ** 20);
  t.match(addresses.dns, [
    { address: "0.0.0.0", port: 1053 },
    { address: "::", port: 1053 },
  ]);
  t.match((await agent("-dnsmasq-conf", conf, "-config-file", file, "-dns-port", "54")).config, {
    "ports.dns": 54,
  });
  const fromFile = writeFiles(t, {
    "a.json": { data_dir: "/d", forwarder: { dnsmasq_conf: conf } },
  });
  const loaded = await load([fromFile]);
  t.ok(loaded.ok && loaded.value.config["ports.dns"] === 1053);
});

t.test("mistakes that only our own checks find name the line as well", async (t) => {
  const directory = writeFiles(t, {
    "dnsmasq.conf": "no-resolv\nno-hosts\n\nserver=nowhere.example",
    "waypost.json": { data_dir: "/d" },
  });
  const conf = join(directory, "dnsmasq.conf");
  const loaded = await load([join(directory, "waypost.json")], {
    fragments: [`forwarder { dnsmasq_conf = "${conf}" }`],
  });
  t.same(loaded, {
    ok: false,
    error: [`${conf}:4: recursors: the host name "nowhere.example" cannot be resolved`],
  });
});

t.test("dnsmasq knows no data_dir: the state directory, unless one is given", async (t) => {
  const directory = writeFiles(t, {
    "dnsmasq.conf": "port=5353\n",
    "own.json": { data_dir: "/srv/x" },
  });
  const conf = { forwarder: { dnsmasq_conf: join(directory, "dnsmasq.conf") } };
  const without = await load([], { fragments: [JSON.stringify(conf)] });
  t.ok(without.ok);
  if (without.ok) {
    t.equal(without.value.config.data_dir, "/var/lib/waypost");
    const { warnings } = without.value;
    t.ok(warnings.some((warning) => warning.endsWith("kept in /var/lib/waypost")));
    t.notOk(
      warnings.some((warning) => warning.startsWith("server is")),
      "nor `server`",
    );
  }
  const given = await load([join(directory, "own.json")], { fragments: [JSON.stringify(conf)] });
  t.equal(given.ok && given.value.config.data_dir, "/srv/x");
});

t.test("where state is kept if nobody says where", async (t) => {
  t.equal(stateDirectory({ HOME: "/root", XDG_STATE_HOME: "/s" }, 0), "/var/lib/waypost");
  const env = { HOME: "/users/u" };
  t.equal(stateDirectory({ ...env, STATE_DIRECTORY: "/var/lib/a:/var/lib/b" }, 1000), "/var/lib/a");
  t.equal(stateDirectory({ ...env, XDG_STATE_HOME: "/s" }, 1000), "/s/waypost");
  t.equal(stateDirectory(env, 1000), "/users/u/.local/state/waypost");
  t.equal(stateDirectory({}, 1000), "/var/lib/waypost", "no home, as in containers");
});
