/** Body of PUT /v1/txn: a list of operations. Consul 1.10 agent/txn_endpoint.go, api/txn.go. */
import { decodeShape, type Decoded } from "../cluster/decode.ts";
import { TXN_OPERATIONS_MAX, type TxnOperation } from "../cluster/txn.ts";
import { parseFirstJson } from "./body.ts";
import { HttpError, type Call } from "./call.ts";
import { checkShape, serviceShape, toCheckFields, toServiceFields } from "./catalog-body.ts";
import { parseUint64 } from "./uint64.ts";

const kvShape = {
  struct: {
    Verb: "string",
    Key: "string",
    Value: "string",
    Flags: "raw",
    Index: "raw",
    Session: "string",
    Namespace: "string",
  },
} as const;

const nodeShape = {
  struct: {
    ID: "string",
    Node: "string",
    Address: "string",
    Datacenter: "string",
    TaggedAddresses: { map: "string" },
    Meta: { map: "string" },
    CreateIndex: "int",
    ModifyIndex: "int",
  },
} as const;

/** The API's own library sends back what it read: members that a catalog entry does not have. */
const agentServiceShape = {
  struct: {
    ...serviceShape.struct,
    ContentHash: "string",
    Datacenter: "string",
    Namespace: "string",
  },
} as const;

const operationShape = {
  struct: {
    KV: { pointer: kvShape },
    Node: { pointer: { struct: { Verb: "string", Node: nodeShape } } },
    Service: {
      pointer: { struct: { Verb: "string", Node: "string", Service: agentServiceShape } },
    },
    Check: {
      pointer: {
        struct: {
          Verb: "string",
          Check: { struct: { ...checkShape.struct, Namespace: "string" } },
        },
      },
    },
  },
} as const;

const bodyShape = { list: { pointer: operationShape } } as const;

type OperationBody = Decoded<typeof operationShape>;

const badBody = "Failed to parse body: ";

/** What the request asks for; empty operations are dropped, as in Consul. Throws 400 and 413. */
export async function readOperations(call: Call): Promise<TxnOperation[]> {
  const body = parseBody(await readText(call));
  if (body.length > TXN_OPERATIONS_MAX)
    throw new HttpError(
      413,
      `Transaction contains too many operations (${body.length} > ${TXN_OPERATIONS_MAX})`,
    );
  const operations: TxnOperation[] = [];
  for (const given of body) {
    const operation = given && toOperation(given, call);
    if (operation) operations.push(operation);
  }
  return operations;
}

async function readText(call: Call): Promise<string> {
  const { txnMaxRequestOctets, kvMaxValueOctets } = call.settings;
  // A value that the KV store takes must fit into a transaction (Consul's convertOps).
  const most = Math.max(txnMaxRequestOctets, kvMaxValueOctets);
  const announced = Number(call.header("Content-Length") ?? 0);
  if (announced > most) throw tooLarge(`(${announced} bytes)`, most);
  const octets = await call.readOctets();
  if (octets.length > most) throw tooLarge("", most);
  return new TextDecoder().decode(octets);
}

function tooLarge(announced: string, most: number): HttpError {
  const where = "https://www.consul.io/docs/agent/options.html#txn_max_req_len";
  return new HttpError(
    413,
    `Request body${announced} too large, max size: ${most} bytes. See ${where}.`,
  );
}

function parseBody(text: string): readonly (OperationBody | null)[] {
  const plain = decodeBody(text);
  if (!wideNumber.test(text)) return plain;
  // Only keys have numbers of 64 bits; elsewhere what came must stay what it was.
  const exact = decodeBody(text.replace(wideNumbers, '$1"$2"'));
  return plain.map((operation, i) => {
    const [rounded, KV] = [operation?.KV, exact[i]?.KV];
    if (operation === null || !rounded || !KV) return operation;
    const Flags = exactOf(rounded.Flags, KV.Flags);
    return { ...operation, KV: { ...rounded, Flags, Index: exactOf(rounded.Index, KV.Index) } };
  });
}

/** A text that was one before is none of the numbers. */
function exactOf(rounded: unknown, exact: unknown): unknown {
  return typeof rounded === "number" && typeof exact === "string" ? BigInt(exact) : rounded;
}

/**
 * A number of 64 bits, which JSON.parse would round. Inside of a string the quotes around the name
 * would be escaped, so this finds members only.
 */
const wideNumber = /("(?:flags|index)"\s*:\s*)(\d{16,})/i;
const wideNumbers = new RegExp(wideNumber, "gi");

function decodeBody(text: string): readonly (OperationBody | null)[] {
  const parsed = parseFirstJson(text);
  const decoded = parsed.ok ? decodeShape(bodyShape, parsed.value) : parsed;
  if (!decoded.ok) throw new HttpError(400, badBody + decoded.error);
  return decoded.value ?? [];
}

function toOperation(body: OperationBody, call: Call): TxnOperation | undefined {
  const { KV, Node, Service, Check } = body;
  if ([KV, Node, Service, Check].filter((part) => part !== null).length > 1)
    throw new HttpError(400, `${badBody}an operation is one of KV, Node, Service and Check`);
  if (KV !== null) return toKvOperation(KV, call.settings.kvMaxValueOctets);
  if (Node !== null) {
    const { ID, Node: node, Address: address, Datacenter, TaggedAddresses, Meta } = Node.Node;
    call.requireDatacenter(Datacenter);
    const fields = { node, id: ID.toLowerCase(), address };
    return {
      type: "node",
      verb: Node.Verb,
      node: { ...fields, taggedAddresses: TaggedAddresses, meta: Meta },
      index: Node.Node.ModifyIndex,
    };
  }
  if (Service !== null) {
    const { Verb: verb, Node: node } = Service;
    const service = toServiceFields(Service.Service);
    return { type: "service", verb, node, service, index: Service.Service.ModifyIndex };
  }
  if (Check === null) return undefined;
  const { Node: node, ModifyIndex: index } = Check.Check;
  // What a check runs by itself is told by its agent, not by a transaction.
  const check = {
    ...toCheckFields(Check.Check),
    type: "",
    interval: "",
    timeout: "",
    exposedPort: 0,
  };
  return { type: "check", verb: Check.Verb, node, check, index };
}

function toKvOperation(body: Decoded<typeof kvShape>, mostOctets: number): TxnOperation {
  const { Verb: verb, Key: key, Session: session } = body;
  const value = decodeValue(body.Value);
  if (value.length > mostOctets)
    throw new HttpError(
      413,
      `Value for key ${JSON.stringify(key)} is too large (${value.length} > ${mostOctets} bytes)`,
    );
  return {
    type: "kv",
    verb,
    key,
    value: value.toString("base64"),
    flags: readUint64(body.Flags, "Flags").toString(),
    session,
    // Indexes of ours are far below 2^53: one that is not is no record's.
    index: Number(readUint64(body.Index, "Index")),
  };
}

/** Go decodes standard base64 and skips ends of lines. */
function decodeValue(text: string): Buffer {
  const base64 = /[\r\n]/.test(text) ? text.replace(/[\r\n]+/g, "") : text;
  if (base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64))
    throw new HttpError(400, `${badBody}illegal base64 data`);
  return Buffer.from(base64, "base64");
}

function readUint64(value: unknown, member: string): bigint {
  if (value === null) return 0n;
  const isWhole =
    typeof value === "bigint" || (typeof value === "number" && Number.isSafeInteger(value));
  const parsed = isWhole ? parseUint64(String(value)) : undefined;
  if (parsed?.ok) return parsed.value;
  const shown = typeof value === "bigint" ? String(value) : JSON.stringify(value);
  throw new HttpError(
    400,
    `${badBody}json: cannot unmarshal ${shown} into field KV.${member} of type uint64`,
  );
}
