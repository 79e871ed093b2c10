/** How a command reaches its agent: flags, then WAYPOST_* and CONSUL_* variables, then the default. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openClient, HttpFailure, type HttpClient } from "./client.ts";
import { parseBoolean } from "../boolean.ts";
import { fileReason } from "../file-reason.ts";
import { flag, type FlagValues } from "./flags.ts";
import type { World } from "./world.ts";

/** Flags of every command that talks to an agent. */
export const httpFlags = {
  "http-addr": flag.text(
    "Address of the agent: HOST:PORT, http://…, https://… or unix://PATH. Variable: WAYPOST_HTTP_ADDR or CONSUL_HTTP_ADDR. Default: http://127.0.0.1:8500.",
    { placeholder: "address" },
  ),
  token: flag.text("ACL token. Variable: WAYPOST_HTTP_TOKEN or CONSUL_HTTP_TOKEN."),
  "token-file": flag.text(
    "File with the ACL token. Variable: WAYPOST_HTTP_TOKEN_FILE or CONSUL_HTTP_TOKEN_FILE.",
    { placeholder: "path", isPath: true },
  ),
  datacenter: flag.text("Datacenter to ask; the agent's own if it is not given."),
  namespace: flag.text("Only default: namespaces are a part of Consul Enterprise."),
  partition: flag.text("Only default: partitions are a part of Consul Enterprise."),
  stale: flag.boolean("Let any server answer, not only the leader."),
  "ca-file": flag.text(
    "PEM file of the authorities to trust. Variable: WAYPOST_CACERT or CONSUL_CACERT.",
    {
      placeholder: "path",
      isPath: true,
    },
  ),
  "ca-path": flag.text(
    "Directory of PEM files of authorities to trust. Variable: WAYPOST_CAPATH or CONSUL_CAPATH.",
    { placeholder: "path", isPath: true },
  ),
  "client-cert": flag.text(
    "PEM file of the client's certificate. Variable: WAYPOST_CLIENT_CERT or CONSUL_CLIENT_CERT.",
    { placeholder: "path", isPath: true },
  ),
  "client-key": flag.text(
    "PEM file of the client's key. Variable: WAYPOST_CLIENT_KEY or CONSUL_CLIENT_KEY.",
    { placeholder: "path", isPath: true },
  ),
  "tls-server-name": flag.text(
    "Name that the server's certificate must have. Variable: WAYPOST_TLS_SERVER_NAME or CONSUL_TLS_SERVER_NAME.",
  ),
};

/** The type of `httpFlags`. */
export type HttpFlags = typeof httpFlags;

/** A client as flags and environment ask for it. Throws HttpFailure that names what cannot be read. */
export function createClient(flags: FlagValues<HttpFlags>, world: World): HttpClient {
  const variable = (name: string) =>
    world.env[`WAYPOST_${name}`] || world.env[`CONSUL_${name}`] || "";
  refuseTenancy("Namespaces", flags.namespace || variable("NAMESPACE"));
  refuseTenancy("Partitions", flags.partition || variable("PARTITION"));
  const isTls = parseBoolean(variable("HTTP_SSL")) === true;
  const address = flags["http-addr"] || variable("HTTP_ADDR") || "127.0.0.1:8500";
  const caFile = flags["ca-file"] || variable("CACERT");
  const caPath = flags["ca-path"] || variable("CAPATH");
  const cert = flags["client-cert"] || variable("CLIENT_CERT");
  const key = flags["client-key"] || variable("CLIENT_KEY");
  const verify = variable("HTTP_SSL_VERIFY");
  const ca = [
    ...(caFile === "" ? [] : [readCertificates(caFile)]),
    ...(caPath === "" ? [] : readAll(caPath)),
  ];
  if ((cert === "") !== (key === ""))
    throw new HttpFailure(0, "both client cert and client key must be provided");
  return openClient({
    address: /^\w+:\/\//.test(address) || !isTls ? address : `https://${address}`,
    token: tokenOf(flags, variable),
    basicAuth: variable("HTTP_AUTH"),
    datacenter: flags.datacenter,
    stale: flags.stale,
    tls: {
      ...(ca.length === 0 ? {} : { ca }),
      ...(cert === "" ? {} : { cert: read(cert) }),
      ...(key === "" ? {} : { key: read(key) }),
      servername: flags["tls-server-name"] || variable("TLS_SERVER_NAME"),
      rejectUnauthorized: verify === "" || parseBoolean(verify) === true,
    },
  });
}

/** What was meant for another namespace must not be done in the only one there is. */
function refuseTenancy(what: string, name: string): void {
  if (name === "" || name.toLowerCase() === "default") return;
  throw new HttpFailure(
    0,
    `${what} are a Consul Enterprise feature: there is no ${JSON.stringify(name)}`,
  );
}

/** What was said closer to the command wins: flag, flag's file, variable, variable's file. */
function tokenOf(flags: FlagValues<HttpFlags>, variable: (name: string) => string): string {
  if (flags.token !== "") return flags.token;
  if (flags["token-file"] !== "") return read(flags["token-file"]).trim();
  const token = variable("HTTP_TOKEN");
  const file = variable("HTTP_TOKEN_FILE");
  return token !== "" || file === "" ? token : read(file).trim();
}

function read(path: string): string {
  return attemptRead(path, () => readFileSync(path, "utf8"));
}

/** Of a file without one the TLS library would take nothing, and say nothing. */
function readCertificates(path: string): string {
  const text = read(path);
  if (!text.includes("-----BEGIN CERTIFICATE-----"))
    throw new HttpFailure(0, `Error loading CA File: Couldn't parse PEM in: ${path}`);
  return text;
}

function readAll(directory: string): string[] {
  return attemptRead(directory, () => readdirSync(directory).toSorted()).map((name) =>
    readCertificates(join(directory, name)),
  );
}

function attemptRead<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new HttpFailure(0, `Error connecting to the agent: ${fileReason(error, path)}`);
  }
}
