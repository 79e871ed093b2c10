/** PUT /v1/txn. Consul 1.10 agent/txn_endpoint.go; spec/http.md section 10. */
import type { Authorizer } from "../cluster/acl.ts";
import {
  isWriting,
  readTxn,
  type TxnOperation,
  type TxnOutcome,
  type TxnResult,
} from "../cluster/txn.ts";
import { route, type Call, type Reply, type Route } from "./call.ts";
import { JsonText, renderJson } from "./json.ts";
import { renderRecord } from "./kv-json.ts";
import { parseConsistency, passBarrier, setLeaderHeaders } from "./read.ts";
import { toHealthCheck, toNode, toNodeService } from "./shapes.ts";
import { readOperations } from "./txn-body.ts";
import { findRefused, isResultReadable } from "./txn-rights.ts";

/** PUT /v1/txn. */
export function txnRoutes(): readonly Route[] {
  return [route(["PUT"], "/v1/txn", transact)];
}

async function transact(call: Call): Promise<Response> {
  const operations = await readOperations(call);
  return isWriting(operations) ? write(call, operations) : read(call, operations);
}

/** Never comes near the log, so it can change nothing. */
async function read(call: Call, operations: readonly TxnOperation[]): Promise<Response> {
  const { consistency } = parseConsistency(call);
  call.requireDatacenter();
  const rights = call.authorizer();
  await passBarrier(call, consistency);
  const { reader } = call.deps;
  const errors = findRefused(operations, rights, reader);
  setLeaderHeaders(call);
  return answer(call, errors.length > 0 ? { errors } : readTxn(reader, operations), rights);
}

async function write(call: Call, operations: readonly TxnOperation[]): Promise<Response> {
  call.requireDatacenter();
  const rights = call.authorizer();
  const errors = findRefused(operations, rights, call.deps.reader);
  if (errors.length > 0) return answer(call, { errors }, rights);
  // The command gives back nothing else.
  const outcome = (await call.propose({ type: "txn", operations })) as TxnOutcome;
  return answer(call, outcome, rights);
}

function answer(call: Call, outcome: TxnOutcome, rights: Authorizer): Reply {
  if ("errors" in outcome) {
    const errors = outcome.errors.map(({ opIndex, what }) => ({ OpIndex: opIndex, What: what }));
    return call.json({ Results: null, Errors: errors }, 409);
  }
  const { datacenter } = call.deps.info;
  let text = "";
  for (const result of outcome.results) {
    if (!isResultReadable(result, rights)) continue;
    text += `${text === "" ? "" : ","}${renderResult(result, datacenter)}`;
  }
  return call.json(new JsonText(`{"Results":[${text}],"Errors":null}`));
}

/** Lists that are empty show as null here, unlike elsewhere. */
function renderResult(result: TxnResult, datacenter: string): string {
  switch (result.type) {
    case "kv": {
      const { record, showsValue } = result;
      return `{"KV":${renderRecord(showsValue ? record : { ...record, value: "" })}}`;
    }
    case "node":
      return renderJson({ Node: toNode(result.record, datacenter) }, false);
    case "service": {
      const { tags } = result.record;
      const Tags = tags.length === 0 ? null : tags;
      return renderJson({ Service: { ...toNodeService(result.record), Tags } }, false);
    }
    case "check": {
      const { serviceTags } = result.record;
      const ServiceTags = serviceTags.length === 0 ? null : serviceTags;
      return renderJson({ Check: { ...toHealthCheck(result.record), ServiceTags } }, false);
    }
  }
}
