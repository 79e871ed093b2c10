/** The C library asks this agent: /etc/resolv.conf itself, or what openresolv makes it from. */
import { fail, ok, type Result } from "../../base.ts";
import { fileLike, type FileState } from "./change.ts";
import type { MakePlan, Plan } from "./plan.ts";

const RESOLV_CONF = "/etc/resolv.conf";
const OPENRESOLV = "/etc/resolvconf.conf";
/** Where the servers stand that the host asked before. */
const UPSTREAMS = "/etc/waypost/upstreams.resolv.conf";
/** openresolv writes the servers of the interfaces there, for our use. */
const OPENRESOLV_UPSTREAMS = "/run/waypost-upstreams.resolv.conf";

/** With openresolv its settings are changed, else the file. */
export const planResolvconf: MakePlan = (host, { address, port }) => {
  if (port !== 53) return fail("resolv.conf can only name servers on port 53");
  const settings = host.read(OPENRESOLV);
  if (!settings.ok) return settings;
  if (settings.value.kind === "file") return ok(planOpenresolv(settings.value, address));
  const before = host.read(RESOLV_CONF);
  if (!before.ok) return before;
  const text = host.follow(RESOLV_CONF);
  if (text === undefined) return fail(`there is no ${RESOLV_CONF} that can be read`);
  return planFile(host.read, before.value, text, address);
};

function planFile(
  read: (path: string) => Result<FileState, string>,
  before: FileState,
  text: string,
  address: string,
): Result<Plan, string> {
  const servers = serversOf(text);
  const others = servers.filter((server) => server !== address);
  if (servers.includes("127.0.0.53"))
    return fail(
      `${RESOLV_CONF} is that of systemd-resolved: use "waypost setup resolved", which keeps it`,
    );
  if (others.length === 0)
    return fail(
      `${RESOLV_CONF} names no other server than ${address}: nothing is left to forward to`,
    );
  const upstreams = read(UPSTREAMS);
  if (!upstreams.ok) return upstreams;
  // What else is said there (search, options) holds for clients as before.
  const rest = text.split("\n").filter((line) => !/^\s*nameserver\b/.test(line));
  const after = [
    `# Written by waypost; "waypost setup -undo resolvconf" takes it back.`,
    `nameserver ${address}`,
    ...rest.filter((line) => line.trim() !== ""),
    "",
  ].join("\n");
  const kept = `${others.map((server) => `nameserver ${server}`).join("\n")}\n`;
  return ok({
    changes: [
      { path: UPSTREAMS, before: upstreams.value, after: fileLike(upstreams.value, kept) },
      { path: RESOLV_CONF, before, after: fileLike(before, after) },
    ],
    commands: [],
    notes: [
      `waypost has to listen on ${address} port 53.`,
      `Give waypost the servers that stood there: "forwarder": {"resolv_conf": "${UPSTREAMS}"}.`,
      ...(before.kind === "link"
        ? [`${RESOLV_CONF} pointed to ${before.target}: what writes that file may point it back.`]
        : []),
    ],
  });
}

/** As they stand there, resolv.conf(5): whoever reads the copy judges them. */
function serversOf(text: string): string[] {
  return text.split("\n").flatMap((line) => {
    const [keyword, server] = line.trim().split(/\s+/);
    return keyword === "nameserver" && server !== undefined ? [server] : [];
  });
}

function planOpenresolv(before: FileState & { kind: "file" }, address: string): Plan {
  const kept = before.text
    .split("\n")
    .filter((line) => !/^\s*(name_servers|dnsmasq_resolv)\s*=/.test(line) && line !== "");
  const text = [
    ...kept,
    `name_servers=${address}`,
    `dnsmasq_resolv=${OPENRESOLV_UPSTREAMS}`,
    "",
  ].join("\n");
  return {
    changes: [{ path: OPENRESOLV, before, after: fileLike(before, text) }],
    commands: [["resolvconf", "-u"]],
    notes: [
      `waypost has to listen on ${address} port 53.`,
      `Give waypost the servers of the interfaces, which openresolv writes for it: "forwarder": {"resolv_conf": "${OPENRESOLV_UPSTREAMS}"}.`,
    ],
  };
}
