import { parseKey } from "../cluster/keyring.ts";
import { metadataProblem } from "../cluster/metadata.ts";
import { isUuid } from "../cluster/uuid.ts";
import { parsePortRange } from "./forwarder/port-range.ts";
import { parseNetwork } from "./network.ts";
import type { Config } from "./options.ts";

/**
 * The rules that go beyond one value (Consul 1.10 `agent/config/builder.go` has the same).
 * Returns whole sentences; empty if all is well.
 */
export function brokenRules(config: Config, dev: boolean): string[] {
  const rules: [broken: boolean, problem: string][] = [
    [config.node_name === "", "node_name cannot be empty"],
    [config.datacenter === "", "datacenter cannot be empty"],
    [
      !/^[a-z0-9_-]*$/.test(config.datacenter),
      "datacenter can only contain lowercase alphanumeric, - or _ characters.",
    ],
    [
      config.node_id !== "" && !isUuid(config.node_id),
      `node_id: "${config.node_id}" is not a UUID`,
    ],
    [config.bootstrap && dev, "'bootstrap = true' not allowed in dev mode"],
    [config.bootstrap_expect > 0 && dev, "'bootstrap_expect > 0' not allowed in dev mode"],
    [config.bootstrap && !config.server, "'bootstrap = true' requires 'server = true'"],
    [
      config.bootstrap_expect > 0 && !config.server,
      "'bootstrap_expect > 0' requires 'server = true'",
    ],
    [
      config.bootstrap && config.bootstrap_expect > 0,
      "'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive",
    ],
    [
      config.encrypt !== "" && !parseKey(config.encrypt).ok,
      "encrypt: the key must be 16, 24 or 32 octets in base64",
    ],
  ];
  const problems = rules.filter(([broken]) => broken).map(([, problem]) => problem);
  const meta = metadataProblem(config.node_meta);
  if (meta !== undefined) problems.push(`node_meta: ${meta}`);
  for (const network of config["http_config.allow_write_http_from"]) {
    const parsed = parseNetwork(network);
    if (!parsed.ok) problems.push(`http_config.allow_write_http_from: ${parsed.error}`);
  }
  if (!/^[0-7]{0,4}$/.test(config["unix_sockets.mode"]))
    problems.push(`unix_sockets.mode: invalid mode specified: ${config["unix_sockets.mode"]}`);
  const ports = parsePortRange(config["forwarder.port_range"]);
  if (!ports.ok) problems.push(`forwarder.port_range: ${ports.error}`);
  for (const origin of config["http_config.allowed_origins"])
    if (origin !== "*" && originOf(origin) !== origin.toLowerCase())
      problems.push(
        `http_config.allowed_origins: "${origin}" is not an origin such as https://ui.example.com`,
      );
  return [...problems, ...domainProblems(config)];
}

function originOf(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { protocol, host } = new URL(text);
  return `${protocol}//${host}`;
}

function domainProblems({ domain, alt_domain, datacenter }: Config): string[] {
  const problems: string[] = [];
  for (const [key, name] of [
    ["domain", domain],
    ["alt_domain", alt_domain],
  ] as const)
    if (name !== "" && !isDomain(name)) problems.push(`${key}: "${name}" is not a domain name`);
  const words = ["service", "connect", "node", "query", "addr", datacenter];
  if (words.some((word) => alt_domain.startsWith(`${word}.`)))
    problems.push(`alt_domain cannot start with {service,connect,node,query,addr,${datacenter}}`);
  return problems;
}

/** A fully qualified name (final dot) of labels of 1 to 63 octets, 253 in all. */
function isDomain(name: string): boolean {
  const labels = name.slice(0, -1).split(".");
  return name.length <= 254 && labels.every((label) => /^[a-z0-9_-]{1,63}$/.test(label));
}
