/**
 * What of the local services and checks is kept on disk, as text. The format is Consul's (one JSON
 * file per entry), so that an agent that takes over a Consul agent's directory finds its services.
 */
import { fail, ok, type Result } from "../base.ts";
import { formatDuration } from "../duration.ts";
import type { CheckFields } from "./command.ts";
import { decodeShape } from "./decode.ts";
import { checkFromStored, newCheckFields, type CheckDefinition } from "./definition.ts";
import { serviceCheckShape } from "./definition-shapes.ts";
import { instanceMembers, nullIfEmpty, toInstanceFields } from "./instance-fields.ts";
import type { LocalCheck, LocalService } from "./local.ts";

/** The three folders below the data directory. */
export type StoredKind = "services" | "checks" | "checks/state";

/**
 * Files of one agent, one per entry. `write` and `remove` reject with an error that names the path;
 * calls for the same entry are made one after the other (see createWriteBehind).
 */
export type LocalFiles = {
  /** All entries; `name` is the path for messages. Unreadable files come with an error instead. */
  list(kind: StoredKind): Promise<{ name: string; content: Result<string, string> }[]>;
  /** Replaces the entry at once (temporary file, rename); `isDurable`: also after a power failure. */
  write(kind: StoredKind, id: string, text: string, isDurable: boolean): Promise<void>;
  /** Removes the entry; no error if there is none. */
  remove(kind: StoredKind, id: string): Promise<void>;
};

/** Files that keep nothing, for agents without a data directory (`-dev`). */
export const noFiles: LocalFiles = {
  list: () => Promise.resolve([]),
  write: () => Promise.resolve(),
  remove: () => Promise.resolve(),
};

/** Text of a file in `services`. */
export function encodeService({ fields, token }: LocalService): string {
  const tagged = Object.entries(fields.taggedAddresses ?? {}).map(
    ([tag, { address, port }]) => [tag, { Address: address, Port: port }] as const,
  );
  const service = {
    Kind: fields.kind,
    ID: fields.id,
    Service: fields.service,
    Tags: fields.tags,
    Address: fields.address,
    TaggedAddresses: fields.taggedAddresses && Object.fromEntries(tagged),
    Meta: fields.meta,
    Port: fields.port,
    SocketPath: fields.socketPath,
    Weights: { Passing: fields.weights.passing, Warning: fields.weights.warning },
    EnableTagOverride: fields.enableTagOverride,
    Proxy: fields.proxy,
    Connect: fields.connect,
  };
  return JSON.stringify({ Token: token, Service: service, Source: "remote" });
}

const storedServiceShape = {
  struct: {
    Token: "string",
    Service: { struct: { ...instanceMembers, Service: "string" } },
  },
} as const;

/** Members that a newer or older program wrote are skipped. */
const lenient = {};

/** The error says what is wrong with the text. */
export function decodeService(text: string): Result<Omit<LocalService, "source">, string> {
  const decoded = decodeText(text, (value) => decodeShape(storedServiceShape, value, lenient));
  if (!decoded.ok) return decoded;
  const { Service: service, Token: token } = decoded.value;
  if (service.ID === "" || service.Service === "") return fail("no service id or name in it");
  const fields = toInstanceFields(service, service.Service);
  return ok({ fields: { ...fields, taggedAddresses: nullIfEmpty(fields.taggedAddresses) }, token });
}

/** Text of a file in `checks`; the status in it is for readers, `decodeCheck` passes it over. */
export function encodeCheck({ fields, definition, token }: LocalCheck): string {
  const check = {
    CheckID: fields.checkId,
    Name: fields.name,
    Status: fields.status,
    Notes: fields.notes,
    Output: fields.output,
    ServiceID: fields.serviceId,
    Type: fields.type,
    Interval: fields.interval,
    Timeout: fields.timeout,
  };
  const type = definition && encodeDefinition(definition);
  return JSON.stringify({ Check: check, ChkType: type, Token: token, Source: "remote" });
}

function encodeDefinition(check: CheckDefinition): Record<string, unknown> {
  return {
    CheckID: check.checkId,
    Name: check.name,
    Status: check.status,
    Notes: check.notes,
    ScriptArgs: check.args,
    HTTP: check.http,
    H2PING: check.h2ping,
    Header: check.header,
    Method: check.method,
    Body: check.body,
    DisableRedirects: check.disableRedirects,
    TCP: check.tcp,
    Interval: formatDuration(check.intervalMs),
    AliasNode: check.aliasNode,
    AliasService: check.aliasService,
    DockerContainerID: check.dockerContainerId,
    Shell: check.shell,
    GRPC: check.grpc,
    GRPCUseTLS: check.grpcUseTls,
    TLSServerName: check.tlsServerName,
    TLSSkipVerify: check.tlsSkipVerify,
    Timeout: formatDuration(check.timeoutMs),
    TTL: formatDuration(check.ttlMs),
    SuccessBeforePassing: check.successBeforePassing,
    FailuresBeforeWarning: check.failuresBeforeWarning,
    FailuresBeforeCritical: check.failuresBeforeCritical,
    DeregisterCriticalServiceAfter: formatDuration(check.deregisterCriticalServiceAfterMs),
    OutputMaxSize: check.outputMaxSize,
  };
}

const storedCheckShape = {
  struct: {
    Token: "string",
    ChkType: { pointer: serviceCheckShape },
    Check: {
      struct: {
        CheckID: "string",
        Name: "string",
        Notes: "string",
        ServiceID: "string",
        Type: "string",
        Interval: "string",
        Timeout: "string",
      },
    },
  },
} as const;

/** A check as it was stored; its status is not part of that. */
export type StoredCheck = { fields: CheckFields; definition: CheckDefinition | null };

/** The error says what is wrong with the text. */
export function decodeCheck(text: string): Result<StoredCheck, string> {
  const decoded = decodeText(text, (value) => decodeShape(storedCheckShape, value, lenient));
  if (!decoded.ok) return decoded;
  const { Check: check, ChkType: type, Token: token } = decoded.value;
  if (check.CheckID === "") return fail("no check id in it");
  const fields: CheckFields = {
    ...newCheckFields,
    checkId: check.CheckID,
    name: check.Name,
    notes: check.Notes,
    serviceId: check.ServiceID,
    type: check.Type,
    interval: check.Interval,
    timeout: check.Timeout,
  };
  const definition = type && checkFromStored(type, { serviceId: check.ServiceID, token });
  return ok({ fields, definition });
}

/** The last update of a TTL check; it counts until `expiresMs` (wall clock). */
export type StoredStatus = { checkId: string; status: string; output: string; expiresMs: number };

/** Text of a file in `checks/state`; it holds whole seconds. */
export function encodeStatus({ checkId, status, output, expiresMs }: StoredStatus): string {
  const expires = Math.floor(expiresMs / 1000);
  return JSON.stringify({ CheckID: checkId, Output: output, Status: status, Expires: expires });
}

const storedStatusShape = {
  struct: { CheckID: "string", Status: "string", Output: "string", Expires: "int" },
} as const;

/** The error says what is wrong with the text. */
export function decodeStatus(text: string): Result<StoredStatus, string> {
  const decoded = decodeText(text, (value) => decodeShape(storedStatusShape, value, lenient));
  if (!decoded.ok) return decoded;
  const { CheckID: checkId, Status: status, Output: output, Expires } = decoded.value;
  if (checkId === "") return fail("no check id in it");
  return ok({ checkId, status, output, expiresMs: Expires * 1000 });
}

function decodeText<T>(
  text: string,
  decode: (value: unknown) => Result<T, string>,
): Result<T, string> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return fail(error instanceof Error ? error.message : "not JSON");
  }
  if (typeof value !== "object" || value === null) return fail("not a JSON object");
  return decode(value);
}
