/** Options about who may ask DNS questions, how many, and with what (dns/gate-writer.ts). */
import { isLoopback, parseAddress, type Network } from "../../address.ts";
import { fail, ok, type Result } from "../../base.ts";
import { NETWORKS_MAX } from "../../dns/gate.ts";
import type { GateRules } from "../../dns/gate-writer.ts";
import { describe, row, type Option } from "../kinds.ts";
import { parseNetwork } from "../network.ts";
import type { Config } from "../options.ts";

const reload = { reloadable: true };

/** Networks whose addresses are nobody's on the Internet: RFC 1918, 6598, 3927, 4193, 4291. */
const PRIVATE_NETWORKS = [
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "100.64.0.0/10",
  "169.254.0.0/16",
  "fc00::/7",
  "fe80::/10",
];

/** Rows of the option table, by dotted key. */
export const accessOptions = {
  "dns_access.allow": row(
    "texts",
    [],
    "Networks whose clients are answered; empty: see local_service. Loopback always is.",
    reload,
  ),
  "dns_access.deny": row(
    "texts",
    [],
    "Networks whose clients are refused; where allow has one as well the longer prefix decides.",
    reload,
  ),
  "dns_access.local_service": row(
    "anything",
    "auto",
    "Clients of directly connected networks are answered, others refused: true; false: all are; auto: true unless allow is given.",
    reload,
  ),
  "dns_access.rate_limit": row(
    "integer",
    100,
    "UDP answers per second to one address, of 256 octets each; times 32 for its /24; 0: any number.",
    { min: 0, max: 1_000_000, ...reload },
  ),
  "dns_access.rate_slip": row(
    "integer",
    2,
    "One of so many answers beyond that is sent as TC; 0: none.",
    { min: 0, max: 10, ...reload },
  ),
  "dns_access.rate_exempt": row(
    "texts",
    PRIVATE_NETWORKS,
    "Networks without such a limit, beside loopback and the directly connected ones.",
    reload,
  ),
  "dns_access.cookies": row("boolean", true, "Server cookies beyond loopback (RFC 9018).", reload),
  "dns_access.cookie_secret": row(
    "text",
    "",
    "Their secret: 32 hexadecimal digits, after a comma the one before it; empty: drawn at start.",
    { secret: true, ...reload },
  ),
  "dns_access.edns_payload": row("integer", 1232, "Most octets of a UDP answer beyond loopback.", {
    min: 512,
    max: 4096,
    ...reload,
  }),
} as const satisfies Record<string, Option>;

/** What the options say; the agent adds connected networks, views and a drawn secret. */
export type LoadedAccess = Omit<GateRules, "local" | "views"> & {
  /** Directly connected networks are answered. */
  readonly localService: boolean;
};

type ListKey = "dns_access.allow" | "dns_access.deny" | "dns_access.rate_exempt";

/**
 * The rules and the mistakes found: whole sentences that start with the key. `views`: their networks count
 * with the others.
 */
export function readAccess(
  config: Config,
  views: readonly { clients: readonly Network[] }[],
): { access: LoadedAccess; errors: string[] } {
  const errors: string[] = [];
  const listed = (key: ListKey): Network[] =>
    config[key].flatMap((text) => {
      const parsed = parseAddressOrNetwork(text);
      if (!parsed.ok) errors.push(`${key}: ${parsed.error}`);
      return parsed.ok ? [parsed.value] : [];
    });
  const allow = listed("dns_access.allow");
  const deny = listed("dns_access.deny");
  const exempt = listed("dns_access.rate_exempt");
  for (const text of config["dns_access.deny"])
    if (isLoopback(text.split("/", 1)[0]!))
      errors.push(`dns_access.deny: "${text}" is this machine, which is always answered`);
  const viewed = views.reduce((sum, { clients }) => sum + clients.length, 0);
  const count = allow.length + deny.length + exempt.length + viewed;
  if (count > NETWORKS_MAX)
    errors.push(
      `dns_access: at most ${NETWORKS_MAX} networks in its lists and the clients of forwarder.views, got ${count}`,
    );
  const secrets = parseSecrets(config["dns_access.cookie_secret"]);
  if (!secrets.ok) errors.push(`dns_access.cookie_secret: ${secrets.error}`);
  const word = config["dns_access.local_service"];
  const text = typeof word === "string" ? word.toLowerCase() : word;
  const isAuto = text === "auto";
  const isLocal = isAuto ? allow.length === 0 : text === true || text === "true";
  if (!isAuto && !isLocal && text !== false && text !== "false")
    errors.push(`dns_access.local_service: expected "auto", true or false, got ${describe(word)}`);
  const access: LoadedAccess = {
    allow,
    deny,
    localService: isLocal,
    othersAnswered: allow.length === 0 && !isLocal,
    exempt,
    ratePerSecond: config["dns_access.rate_limit"],
    slip: config["dns_access.rate_slip"],
    payloadOctets: config["dns_access.edns_payload"],
    cookies: config["dns_access.cookies"],
    secrets: secrets.ok ? secrets.value : [],
  };
  return { access, errors };
}

function parseAddressOrNetwork(text: string): Result<Network, string> {
  const octets = parseAddress(text);
  return octets === undefined ? parseNetwork(text) : parseNetwork(`${text}/${octets.length * 8}`);
}

/** The text itself is not repeated: it is a secret. */
function parseSecrets(text: string): Result<Uint8Array[], string> {
  if (text === "") return ok([]);
  const secrets = text.split(",").map((each) => each.trim());
  if (secrets.length > 2 || !secrets.every((each) => /^[0-9a-f]{32}$/i.test(each)))
    return fail("expected 32 hexadecimal digits, or two such secrets separated by a comma");
  return ok(secrets.map((hex) => Uint8Array.from(hex.match(/../g)!, (two) => parseInt(two, 16))));
}
