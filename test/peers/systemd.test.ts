/** The shipped units under a real systemd, and the resolvers of a host that `waypost setup` points here. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { runInMachine, whyNoMachine } from "./machine.ts";
import { hasFile, hasPeer } from "./peer.ts";

const shipped = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../../config/${name}`, import.meta.url)), "utf8");

const edge = JSON.parse(shipped("edge.json")) as Record<string, unknown>;

const files = {
  "etc/systemd/system/waypost.service": shipped("waypost.service"),
  "etc/systemd/system/waypost.socket": shipped("waypost.socket"),
  "etc/resolv.conf": "nameserver 192.0.2.9\n",
  "etc/waypost/edge.json": JSON.stringify({ ...edge, node_name: "n1" }),
};

/** Words of the scripts: a line "== name" begins what is read of a step. */
const words = `
step() { echo "== $*"; }
failed() { echo "not so: $1"; journalctl -q --no-pager -o cat -n 40 -u 'waypost*' -u systemd-resolved; exit 1; }
soon() { for i in $(seq 1 400); do eval "$1" && return; sleep 0.1; done; failed "$1"; }
start() { systemctl start "$@" || failed "start $*"; }
main() { systemctl show -p MainPID --value waypost; }
restarts() { systemctl show -p NRestarts --value waypost; }
processes() { wc -l </sys/fs/cgroup/system.slice/waypost.service/cgroup.procs; }
ask() { dig +short +tries=1 +time=10 "$@"; }
usr1() { systemctl kill --kill-whom=main --signal=USR1 waypost; }
says() { journalctl -q --no-pager -o cat -u waypost | grep -c "$1"; }
register() { curl -sf -X PUT -d '{"Name":"web","Address":"192.0.2.80","Port":80}' 127.0.0.1:8500/v1/agent/service/register; }
`;

/** What each step printed, without the last line break; a comment with everything where that is empty. */
async function steps(
  t: Test,
  script: string,
  packages: readonly string[] = [],
): Promise<Record<string, string> | undefined> {
  const reason =
    whyNoMachine() ??
    (["dig", "curl", "dnsperf"].every(hasPeer) ? undefined : "it needs dig, curl and dnsperf");
  if (reason !== undefined) {
    t.pass(`skipped: ${reason}`);
    return undefined;
  }
  const output = await runInMachine(t, { files, packages, script: words + script });
  if (output === undefined) {
    t.pass("skipped: systemd cannot run in namespaces here");
    return undefined;
  }
  const said: Record<string, string> = {};
  for (const part of output.split(/^== /m).slice(1)) {
    const end = part.indexOf("\n");
    said[part.slice(0, end)] = part.slice(end + 1).trimEnd();
  }
  t.notMatch(output, /not so:/, output);
  return said;
}

t.test(
  "waypost.service: sandbox, takeover, reload, restart, stop",
  { timeout: 180_000 },
  async (t) => {
    const said = await steps(
      t,
      `
step start
start waypost; systemctl is-active waypost
step rights
awk '/^(Uid|CapEff|NoNewPrivs|Seccomp):/ { print $1, $2 }' /proc/$(main)/status
step answers
register; ask @127.0.0.1 web.service.consul; ask +tcp @127.0.0.1 web.service.consul

step takeover
echo "web.service.consul A" >/tmp/questions
dnsperf -s 127.0.0.1 -d /tmp/questions -Q 3000 -l 6 -t 2 >/tmp/dnsperf &
load=$!
for i in 1 2; do
  before=$(main); sleep 0.5; usr1
  soon '[ "$(main)" != '$before' ]'; soon '[ "$(processes)" = 1 ]'
done
wait $load
sed -n 's/^ *Queries \\(sent\\|lost\\): *\\([0-9]*\\).*/\\1 \\2/p' /tmp/dnsperf
step after takeover
systemctl is-active waypost; restarts; ask @127.0.0.1 web.service.consul

step reload
sed -i 's/"client_addr":"127.0.0.1"/"client_addr":"127.0.0.1","addresses":{"dns":"127.0.0.1 127.0.0.2"}/' /etc/waypost/edge.json
systemctl reload waypost && soon 'ask @127.0.0.2 web.service.consul >/dev/null'
ask @127.0.0.2 web.service.consul
step mistake
cp /etc/waypost/edge.json /tmp/edge.json; echo '{' >/etc/waypost/edge.json
before=$(main)
systemctl reload waypost; soon '[ $(says "not reloaded\\|reload") -ge 2 ]'
usr1; soon '[ $(says "the successor ended") = 1 ]'
[ "$(main)" = "$before" ] && echo "the same runs"; systemctl is-active waypost
ask @127.0.0.1 web.service.consul
cp /tmp/edge.json /etc/waypost/edge.json

step kill
before=$(main); kill -9 $before
soon '[ "$(restarts)" = 1 ] && [ "$(systemctl is-active waypost)" = active ]'
ask @127.0.0.1 web.service.consul
step kill of a successor
before=$(main); usr1; soon '[ "$(main)" != '$before' ]'; soon '[ "$(processes)" = 1 ]'
kill -9 $(main); soon '[ "$(restarts)" = 2 ] && [ "$(systemctl is-active waypost)" = active ]'
ask @127.0.0.1 web.service.consul

step watchdog
mkdir -p /run/systemd/system/waypost.service.d
printf '[Service]\\nWatchdogSec=3\\n' >/run/systemd/system/waypost.service.d/watchdog.conf
systemctl daemon-reload; systemctl restart waypost; sleep 4; restarts
before=$(main); usr1; soon '[ "$(main)" != '$before' ]'; sleep 4; restarts
kill -STOP $(main); soon '[ "$(restarts)" = 1 ] && [ "$(systemctl is-active waypost)" = active ]'
ask @127.0.0.1 web.service.consul

step stop
systemctl stop waypost; systemctl is-active waypost
systemctl show -p Result --value waypost
step left
ss -lntuH | grep -E ':(53|8500) ' | wc -l; ls /var/lib/waypost | grep handover
step trouble
journalctl -q --no-pager -o cat -u waypost | grep -E 'ERROR|only permitted|SIGSYS' | grep -v 'successor ended\\|reload'
`,
    );
    if (said === undefined) return;
    t.equal(said["start"], "active");
    const rights = said["rights"] ?? "";
    const uid = Number(/^Uid: (\d+)$/m.exec(rights)?.[1]);
    t.ok(uid >= 61_184 && uid <= 65_519, `a user of its own (DynamicUser): ${uid}`);
    t.match(rights, /CapEff: 0000000000000400$/m, "to bind port 53, nothing else");
    t.match(rights, /NoNewPrivs: 1\nSeccomp: 2$/);
    const web = "192.0.2.80";
    t.equal(said["answers"], `true\n${web}\n${web}`.replace("true\n", ""));
    const [sent = 0, lost] = [...(said["takeover"] ?? "").matchAll(/\d+/g)].map(Number);
    t.ok(sent > 6_000, `${sent} questions at 3000/s`);
    t.equal(lost, 0, "none is lost in two takeovers");
    t.equal(said["after takeover"], `active\n0\n${web}`, "systemd follows MAINPID");
    t.equal(said["reload"], web);
    t.equal(said["mistake"], `the same runs\nactive\n${web}`);
    t.equal(said["kill"], web);
    t.equal(said["kill of a successor"], web, "systemd sees its end too");
    t.equal(said["watchdog"], `0\n0\n${web}`, "one that hangs is started anew, and only that");
    t.equal(said["stop"], "inactive\nsuccess");
    t.equal(said["left"], "0");
    t.equal(said["trouble"], "");
  },
);

t.test("waypost.socket: port 53 belongs to systemd", { timeout: 180_000 }, async (t) => {
  const said = await steps(
    t,
    `
sed -i '/CAP_NET_BIND_SERVICE/d' /etc/systemd/system/waypost.service
printf '[Service]\\nCapabilityBoundingSet=\\n' >/etc/systemd/system/waypost.service.d.conf
start waypost.socket
step before
systemctl is-active waypost
step first question
dig +short +tries=1 +time=15 @127.0.0.1 n1.node.consul
register
step rights
systemctl is-active waypost; awk '/^CapEff:/ { print $2 }' /proc/$(main)/status
step over TCP
ask +tcp @127.0.0.1 web.service.consul
step takeover
before=$(main); usr1; soon '[ "$(main)" != '$before' ]'; soon '[ "$(processes)" = 1 ]'
ask @127.0.0.1 web.service.consul; ask +tcp @127.0.0.1 web.service.consul
step restart under load
echo "web.service.consul A" >/tmp/questions
dnsperf -s 127.0.0.1 -d /tmp/questions -Q 100 -l 5 -t 15 >/tmp/dnsperf &
load=$!
sleep 1; systemctl restart waypost; wait $load
sed -n 's/^ *Queries \\(sent\\|lost\\): *\\([0-9]*\\).*/\\1 \\2/p' /tmp/dnsperf
systemctl is-active waypost waypost.socket
`,
  );
  if (said === undefined) return;
  t.equal(said["before"], "inactive");
  t.match(
    said["first question"],
    /^\d+\.\d+\.\d+\.\d+$/,
    "the first question starts it, and is answered",
  );
  t.equal(said["rights"], "active\n0000000000000000");
  t.equal(said["over TCP"], "192.0.2.80");
  t.equal(said["takeover"], "192.0.2.80\n192.0.2.80");
  t.match(
    said["restart under load"],
    /^sent [2-5]\d\d\nlost 0\nactive\nactive$/,
    "questions wait while it restarts",
  );
});

/**
 * With a package that is fetched by test/peers/install.sh and not installed: each would take over
 * /etc/resolv.conf, and they exclude each other.
 */
async function stepsWith(t: Test, name: string, script: string) {
  const path = `/var/cache/waypost-peers/${name}.deb`;
  if (hasFile(path)) return steps(t, setup + script, [path]);
  t.pass(`skipped: it needs ${name}, which test/peers/install.sh fetches`);
  return undefined;
}

const setup = `setup() { /opt/waypost/bin/waypost setup "$@" >/dev/null || failed "setup $*"; }\n`;

t.test("waypost setup: systemd-resolved", { timeout: 180_000 }, async (t) => {
  const said = await stepsWith(
    t,
    "systemd-resolved",
    `
start waypost systemd-resolved; register
step only the domain
setup -apply -domain consul resolved
soon 'ask @127.0.0.53 web.service.consul | grep -q .'; ask @127.0.0.53 web.service.consul
dig @127.0.0.53 www.example.com | grep -o 'status: [A-Z]*'
step undone
setup -undo resolved; ls /etc/systemd/resolved.conf.d 2>/dev/null; dig +time=1 +tries=1 @127.0.0.53 web.service.consul | grep -c 192.0.2.80
step all names
setup -apply resolved; soon 'ask @127.0.0.53 web.service.consul | grep -q .'
ask @127.0.0.53 web.service.consul; ask -x 192.0.2.80 @127.0.0.53; setup -undo resolved
`,
  );
  if (said === undefined) return;
  t.equal(said["only the domain"], "192.0.2.80\nstatus: SERVFAIL", "all other names go elsewhere");
  t.equal(said["undone"], "0");
  t.equal(said["all names"], "192.0.2.80\nweb.service.dc1.consul.");
});

t.test("waypost setup: openresolv", { timeout: 180_000 }, async (t) => {
  const said = await stepsWith(
    t,
    "openresolv",
    `
start waypost; register
step openresolv
echo "nameserver 192.0.2.53" | resolvconf -a eth0
setup -apply resolvconf
grep nameserver /etc/resolv.conf; grep nameserver /run/waypost-upstreams.resolv.conf; ask web.service.consul
step another interface
echo "nameserver 192.0.2.54" | resolvconf -a eth1
grep nameserver /etc/resolv.conf; grep nameserver /run/waypost-upstreams.resolv.conf
step openresolv undone
setup -undo resolvconf; grep nameserver /etc/resolv.conf
`,
  );
  if (said === undefined) return;
  t.equal(
    said["openresolv"],
    "nameserver 127.0.0.1\nnameserver 192.0.2.53\n192.0.2.80",
    "the servers of the interface are kept for waypost",
  );
  t.equal(
    said["another interface"],
    "nameserver 127.0.0.1\nnameserver 192.0.2.53\nnameserver 192.0.2.54",
  );
  t.equal(said["openresolv undone"], "nameserver 192.0.2.53\nnameserver 192.0.2.54");
});
