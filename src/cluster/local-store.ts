/**
 * What of the local services and checks is kept on disk, as text. The JSON is that of Consul's files,
 * so that an agent that takes over a Consul agent's directory finds its services.
 */
import { fail, ok, type Result } from "../base.ts";
import { formatDuration } from "../duration.ts";
import type { CheckFields } from "./command.ts";
import { decodeShape } from "./decode.ts";
import { checkFromStored, newCheckFields, type CheckDefinition } from "./definition.ts";
import { serviceCheckShape } from "./definition-shapes.ts";
import { instanceMembers, nullIfEmpty, toInstanceFields } from "./instance-fields.ts";
import type { LocalCheck, LocalService } from "./local.ts";

/** What is kept; Consul has a folder below the data directory for each. */
export type StoredKind = "services" | "checks" | "checks/state";

/** One service, check or TTL state; `text` is JSON in one line. */
export type StoredEntry = { kind: StoredKind; id: string; text: string };

/**
 * Entries of one agent. Changes are done in the order in which they were asked for; `put` and
 * `remove` resolve when the change is on disk and reject with an error that names the file. After an
 * error the change stays wanted: it gets there with the next one or a later try.
 */
export type LocalJournal = {
  /** All entries. Rejects when they cannot be read. */
  load(): Promise<StoredEntry[]>;
  /** Adds or replaces; `isDurable`: it survives a power failure, not only the end of the program. */
  put(entry: StoredEntry, isDurable: boolean): Promise<void>;
  /** No error if there is none. */
  remove(kind: StoredKind, id: string): Promise<void>;
  /** Waits for what is under way. */
  close(): Promise<void>;
};

/** A journal that keeps nothing, for agents without a data directory (`-dev`). */
export const noJournal: LocalJournal = {
  load: () => Promise.resolve([]),
  put: () => Promise.resolve(),
  remove: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

/** The entry in a file that Consul, or a waypost without a journal, left. The error says what is wrong. */
export function takeOver(kind: StoredKind, content: string): Result<StoredEntry, string> {
  const id = idIn(kind, content);
  if (!id.ok) return id;
  const text = JSON.stringify(JSON.parse(content));
  return ok({ kind, id: id.value, text });
}

function idIn(kind: StoredKind, content: string): Result<string, string> {
  if (kind === "services") {
    const service = decodeService(content);
    return service.ok ? ok(service.value.fields.id) : service;
  }
  if (kind === "checks") {
    const check = decodeCheck(content);
    return check.ok ? ok(check.value.fields.checkId) : check;
  }
  const status = decodeStatus(content);
  return status.ok ? ok(status.value.checkId) : status;
}

/** Text of a service. */
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

/** Text of a check; the status in it is for readers, `decodeCheck` passes it over. */
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
    H2PingUseTLS: check.h2pingUseTls,
    Header: check.header,
    Method: check.method,
    Body: check.body,
    DisableRedirects: check.disableRedirects,
    TCP: check.tcp,
    TCPUseTLS: check.tcpUseTls,
    UDP: check.udp,
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
export type StoredCheck = {
  fields: CheckFields;
  definition: CheckDefinition | null;
  token: string;
};

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
  return ok({ fields, definition, token });
}

/** The last update of a TTL check; it counts until `expiresMs` (wall clock). */
export type StoredStatus = { checkId: string; status: string; output: string; expiresMs: number };

/** Text of a TTL state; it holds whole seconds. */
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
