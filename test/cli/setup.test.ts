/** setup, below a directory that stands for a host's root. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import { parseResolvConf } from "../../src/forwarder/resolvconf.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { runCli } from "./run.ts";

const DROP_IN = "etc/systemd/resolved.conf.d/waypost.conf";
const RESOLV_CONF = "etc/resolv.conf";
const DAEMON = "etc/docker/daemon.json";

/** A root with these files. */
function host(t: Test, files: Readonly<Record<string, string>>) {
  const root = temporaryDirectory(t);
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  for (const [path, text] of Object.entries(files)) put(path, text);
  return {
    root,
    put,
    text: (path: string) => readFileSync(join(root, path), "utf8"),
    has: (path: string) => existsSync(join(root, path)),
    setup: (...args: string[]) => runCli(undefined, ["setup", `-root=${root}`, ...args]),
  };
}

t.test("ask 34: resolved: shown, made, made again, undone", async (t) => {
  const { setup, text, has } = host(t, {});
  const shown = await setup("resolved");
  t.match(shown, { code: 0, err: "" });
  t.match(shown.out, /\+ DNS=127\.0\.0\.1\n.*\+ Domains=~\.\n/s);
  t.match(shown.out, /systemctl restart systemd-resolved/);
  t.notOk(has(DROP_IN), "nothing is touched without -apply");
  t.match(await setup("resolved", "-apply"), { code: 0, err: "" });
  t.match(text(DROP_IN), /^\[Resolve\]\nDNS=127\.0\.0\.1\nDomains=~\.\n$/m);
  t.match(await setup("-apply", "resolved"), { code: 0, out: /^This is done already/ });
  t.match(await setup("-apply", "-address=127.0.0.2", "resolved"), {
    code: 1,
    err: /^An earlier setup of resolved is in force: -undo it first\n$/,
  });
  t.match(await setup("-undo", "resolved"), { code: 0, out: / is as it was\n$/ });
  t.notOk(has(DROP_IN));
  t.match(await setup("-undo", "resolved"), { code: 0, out: "There is nothing to undo.\n" });
});

t.test("resolved: some domains only, another port, IPv6", async (t) => {
  const { setup, text } = host(t, {});
  const args = ["-domain=consul", "-domain=~10.in-addr.arpa", "-address=::1", "-port=8600"];
  t.match(await setup("-apply", ...args, "resolved"), { code: 0, out: /needs systemd 246/ });
  t.match(text(DROP_IN), /^DNS=\[::1\]:8600\nDomains=~consul ~10\.in-addr\.arpa\n/m);
});

t.test(
  "ask 34: resolv.conf: search and options stay, the servers are kept for the agent",
  async (t) => {
    const before =
      "# by hand\nsearch example.test\nnameserver 192.0.2.2\nnameserver 192.0.2.3\noptions ndots:2\n";
    const { setup, text, has, root } = host(t, { [RESOLV_CONF]: before });
    chmodSync(join(root, RESOLV_CONF), 0o640);
    t.match(await setup("-apply", "resolvconf"), { code: 0, err: "" });
    t.same(parseResolvConf(text(RESOLV_CONF)).servers, [{ address: "127.0.0.1", port: 53 }]);
    t.match(text(RESOLV_CONF), /^search example\.test$/m);
    t.match(text(RESOLV_CONF), /^options ndots:2$/m);
    t.equal(lstatSync(join(root, RESOLV_CONF)).mode & 0o777, 0o640);
    t.same(
      parseResolvConf(text("etc/waypost/upstreams.resolv.conf")).servers.map((at) => at.address),
      ["192.0.2.2", "192.0.2.3"],
    );
    t.match(await setup("-apply", "resolvconf"), { code: 0, out: /^This is done already/ });
    t.match(await setup("-undo", "resolvconf"), { code: 0 });
    t.equal(text(RESOLV_CONF), before);
    t.notOk(has("etc/waypost/upstreams.resolv.conf"));
  },
);

t.test("resolv.conf: a symbolic link comes back as one", async (t) => {
  const { setup, root, text } = host(t, { "run/manager/resolv.conf": "nameserver 192.0.2.2\n" });
  mkdirSync(join(root, "etc"));
  symlinkSync("../run/manager/resolv.conf", join(root, RESOLV_CONF));
  t.match(await setup("-apply", "resolvconf"), { code: 0, out: /pointed to \.\.\/run\/manager/ });
  t.notOk(lstatSync(join(root, RESOLV_CONF)).isSymbolicLink());
  t.equal(text("run/manager/resolv.conf"), "nameserver 192.0.2.2\n", "its target is not written");
  t.match(await setup("-undo", "resolvconf"), { code: 0 });
  t.equal(readlinkSync(join(root, RESOLV_CONF)), "../run/manager/resolv.conf");
});

t.test("openresolv: its settings", async (t) => {
  const before = "resolv_conf=/etc/resolv.conf\nname_servers=192.0.2.9\n";
  const { setup, text } = host(t, {
    "etc/resolvconf.conf": before,
    [RESOLV_CONF]: "nameserver 192.0.2.9\n",
  });
  t.match(await setup("-apply", "resolvconf"), { code: 0 });
  t.equal(
    text("etc/resolvconf.conf"),
    "resolv_conf=/etc/resolv.conf\nname_servers=127.0.0.1\ndnsmasq_resolv=/run/waypost-upstreams.resolv.conf\n",
  );
  t.match(await setup("-undo", "resolvconf"), { code: 0 });
  t.equal(text("etc/resolvconf.conf"), before);
});

t.test("docker: only `dns` changes", async (t) => {
  const settings = { "log-driver": "journald", bip: "172.30.0.1/16", dns: ["192.0.2.1"] };
  const before = `${JSON.stringify(settings)}\n`;
  const { setup, text } = host(t, { [DAEMON]: before });
  t.match(await setup("-apply", "docker"), { code: 0, out: /systemctl restart docker/ });
  t.same(JSON.parse(text(DAEMON)), { ...settings, dns: ["172.30.0.1"] });
  t.match(await setup("-undo", "docker"), { code: 0 });
  t.equal(text(DAEMON), before);
});

t.test("what was changed by somebody else since is not overwritten", async (t) => {
  const { setup, put, text } = host(t, { [DAEMON]: "{}" });
  t.match(await setup("-apply", "-address=172.17.0.1", "docker"), { code: 0 });
  put(DAEMON, '{"dns":["192.0.2.77"]}');
  t.match(await setup("-undo", "docker"), { code: 1, err: /was changed by somebody else since/ });
  t.equal(text(DAEMON), '{"dns":["192.0.2.77"]}');
});

t.test("a change that cannot be made leaves nothing half done", async (t) => {
  const { setup, put, text, has } = host(t, { [RESOLV_CONF]: "nameserver 192.0.2.2\n" });
  put("etc/waypost", "a file where a directory should be");
  t.match(await setup("-apply", "resolvconf"), { code: 1, err: /etc\/waypost/ });
  t.equal(text(RESOLV_CONF), "nameserver 192.0.2.2\n");
  t.notOk(has("var/lib/waypost-setup/resolvconf.json"));
});

t.test("what cannot be", async (t) => {
  const { setup } = host(t, { [RESOLV_CONF]: "nameserver 127.0.0.53\n", [DAEMON]: "[1]" });
  const cases: [string[], RegExp][] = [
    [["resolvconf"], /is that of systemd-resolved: use "waypost setup resolved"/],
    [["-port=8600", "resolvconf"], /can only name servers on port 53/],
    [["docker"], /does not hold a JSON object/],
    [["-address=nowhere", "resolved"], /"nowhere" is not an IP address/],
    [["-port=70000", "resolved"], /expected 1 to 65535, got 70000/],
    [["-apply", "-undo", "resolved"], /exclude each other/],
    [["-domain=x", "docker"], /-domain is for resolved only/],
    [["nscd"], /Expected one of resolved, resolvconf, docker, got "nscd"/],
    [[], /Expected one of/],
  ];
  for (const [args, err] of cases) t.match(await setup(...args), { code: 1, err }, args.join(" "));
  const other = host(t, { [RESOLV_CONF]: "nameserver 127.0.0.1\n" });
  t.match(await other.setup("resolvconf"), { code: 1, err: /nothing is left to forward to/ });
  t.match(await other.setup("docker", "-address=127.0.0.1"), { code: 1, err: /cannot reach/ });
});
