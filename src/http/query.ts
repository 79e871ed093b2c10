/** /v1/query: prepared queries, their execution and explanation. Consul 1.10; spec/http.md section 14. */
import { formatAddress, parseAddress, unmapped } from "../address.ts";
import type { Authorizer } from "../cluster/acl.ts";
import type { QueryFields } from "../cluster/command.ts";
import type { Decoded } from "../cluster/decode.ts";
import { metadataProblem } from "../cluster/metadata.ts";
import type { QueryRecord } from "../cluster/model.ts";
import { execute as executeQuery } from "../cluster/query-execute.ts";
import { parseDuration } from "../duration.ts";
import { HttpError, route, type Call, type Method, type Reply, type Route } from "./call.ts";
import {
  answerRead,
  parseReadOptions,
  passBarrier,
  setCacheHeaders,
  setReadHeaders,
} from "./read.ts";
import { parseBoolean } from "../boolean.ts";
import { requireRight } from "./rights.ts";
import { beginRead } from "./select.ts";
import { toHealthCheck, toNode, toNodeService, toQuery } from "./shapes.ts";
import { foldUuid, requireUuid } from "./uuid.ts";

/** GET and POST /v1/query; GET, PUT, DELETE /v1/query/<id>; GET .../execute and .../explain. */
export function queryRoutes(): readonly Route[] {
  return [
    route(["GET", "POST"], "/v1/query", (call) =>
      call.method === "POST" ? create(call) : answerList(call),
    ),
    { ...route([], "/v1/query/", answerSpecific), methodsOf: (argument) => methodsOf(argument) },
  ];
}

const readOnly: readonly Method[] = ["GET"];
const readAndWrite: readonly Method[] = ["GET", "PUT", "DELETE"];

/** `<id>/execute` and `<id>/explain` are only read. */
function methodsOf(argument: string): readonly Method[] {
  return /\/(execute|explain)$/.test(argument) ? readOnly : readAndWrite;
}

function answerSpecific(call: Call): Reply {
  const [, named = "", action] = /^(.*?)(?:\/(execute|explain))?$/s.exec(call.argument)!;
  if (action === "execute") return execute(call, named);
  if (action === "explain") return explain(call, named);
  const id = foldUuid(named);
  if (call.method === "PUT") return update(call, id);
  return call.method === "DELETE" ? remove(call, id) : answerOne(call, id);
}

const queryShape = {
  struct: {
    ID: "string",
    Name: "string",
    Session: "string",
    Token: "string",
    Template: { struct: { Type: "string", Regexp: "string", RemoveEmptyTags: "bool" } },
    Service: {
      struct: {
        Service: "string",
        Failover: { struct: { NearestN: "int", Datacenters: { list: "string" } } },
        OnlyPassing: "bool",
        IgnoreCheckIDs: { list: "string" },
        Near: "string",
        Tags: { list: "string" },
        NodeMeta: { map: "string" },
        ServiceMeta: { map: "string" },
        Connect: "bool",
      },
    },
    DNS: { struct: { TTL: "string" } },
    CreateIndex: "int",
    ModifyIndex: "int",
  },
} as const;

type QueryBody = Decoded<typeof queryShape>;

/** What a token that the reader may not see is shown as. */
const hiddenToken = "<hidden>";

async function create(call: Call): Promise<Response> {
  const body = await call.readBody(queryShape, { whenEmpty: "zero" });
  call.requireDatacenter();
  const rights = call.authorizer();
  if (body.ID !== "")
    throw new HttpError(500, "ID must be empty when creating a new prepared query");
  const query = toFields(body, call.deps.random.uuid());
  requireWrite(rights, query);
  requireValid(query);
  await call.propose({ type: "query-set", query, create: true });
  return call.json({ ID: query.id });
}

async function update(call: Call, id: string): Promise<Response> {
  const body = await call.readBody(queryShape, { whenEmpty: "zero" });
  call.requireDatacenter();
  const rights = call.authorizer();
  const query = toFields(body, id);
  requireWrite(rights, query);
  requireUuid(id, "prepared query");
  await passBarrier(call, "leader");
  requireWrite(rights, requireQuery(call, id));
  requireValid(query);
  await call.propose({ type: "query-set", query, create: false });
  return call.empty();
}

async function remove(call: Call, id: string): Promise<Response> {
  call.requireDatacenter();
  const rights = call.authorizer();
  requireUuid(id, "prepared query");
  await passBarrier(call, "leader");
  requireWrite(rights, requireQuery(call, id));
  await call.propose({ type: "query-delete", id });
  return call.empty();
}

function requireQuery(call: Call, id: string): QueryRecord {
  const query = call.deps.reader.query(id);
  if (query !== undefined) return query;
  throw new HttpError(500, `Cannot modify non-existent prepared query: '${id}'`);
}

/** Only queries with a name (or a template) are under the rules of `query`. */
function hasAclName({ name, template }: QueryFields): boolean {
  return name !== "" || template.type !== "";
}

function requireWrite(rights: Authorizer, query: QueryFields): void {
  requireRight(!hasAclName(query) || rights.queryWrite(query.name));
}

function toFields(body: QueryBody, id: string): QueryFields {
  const { Template, Service } = body;
  return {
    id,
    name: body.Name,
    session: foldUuid(body.Session),
    token: body.Token,
    template: {
      type: Template.Type,
      regexp: Template.Regexp,
      removeEmptyTags: Template.RemoveEmptyTags,
    },
    service: {
      service: Service.Service,
      failover: {
        nearestN: Service.Failover.NearestN,
        datacenters: Service.Failover.Datacenters,
      },
      onlyPassing: Service.OnlyPassing,
      ignoreCheckIds: Service.IgnoreCheckIDs,
      near: Service.Near,
      tags: Service.Tags,
      nodeMeta: Service.NodeMeta,
      serviceMeta: Service.ServiceMeta,
      connect: Service.Connect,
    },
    dns: { ttl: body.DNS.TTL },
  };
}

function requireValid(query: QueryFields): void {
  const problem = problemOf(query);
  if (problem !== undefined) throw new HttpError(500, `Invalid prepared query: ${problem}`);
}

/** What Consul checks before the log: texts after `Invalid prepared query: `. */
function problemOf({ name, session, token, template, service, dns }: QueryFields) {
  if (name === "" && template.type === "" && session === "") return "Must be bound to a session";
  if (token === hiddenToken)
    return `Bad Token '${hiddenToken}', it looks like a query definition with a redacted token was submitted`;
  if (service.service === "") return "Must provide a Service name to query";
  const { nearestN } = service.failover;
  if (nearestN < 0) return `Bad NearestN '${nearestN}', must be >= 0`;
  const meta =
    metadataProblem(service.nodeMeta, true) ?? metadataProblem(service.serviceMeta, true);
  if (meta !== undefined || dns.ttl === "") return meta;
  const ttl = parseDuration(dns.ttl);
  if (!ttl.ok) return `Bad DNS TTL '${dns.ttl}': ${ttl.error}`;
  return ttl.value < 0 ? `DNS TTL '${Math.round(ttl.value * 1e6)}', must be >=0` : undefined;
}

/** The query for this reader: its token is shown to managers only. */
function show(query: QueryRecord, rights: Authorizer) {
  return toQuery(query, query.token === "" || rights.aclWrite() ? query.token : hiddenToken);
}

function mayRead(query: QueryRecord, rights: Authorizer): boolean {
  return rights.aclWrite() || (hasAclName(query) && rights.queryRead(query.name));
}

function answerList(call: Call): Reply {
  const options = beginRead(call);
  const { reader } = call.deps;
  return answerRead(call, options, {
    topics: ["queries"],
    showsConsistency: true,
    look: (rights) => ({
      value: [...reader.queries()]
        .filter((query) => mayRead(query, rights))
        .map((query) => show(query, rights)),
    }),
  });
}

function answerOne(call: Call, id: string): Reply {
  const options = beginRead(call);
  requireUuid(id, "prepared query");
  const { reader } = call.deps;
  return answerRead(call, options, {
    topics: ["queries"],
    showsConsistency: true,
    look(rights) {
      const query = reader.query(id);
      if (query === undefined) throw new HttpError(404, "Query not found");
      // Whoever knows the id of a query without a name may see it.
      requireRight(!hasAclName(query) || mayRead(query, rights));
      return { value: [show(query, rights)] };
    },
  });
}

/** By id or name, templates rendered; throws 404 for none. */
function resolve(call: Call, idOrName: string): QueryRecord {
  const resolved = call.deps.reader.resolveQuery(idOrName);
  if (!resolved.ok) throw new HttpError(500, resolved.error);
  if (resolved.value === undefined) throw new HttpError(404, "Query not found");
  return resolved.value;
}

async function explain(call: Call, idOrName: string): Promise<Response> {
  const options = beginRead(call);
  await passBarrier(call, options.consistency);
  const query = resolve(call, idOrName);
  const rights = call.authorizer();
  requireRight(mayRead(query, rights));
  setReadHeaders(call, 1);
  call.setHeader("X-Consul-Effective-Consistency", options.consistency);
  return call.json({ Query: show(query, rights) });
}

/** Answers at once, with index 1: an execution depends on too much to wait for. */
async function execute(call: Call, idOrName: string): Promise<Response> {
  const options = parseReadOptions(call);
  const limit = parseLimit(call.query("limit"));
  const connect = call.query("connect");
  if (connect !== "" && parseBoolean(connect) === undefined)
    throw new HttpError(
      500,
      `Error parsing 'connect' value: strconv.ParseBool: parsing ${JSON.stringify(connect)}: invalid syntax`,
    );
  call.requireDatacenter();
  const caller = call.authorizer();
  await passBarrier(call, options.consistency);
  const { reader, info, random } = call.deps;
  const found = resolve(call, idOrName);
  const query =
    parseBoolean(connect) === true
      ? { ...found, service: { ...found.service, connect: true } }
      : found;
  const executed = executeQuery(reader, query, {
    datacenter: info.datacenter,
    agentNode: info.nodeName,
    clientAddress: clientAddress(call),
    near: call.query("near"),
    limit,
    authorizer: query.token === "" ? caller : call.authorizerOf(query.token),
    random: () => random.uint32(),
  });
  setReadHeaders(call, 1);
  call.setHeader("X-Consul-Effective-Consistency", options.consistency);
  if (options.cached) setCacheHeaders(call);
  return call.json({
    Service: executed.service,
    Nodes: executed.instances.map(({ node, service, checks }) => ({
      Node: toNode(node, info.datacenter),
      Service: toNodeService(service),
      // Only here Consul leaves an empty list of tags as null.
      Checks: checks.map((check) => ({
        ...toHealthCheck(check),
        ServiceTags: check.serviceTags.length === 0 ? null : check.serviceTags,
      })),
    })),
    DNS: { TTL: executed.dnsTtl },
    Datacenter: executed.datacenter,
    Failovers: executed.failovers,
  });
}

/** What `near=_ip` stands for: whom a proxy in front of us names, else the peer. */
function clientAddress(call: Call): string | undefined {
  const [first = ""] = (call.header("X-Forwarded-For") ?? "").split(",");
  const address = parseAddress(first.trim()) ?? parseAddress(call.env.client.address);
  return address && formatAddress(unmapped(address));
}

/** 0: no limit. Errors are those of Go's strconv.Atoi. */
function parseLimit(text: string): number {
  if (text === "") return 0;
  const problem = `Bad limit: strconv.Atoi: parsing ${JSON.stringify(text)}: `;
  if (!/^[+-]?\d+$/.test(text)) throw new HttpError(500, `${problem}invalid syntax`);
  if (Math.abs(Number(text)) >= 2 ** 63) throw new HttpError(500, `${problem}value out of range`);
  return Number(text);
}
