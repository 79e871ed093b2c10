/** Containers ask this agent: `dns` of Docker's daemon.json. */
import { fail, ok } from "../../base.ts";
import { isObject } from "../../config/kinds.ts";
import { fileLike } from "./change.ts";
import type { MakePlan } from "./plan.ts";

const DAEMON = "/etc/docker/daemon.json";
const BRIDGE = "docker0";

/** `given` false: the address of Docker's bridge, since containers cannot reach the host's loopback. */
export function planDocker(given: boolean): MakePlan {
  return (host, listener) => {
    if (listener.port !== 53) return fail("Docker can only name servers on port 53");
    const before = host.read(DAEMON);
    if (!before.ok) return before;
    if (before.value.kind === "link")
      return fail(
        `${DAEMON} is a symbolic link to ${before.value.target}: change that file by hand`,
      );
    const settings = parse(before.value.kind === "file" ? before.value.text : "{}");
    if (settings === undefined)
      return fail(`${DAEMON} does not hold a JSON object; Docker would refuse it too`);
    const bridge = bridgeAddress(settings) ?? host.interfaceAddress(BRIDGE);
    const address = given ? listener.address : bridge;
    if (address === undefined)
      return fail(`there is no interface ${BRIDGE} and no "bip" in ${DAEMON}: give -address`);
    if (/^127\.|^::1$/.test(address))
      return fail(`containers cannot reach ${address}: give the address of the bridge`);
    const text = `${JSON.stringify({ ...settings, dns: [address] }, null, 2)}\n`;
    return ok({
      changes: [{ path: DAEMON, before: before.value, after: fileLike(before.value, text) }],
      commands: [],
      notes: [
        `Docker reads this at its start: systemctl restart docker. Containers that run keep what they have.`,
        `waypost has to listen on ${address} port 53, also when the bridge appears after it: "dns_listen": {"interfaces": ["lo", "${BRIDGE}"], "dynamic": true}.`,
      ],
    });
  };
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text.trim() === "" ? "{}" : text);
    return isObject(value) && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** The bridge's own address stands first in `bip`, before the length of the prefix. */
function bridgeAddress(settings: Record<string, unknown>): string | undefined {
  const bip = settings["bip"];
  return typeof bip === "string" ? bip.split("/")[0] : undefined;
}
