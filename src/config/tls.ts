/** Certificates, keys and certificate authorities of listeners: read, checked, and named in errors. */
import { createPrivateKey, X509Certificate, type KeyObject } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fail, ok, type Result } from "../base.ts";
import type { AgentTls } from "../cluster/checks/dial/driver.ts";
import type { HttpsIdentity } from "../ports.ts";
import { readText } from "./files.ts";
import type { Config, UsedKey } from "./options.ts";

/** Keys that take their value from another one when a configuration does not give them (Consul 1.12). */
export const inheritedKeys: Readonly<Partial<Record<UsedKey, UsedKey>>> = {
  "tls.dns.cert_file": "tls.defaults.cert_file",
  "tls.dns.key_file": "tls.defaults.key_file",
  "tls.dns.ca_file": "tls.defaults.ca_file",
  "tls.dns.ca_path": "tls.defaults.ca_path",
  "tls.dns.verify_incoming": "tls.defaults.verify_incoming",
  "tls.dns.tls_min_version": "tls.defaults.tls_min_version",
  "tls.dns.tls_cipher_suites": "tls.defaults.tls_cipher_suites",
  "tls.https.cert_file": "tls.defaults.cert_file",
  "tls.https.key_file": "tls.defaults.key_file",
  "tls.https.ca_file": "tls.defaults.ca_file",
  "tls.https.ca_path": "tls.defaults.ca_path",
  "tls.https.verify_incoming": "tls.defaults.verify_incoming",
  "tls.https.tls_min_version": "tls.defaults.tls_min_version",
  "tls.https.tls_cipher_suites": "tls.defaults.tls_cipher_suites",
};

/** Go's names of the suites that this TLS library has too. Suites of TLS 1.3 cannot be chosen, as in Go. */
const cipherNames: Readonly<Record<string, string>> = {
  TLS_RSA_WITH_AES_128_CBC_SHA: "AES128-SHA",
  TLS_RSA_WITH_AES_256_CBC_SHA: "AES256-SHA",
  TLS_RSA_WITH_AES_128_GCM_SHA256: "AES128-GCM-SHA256",
  TLS_RSA_WITH_AES_256_GCM_SHA384: "AES256-GCM-SHA384",
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: "ECDHE-ECDSA-AES128-SHA",
  TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: "ECDHE-ECDSA-AES256-SHA",
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: "ECDHE-RSA-AES128-SHA",
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA: "ECDHE-RSA-AES256-SHA",
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "ECDHE-ECDSA-AES128-GCM-SHA256",
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: "ECDHE-ECDSA-AES256-GCM-SHA384",
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: "ECDHE-RSA-AES128-GCM-SHA256",
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: "ECDHE-RSA-AES256-GCM-SHA384",
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305: "ECDHE-RSA-CHACHA20-POLY1305",
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-RSA-CHACHA20-POLY1305",
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305: "ECDHE-ECDSA-CHACHA20-POLY1305",
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
};

/** Listeners with a certificate of their own, and what needs it. */
const listeners = {
  "tls.https": "ports.https: HTTPS",
  "tls.dns": "ports.dns_tls, ports.dns_https: DNS over TLS",
} as const;

/**
 * The identity of listeners. Errors are sentences that begin with the key; `isGiven` tells whether a
 * configuration gives the key itself, so that the error names what was written.
 */
export function loadIdentity(
  scope: keyof typeof listeners,
  config: Config,
  isGiven: (key: UsedKey) => boolean,
): Result<HttpsIdentity, string[]> {
  const errors: string[] = [];
  const nameOf = (key: UsedKey) => (isGiven(key) ? key : (inheritedKeys[key] ?? key));
  const pair = readPair(scope, { config, nameOf, needs: listeners[scope] }, errors);
  const ca = authorities(scope, { config, nameOf }, errors);
  const verifyIncoming =
    config[`${scope}.verify_incoming`] || (scope === "tls.https" && config.verify_incoming_https);
  if (verifyIncoming && ca.length === 0 && errors.length === 0)
    errors.push(
      `${nameOf(`${scope}.verify_incoming`)}: VerifyIncoming set, and no CA certificate provided!`,
    );
  const ciphers = cipherList(config[`${scope}.tls_cipher_suites`]);
  if (!ciphers.ok) errors.push(`${nameOf(`${scope}.tls_cipher_suites`)}: ${ciphers.error}`);
  if (errors.length > 0 || pair === undefined || !ciphers.ok) return fail(errors);
  const minor = Number(config[`${scope}.tls_min_version`].at(-1));
  return ok({
    ...pair,
    ca,
    verifyIncoming,
    minVersion: 0x0301 + minor,
    ciphers: ciphers.value,
  });
}

/**
 * What checks show and trust with `enable_agent_tls_for_checks`: the agent's own certificate, if it
 * has one, and its authorities. undefined while that is off. Errors as of loadIdentity.
 */
export function loadCheckTls(config: Config): Result<AgentTls | undefined, string[]> {
  if (!config.enable_agent_tls_for_checks) return ok(undefined);
  const errors: string[] = [];
  const from = { config, nameOf: (key: UsedKey) => key, needs: "enable_agent_tls_for_checks" };
  const isBare = config["tls.defaults.cert_file"] === "" && config["tls.defaults.key_file"] === "";
  const identity = isBare ? undefined : readPair("tls.defaults", from, errors);
  const ca = authorities("tls.defaults", from, errors);
  if (errors.length > 0) return fail(errors);
  return ok({ identity, ca, serverName: config.server_name || config.node_name });
}

/** The authorities of `forwarder.tls_ca_file`, beside the system's. Errors as of loadIdentity. */
export function loadUpstreamAuthorities(config: Config): Result<readonly string[], string[]> {
  const key = "forwarder.tls_ca_file";
  const errors: string[] = [];
  const found = config[key] === "" ? [] : certificatesOf(key, config[key], errors);
  return errors.length > 0 ? fail(errors) : ok(found);
}

/** The part of the configuration that names the files. */
type Scope = keyof typeof listeners | "tls.defaults";

type KeyNames = { config: Config; nameOf: (key: UsedKey) => UsedKey };

/** Certificate and private key; undefined after errors. `needs` begins the sentence about one that is missing. */
function readPair(
  scope: Scope,
  { config, nameOf, needs }: KeyNames & { needs: string },
  errors: string[],
): { cert: string; key: string } | undefined {
  const read = (key: `${Scope}.cert_file` | `${Scope}.key_file`) => {
    const file = config[key];
    if (file === "") {
      errors.push(`${needs} needs ${nameOf(key)}`);
      return undefined;
    }
    const text = readText(file);
    if (!text.ok) errors.push(`${nameOf(key)}: ${text.error}`);
    return text.ok ? text.value : undefined;
  };
  const cert = read(`${scope}.cert_file`);
  const key = read(`${scope}.key_file`);
  if (cert === undefined || key === undefined) return undefined;
  const names = { cert: nameOf(`${scope}.cert_file`), key: nameOf(`${scope}.key_file`) };
  errors.push(...pairProblems(scope, { config, names }, { cert, key }));
  return { cert, key };
}

function pairProblems(
  scope: Scope,
  { config, names: name }: { config: Config; names: { cert: string; key: string } },
  text: { cert: string; key: string },
): string[] {
  const certFile = config[`${scope}.cert_file`];
  const keyFile = config[`${scope}.key_file`];
  const certificate = parseCertificate(text.cert);
  if (certificate === undefined) return [`${name.cert}: ${certFile}: no certificate in PEM form`];
  const key = parseKey(text.key);
  if (key === undefined) return [`${name.key}: ${keyFile}: no unencrypted private key in PEM form`];
  return certificate.checkPrivateKey(key)
    ? []
    : [`${name.key}: ${keyFile}: is not the key of the certificate in ${certFile}`];
}

function parseCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function parseKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}

/** The certificates of `ca_file` and of every file in `ca_path`. */
function authorities(scope: Scope, { config, nameOf }: KeyNames, errors: string[]): string[] {
  const found: string[] = [];
  const add = (key: UsedKey, file: string) =>
    void found.push(...certificatesOf(nameOf(key), file, errors));
  const file = config[`${scope}.ca_file`];
  if (file !== "") add(`${scope}.ca_file`, file);
  const directory = config[`${scope}.ca_path`];
  if (directory === "") return found;
  try {
    for (const name of readdirSync(directory).toSorted())
      add(`${scope}.ca_path`, join(directory, name));
  } catch (error) {
    const reason = error instanceof Error && "code" in error ? String(error.code) : String(error);
    errors.push(`${nameOf(`${scope}.ca_path`)}: ${directory}: cannot be read: ${reason}`);
  }
  return found;
}

function certificatesOf(key: string, file: string, errors: string[]): string[] {
  const text = readText(file);
  const blocks = text.ok
    ? (text.value.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [])
    : [];
  if (!text.ok) errors.push(`${key}: ${text.error}`);
  else if (blocks.length === 0 || blocks.some((block) => parseCertificate(block) === undefined))
    errors.push(`${key}: ${file}: no certificate in PEM form`);
  return blocks;
}

function cipherList(text: string): Result<string | undefined, string> {
  const names = text.split(",").flatMap((name) => (name.trim() === "" ? [] : [name.trim()]));
  const unknown = names.find((name) => !Object.hasOwn(cipherNames, name));
  if (unknown !== undefined) return fail(`unsupported cipher "${unknown}"`);
  return ok(names.length === 0 ? undefined : names.map((name) => cipherNames[name]).join(":"));
}
