/** Which listeners get a certificate, and what is said where one is missing. */
import { ok, type Result } from "../base.ts";
import type { HttpAddress, HttpsIdentity } from "../ports.ts";
import type { Addresses } from "./addresses.ts";
import type { Config } from "./options.ts";
import type { Layer } from "./read.ts";
import { loadIdentity } from "./tls.ts";

/**
 * Consul opens HTTPS without certificate and key as well, and no client can shake hands there. The
 * test servers of its own client libraries are configured so.
 */
export function withoutBareHttps(
  config: Config,
  addresses: Result<Addresses, string[]>,
  warnings: string[],
): Result<Addresses, string[]> {
  const isBare = config["tls.https.cert_file"] === "" && config["tls.https.key_file"] === "";
  const isSecured = config["tls.https.verify_incoming"] || config.verify_incoming_https;
  if (!addresses.ok || addresses.value.https.length === 0 || !isBare || isSecured) return addresses;
  warnings.push("ports.https is set without a certificate: HTTPS is not offered");
  return ok({ ...addresses.value, https: [] });
}

/** Certificates of the listeners that are on; mistakes go to `errors`. */
export function findIdentities(
  merged: Layer,
  config: Config,
  { https, dnsTls, dnsHttps }: Addresses,
  errors: string[],
): { https: HttpsIdentity | undefined; dnsTls: HttpsIdentity | undefined } {
  const find = (scope: Parameters<typeof loadIdentity>[0], listening: readonly HttpAddress[]) => {
    if (listening.length === 0) return undefined;
    const identity = loadIdentity(scope, config, (key) => merged.values.has(key));
    if (!identity.ok) errors.push(...identity.error);
    return identity.ok ? identity.value : undefined;
  };
  return {
    https: find("tls.https", https),
    dnsTls: find("tls.dns", [...dnsTls, ...dnsHttps]),
  };
}
