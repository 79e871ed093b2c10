/** The proxy for a request by HTTP_PROXY, HTTPS_PROXY and NO_PROXY, as Go's http.ProxyFromEnvironment has it. */
import { covers, parseAddress, unmapped, isLoopback, type Network } from "../../../address.ts";
import { fail, ok, type Result } from "../../../base.ts";

/** Variables of the environment; each also in lower case, which counts where the other is empty. */
export type ProxyEnvironment = Readonly<Record<string, string | undefined>>;

/**
 * null: none. localhost and loopback addresses are never asked through one. HTTP_PROXY does not count in
 * a CGI program (REQUEST_METHOD is set), where a client could have set it. Proxies are http:// (also
 * without it) or https://; any other is an error, a sentence.
 */
export function proxyFor(url: URL, env: ProxyEnvironment): Result<URL | null, string> {
  const isTls = url.protocol === "https:";
  const text = variable(env, isTls ? "HTTPS_PROXY" : "HTTP_PROXY");
  if (text === "" || !isProxied(url, variable(env, "NO_PROXY"))) return ok(null);
  if (!isTls && (env["REQUEST_METHOD"] ?? "") !== "")
    return fail(
      "refusing to use HTTP_PROXY value in CGI environment; see golang.org/s/cgihttpproxy",
    );
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  if (!URL.canParse(full)) return fail(`invalid proxy address ${JSON.stringify(text)}`);
  const proxy = new URL(full);
  if (proxy.protocol === "http:" || proxy.protocol === "https:") return ok(proxy);
  return fail(`proxies of the kind ${proxy.protocol}// are not supported`);
}

function variable(env: ProxyEnvironment, name: string): string {
  return env[name] || (env[name.toLowerCase()] ?? "");
}

/**
 * Entries of NO_PROXY: `*`, networks, addresses, domains (the name and all below it; only what is below
 * with a dot or `*.` before it), the last two with `:port` for that port alone.
 */
function isProxied(url: URL, noProxy: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, "").toLowerCase();
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  if (host === "localhost" || isLoopback(host)) return false;
  const address = parseAddress(host);
  return !noProxy
    .toLowerCase()
    .split(",")
    .map((entry) => entry.trim())
    .some((entry) => entry !== "" && isExempt(entry, { host, port, address }));
}

type Asked = { host: string; port: string; address: Uint8Array | undefined };

function isExempt(entry: string, { host, port, address }: Asked): boolean {
  if (entry === "*") return true;
  const network = networkOf(entry);
  if (network !== undefined) return address !== undefined && covers(network, unmapped(address));
  const [, v6, plain = "", only] = /^(?:\[([^\]]*)\]|(.*?))(?::(\d+))?$/.exec(entry) ?? [];
  const isBareV6 = v6 === undefined && parseAddress(entry) !== undefined;
  const name = isBareV6 ? entry : (v6 ?? plain);
  if (!isBareV6 && only !== undefined && only !== port) return false;
  const literal = parseAddress(name);
  if (literal !== undefined)
    return address !== undefined && unmapped(address).join() === unmapped(literal).join();
  const suffix = name.startsWith("*.") ? name.slice(1) : name;
  if (suffix.startsWith(".")) return host.endsWith(suffix);
  return host === suffix || host.endsWith(`.${suffix}`);
}

function networkOf(entry: string): Network | undefined {
  const [, literal = "", bits = ""] = /^(.+)\/(\d{1,3})$/.exec(entry) ?? [];
  const octets = parseAddress(literal);
  if (octets === undefined || Number(bits) > octets.length * 8) return undefined;
  return { octets, prefixLength: Number(bits) };
}
