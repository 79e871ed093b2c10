/**
 * Tables of what a definition of a service or check may hold: names of the API with its aliases, and
 * the spellings of configuration files. Source: Consul 1.10.12; spec 11.8, 11.9 and 12.
 */
import { instanceMembers } from "./instance-fields.ts";

const checkMembers = {
  Name: "string",
  Notes: "string",
  Status: "string",
  ScriptArgs: { list: "string" },
  HTTP: "string",
  H2PING: "string",
  H2PingUseTLS: { pointer: "bool" },
  Header: { map: { list: "string" } },
  Method: "string",
  Body: "string",
  DisableRedirects: "bool",
  TCP: "string",
  TCPUseTLS: "bool",
  UDP: "string",
  Interval: "duration",
  AliasNode: "string",
  AliasService: "string",
  DockerContainerID: "string",
  Shell: "string",
  GRPC: "string",
  GRPCUseTLS: "bool",
  TLSServerName: "string",
  TLSSkipVerify: "bool",
  Timeout: "duration",
  TTL: "duration",
  SuccessBeforePassing: "int",
  FailuresBeforeWarning: "int",
  FailuresBeforeCritical: "int",
  DeregisterCriticalServiceAfter: "duration",
  OutputMaxSize: "int",
} as const;

const checkAliases = {
  Args: "ScriptArgs",
  script_args: "ScriptArgs",
  deregister_critical_service_after: "DeregisterCriticalServiceAfter",
  docker_container_id: "DockerContainerID",
  tls_server_name: "TLSServerName",
  tls_skip_verify: "TLSSkipVerify",
  grpc_use_tls: "GRPCUseTLS",
  h2ping_use_tls: "H2PingUseTLS",
  tcp_use_tls: "TCPUseTLS",
  disable_redirects: "DisableRedirects",
} as const;

/** A check inside a service. */
export const serviceCheckShape = {
  struct: { CheckID: "string", ...checkMembers },
  aliases: checkAliases,
} as const;

/** A check of its own, as in check/register. */
export const checkShape = {
  struct: { ID: "string", ServiceID: "string", Token: "string", ...checkMembers },
  aliases: { ...checkAliases, service_id: "ServiceID" },
} as const;

const serviceMembers = { ...instanceMembers, Name: "string", Token: "string" } as const;

const serviceAliases = {
  enable_tag_override: "EnableTagOverride",
  tagged_addresses: "TaggedAddresses",
} as const;

/** Body of service/register. */
export const serviceShape = {
  struct: {
    ...serviceMembers,
    Check: { pointer: serviceCheckShape },
    Checks: { list: serviceCheckShape },
  },
  aliases: serviceAliases,
} as const;

/** In configuration a check names its id `id` everywhere. */
const configServiceCheckShape = {
  struct: serviceCheckShape.struct,
  aliases: { ...checkAliases, id: "CheckID" },
} as const;

/** One element of `services` in configuration. */
export const configServiceShape = {
  struct: {
    ...serviceMembers,
    Weights: { pointer: { struct: { Passing: { pointer: "int" }, Warning: { pointer: "int" } } } },
    Check: { pointer: configServiceCheckShape },
    Checks: { list: configServiceCheckShape },
  },
  aliases: serviceAliases,
} as const;
