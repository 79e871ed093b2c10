/** /v1/operator/keyring: the keys of gossip. Consul 1.10 agent/operator_endpoint.go and Serf's texts. */
import { parseKey, type KeyringOperation } from "../cluster/keyring.ts";
import type { PoolKeyring } from "../cluster/keyring/driver.ts";
import { parseBoolean } from "../boolean.ts";
import { HttpError, route, type Call, type Reply, type Route } from "./call.ts";

const operations: Readonly<Record<string, KeyringOperation>> = {
  POST: "install",
  PUT: "use",
  DELETE: "remove",
};

const MAX_RELAY_FACTOR = 5;

/** GET lists, POST installs, PUT makes primary, DELETE removes. */
export function keyringRoutes(keyrings: readonly PoolKeyring[]): readonly Route[] {
  return [
    route(["GET", "POST", "PUT", "DELETE"], "/v1/operator/keyring", (call) => {
      const operation = operations[call.method];
      return operation === undefined
        ? answerList(call, keyrings)
        : answerChange(call, keyrings, operation);
    }),
  ];
}

function answerList(call: Call, keyrings: readonly PoolKeyring[]): Reply {
  const isLocal = checkParameters(call);
  if (!call.authorizer().keyringRead()) throw new HttpError(500, "Reading keyring denied by ACLs");
  const asked = ordered(keyrings).filter(({ pool }) => pool === "lan" || !isLocal);
  failures(
    call,
    asked.flatMap((keyring) =>
      keyring.ring().length > 0
        ? []
        : [{ keyring, problem: "Keyring is empty (encryption not enabled)" }],
    ),
  );
  return call.json(
    asked.map((keyring) => {
      const ring = keyring.ring();
      return {
        WAN: keyring.pool === "wan",
        Datacenter: call.deps.info.datacenter,
        Segment: "",
        Keys: Object.fromEntries(ring.map((key) => [key, 1])),
        PrimaryKeys: Object.fromEntries(ring.slice(0, 1).map((key) => [key, 1])),
        NumNodes: 1,
      };
    }),
  );
}

async function answerChange(
  call: Call,
  keyrings: readonly PoolKeyring[],
  operation: KeyringOperation,
): Promise<Response> {
  const prefix = "Bad request: Request decode failed: ";
  const { Key } = await call.readBody({ struct: { Key: "string" } }, { prefix });
  checkParameters(call);
  if (!call.authorizer().keyringWrite())
    throw new HttpError(500, "Modifying keyring denied due to ACLs");
  const key = parseKey(Key);
  const problems = [];
  for (const keyring of ordered(keyrings)) {
    // Without a keyring the key is not looked at.
    const done = keyring.ring().length > 0 && !key.ok ? key : await keyring.apply(operation, Key);
    if (!done.ok) problems.push({ keyring, problem: done.error });
  }
  failures(call, problems);
  return call.empty();
}

/** Whether `local-only` is asked for. Throws 400 with Consul's texts. */
function checkParameters(call: Call): boolean {
  const factor = call.query("relay-factor");
  if (factor !== "") {
    if (!/^[+-]?\d{1,15}$/.test(factor))
      throw badRequest(
        `Error parsing relay factor: strconv.Atoi: parsing ${JSON.stringify(factor)}: invalid syntax`,
      );
    if (Number(factor) < 0 || Number(factor) > MAX_RELAY_FACTOR)
      throw badRequest(
        `Invalid relay-factor: Relay factor must be in range: [0, ${MAX_RELAY_FACTOR}]`,
      );
  }
  const localOnly = call.query("local-only");
  if (localOnly === "") return false;
  const isLocal = parseBoolean(localOnly);
  if (isLocal === undefined)
    throw badRequest(
      `Error parsing local-only: strconv.ParseBool: parsing ${JSON.stringify(localOnly)}: invalid syntax`,
    );
  if (isLocal && call.method !== "GET")
    throw badRequest("Invalid use of local-only: local-only can only be set for list requests");
  return isLocal;
}

function badRequest(problem: string): HttpError {
  return new HttpError(400, `Bad request: ${problem}`);
}

/** Consul asks the WAN pool first. */
function ordered(keyrings: readonly PoolKeyring[]): PoolKeyring[] {
  return [...keyrings].sort((a, b) => (a.pool < b.pool ? 1 : -1));
}

/** Throws 500 with what each pool, and the one node in it, says. */
function failures(
  call: Call,
  problems: readonly { keyring: PoolKeyring; problem: string }[],
): void {
  if (problems.length === 0) return;
  const { datacenter, nodeName } = call.deps.info;
  const lines = problems.flatMap(({ keyring, problem }) =>
    keyring.pool === "wan"
      ? ["WAN error: 1/1 nodes reported failure", `${nodeName}.${datacenter}: ${problem}`]
      : [`${datacenter} (LAN) error: 1/1 nodes reported failure`, `${nodeName}: ${problem}`],
  );
  const points = lines.map((line) => `* ${line}`).join("\n\t");
  throw new HttpError(500, `${lines.length} errors occurred:\n\t${points}\n\n`);
}
