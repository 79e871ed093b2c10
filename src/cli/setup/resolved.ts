/** systemd-resolved sends its questions to this agent: a drop-in of resolved.conf(5). */
import { ok } from "../../base.ts";
import { fileLike } from "./change.ts";
import type { MakePlan } from "./plan.ts";

const DROP_IN = "/etc/systemd/resolved.conf.d/waypost.conf";
/** The servers that DHCP and the like told resolved, without its own stub. */
const UPSTREAMS = "/run/systemd/resolve/resolv.conf";

/** `domains`: only names below these; empty: every name. */
export function planResolved(domains: readonly string[]): MakePlan {
  return (host, { address, port }) => {
    const before = host.read(DROP_IN);
    if (!before.ok) return before;
    const shown = address.includes(":") ? `[${address}]` : address;
    const server = port === 53 ? address : `${shown}:${port}`;
    const routes = domains.length === 0 ? ["."] : domains.map((domain) => domain.replace(/^~/, ""));
    const text = `# Written by waypost; "waypost setup -undo resolved" takes it back.
[Resolve]
DNS=${server}
Domains=${routes.map((domain) => `~${domain}`).join(" ")}
`;
    return ok({
      changes: [{ path: DROP_IN, before: before.value, after: fileLike(before.value, text) }],
      commands: [["systemctl", "restart", "systemd-resolved"]],
      notes: [
        `waypost has to listen on ${address} port ${port}; the stub of resolved keeps 127.0.0.53.`,
        ...(domains.length === 0
          ? [
              `Give waypost the servers of the network: "forwarder": {"resolv_conf": "${UPSTREAMS}"}; it leaves out its own address.`,
            ]
          : []),
        ...(port === 53 ? [] : ["A port other than 53 needs systemd 246 or newer."]),
      ],
    });
  };
}
