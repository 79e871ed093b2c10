/** Ports by the names of services, as Go's net.LookupPort finds them: its own few, then /etc/services. */
import { readFileSync } from "node:fs";

type Network = "tcp" | "udp";

/** Known where there is no /etc/services, as in small containers. */
const builtIn = `domain 53/udp domain 53/tcp ftp 21/tcp ftps 990/tcp gopher 70/tcp http 80/tcp https 443/tcp
imap2 143/tcp imap3 220/tcp imaps 993/tcp pop3 110/tcp pop3s 995/tcp smtp 25/tcp submissions 465/tcp ssh 22/tcp
telnet 23/tcp`;

/** By "network/name" in lower case; read once, when a name is first asked for. */
let known: ReadonlyMap<string, number> | undefined;

/** undefined for a name that nobody knows. Upper and lower case are the same. */
export function portOf(name: string, network: Network): number | undefined {
  known ??= readServices();
  return known.get(`${network}/${name.toLowerCase()}`);
}

function readServices(): Map<string, number> {
  const words = builtIn.split(/\s+/);
  const own = words.flatMap((word, i) => (i % 2 === 0 ? [`${word} ${words[i + 1]!}`] : []));
  try {
    return parseServices([...own, ...readFileSync("/etc/services", "utf8").split("\n")]);
  } catch {
    return parseServices(own);
  }
}

/** Lines of services(5): `name port/protocol [aliases...] # comment`. Of two for one name the last counts. */
export function parseServices(lines: readonly string[]): Map<string, number> {
  const ports = new Map<string, number>();
  for (const line of lines) {
    const [name = "", at = "", ...aliases] = line.replace(/#.*/, "").trim().split(/\s+/);
    const [, port = "", network = ""] = /^(\d{1,5})\/([a-z]+)$/.exec(at) ?? [];
    if (port === "" || Number(port) === 0 || Number(port) > 65_535) continue;
    for (const each of [name, ...aliases])
      ports.set(`${network}/${each.toLowerCase()}`, Number(port));
  }
  return ports;
}
