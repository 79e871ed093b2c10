/** What policies and roles have in common: they are found by id or by name, and made without an id. */
import type { AclReader } from "../cluster/acl-state.ts";
import type { Command } from "../cluster/command.ts";
import { isUuid } from "../cluster/uuid.ts";
import { HttpError, type Call, type Reply } from "./call.ts";
import { passBarrier } from "./read.ts";
import { requireAclWrite } from "./rights.ts";

type NamedBody = { ID: string; Name: string };

/** One of the two kinds. */
export type NamedKind<Body extends NamedBody, Found> = {
  title: "Policy" | "Role";
  /** What a body with an id is told where a new one is made. */
  refusalOfId: string;
  readBody(call: Call): Promise<Body>;
  /** What is wrong with a name itself; looked at before the id is. */
  nameProblem(name: string): string | undefined;
  byId(reader: AclReader, id: string): Found | undefined;
  byName(reader: AclReader, name: string): Found | undefined;
  /** Answers a read of one. */
  show(call: Call, find: () => Found | undefined): Reply;
  /** Proposes what the body says and answers with what has become of it. */
  set(call: Call, body: Body, id: string): Promise<Response>;
  removal(id: string): Command;
};

/** PUT /v1/acl/<kind>. */
export async function createNamed<B extends NamedBody, F>(
  call: Call,
  kind: NamedKind<B, F>,
): Promise<Response> {
  const body = await kind.readBody(call);
  if (body.ID !== "") throw new HttpError(400, `Bad request: ${kind.refusalOfId}`);
  call.requireDatacenter();
  requireAclWrite(call);
  return kind.set(call, body, call.deps.random.uuid());
}

/** GET /v1/acl/<kind>/name/<name>. */
export function readByName<B extends NamedBody, F>(call: Call, kind: NamedKind<B, F>): Reply {
  if (call.argument === "") throw new HttpError(400, `Bad request: Missing ${wordOf(kind)} Name`);
  return kind.show(call, () => kind.byName(call.deps.aclReader, call.argument));
}

/** GET, PUT, DELETE /v1/acl/<kind>/<id>. */
export function answerNamed<B extends NamedBody, F>(call: Call, kind: NamedKind<B, F>): Reply {
  const id = call.argument.toLowerCase();
  if (id === "") throw new HttpError(400, `Bad request: Missing ${wordOf(kind)} ID`);
  if (call.method === "GET") return kind.show(call, () => kind.byId(call.deps.aclReader, id));
  return call.method === "PUT" ? update(call, kind, id) : remove(call, kind.removal(id));
}

async function update<B extends NamedBody, F>(
  call: Call,
  kind: NamedKind<B, F>,
  id: string,
): Promise<Response> {
  const { title } = kind;
  const body = await kind.readBody(call);
  if (body.ID !== "" && body.ID.toLowerCase() !== id)
    throw new HttpError(400, `Bad request: ${title} ID in URL and payload do not match`);
  call.requireDatacenter();
  requireAclWrite(call);
  const problem = kind.nameProblem(body.Name);
  if (problem !== undefined) throw new HttpError(500, problem);
  if (!isUuid(id)) throw new HttpError(500, `${title} ID invalid UUID`);
  await passBarrier(call, "leader");
  if (kind.byId(call.deps.aclReader, id) === undefined)
    throw new HttpError(500, `cannot find ${wordOf(kind)} ${id}`);
  return kind.set(call, body, id);
}

async function remove(call: Call, command: Command): Promise<Response> {
  call.requireDatacenter();
  requireAclWrite(call);
  await call.propose(command);
  return call.json(true);
}

const wordOf = ({ title }: { title: string }): string => title.toLowerCase();
