/**
 * Every route for every kind of token, under default deny, against the real program: what is
 * expected comes from acl-needs.ts. Besides tokens that may read or write everything there are, for
 * each right that some route needs, one token with nothing else and one with everything else.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { loadKeyrings } from "../../src/cluster/keyring/driver.ts";
import { tokenRoutes } from "../../src/http/agent-token.ts";
import { operatorRoutes } from "../../src/http/operator.ts";
import { snapshotRoutes } from "../../src/http/snapshot.ts";
import { startAgent } from "../http/agent-world.ts";
import { startProgram, type Program } from "../program.ts";
import { needs, partsOfSubtrees, type Admin, type Need } from "./acl-needs.ts";

const ROOT = "aaaaaaaa-0000-4000-8000-000000000001";
const WRONG = "bbbbbbbb-0000-4000-8000-00000000000b";

const NAMED = ["agent", "event", "key", "node", "query", "service", "session"];
const SCALARS = ["acl", "operator", "keyring"];

/** Rules that allow `access` on everything. */
const everything = (access: string): string =>
  [
    ...NAMED.map((resource) => `${resource}_prefix "" { policy = "${access}" }`),
    ...SCALARS.map((scalar) => `${scalar} = "${access}"`),
  ].join("\n");

/** `service:read:m-web` → one rule; `access` instead of the one that is named. */
function ruleOf(need: string, access?: string): string {
  const [resource = "", own = "", name] = need.split(":");
  const policy = access ?? own;
  return name === undefined
    ? `${resource} = "${policy}"`
    : `${resource} "${name}" { policy = "${policy}" }`;
}

/** All rights but this one, and but acl:write, which shows all queries; a scalar stands in the rules once. */
function allBut(need: string): string {
  const [resource = ""] = need.split(":");
  const rest = everything("write")
    .replace('acl = "write"', 'acl = "read"')
    .split("\n")
    .filter((line) => !line.startsWith(`${resource} =`));
  const less = need.includes(":write") ? "read" : "deny";
  return [...rest, ruleOf(need, less)].join("\n");
}

/** Paths of all routes there are: those of an application with every group, and those in the sources. */
async function routePaths(): Promise<Set<string>> {
  const keyrings = await loadKeyrings({ dataDir: undefined, encrypt: "", pools: [], warn() {} });
  const never = () => {
    throw new Error("no request is made here");
  };
  const { server } = await startAgent({
    starts: false,
    more: [
      ...snapshotRoutes({ save: never, restore: never, folder: "" }),
      ...operatorRoutes({
        autopilot: never,
        lastEntry: never,
        leadsSinceMs: never,
        keyrings,
      }),
      ...tokenRoutes({ setToken: never }),
    ],
  });
  const served = server.app.routes.map(({ path }) => path.replace(/\*$/, ""));
  const folder = "src/http";
  const written = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) => [
      ...readFileSync(join(folder, file), "utf8").matchAll(/oute\(\s*\[[^\]]*\],\s*"([^"]+)"/g),
    ])
    .map(([, path]) => path!);
  return new Set([...served, ...written].filter((path) => path !== "/"));
}

type Answer = { status: number; text: string };

/** A stream without an end has said enough with its status. */
async function ask(
  program: Program,
  token: string | undefined,
  [method, path]: readonly [string, string],
  body?: unknown,
): Promise<Answer> {
  const reply = await fetch(`http://127.0.0.1:${program.httpPort}${path}`, {
    method,
    ...(token === undefined ? {} : { headers: { "X-Consul-Token": token } }),
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  if (reply.status === 200 && path.startsWith("/v1/agent/monitor")) {
    await reply.body?.cancel();
    return { status: 200, text: "" };
  }
  return { status: reply.status, text: await reply.text() };
}

type Scene = {
  program: Program;
  admin: Admin;
  /** A token with these rules. */
  tokenOf: (rules: string) => Promise<string>;
  fixedQuery: string;
};

async function createScene(t: Test): Promise<Scene> {
  const acl = { enabled: true, default_policy: "deny", tokens: { initial_management: ROOT } };
  const program = await startProgram(t, { acl });
  const admin: Admin = async (method, path, body) => {
    const named = path.replace("{{fixedQuery}}", scene.fixedQuery);
    const { status, text } = await ask(program, ROOT, [method, named], body);
    if (status !== 200) throw new Error(`${method} ${named}: ${status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  };
  const made = new Map<string, Promise<string>>();
  async function make(rules: string): Promise<string> {
    const name = `p${made.size}`;
    await admin("PUT", "/v1/acl/policy", { Name: name, Rules: rules });
    const token = await admin("PUT", "/v1/acl/token", { Policies: [{ Name: name }] });
    return Object(token).SecretID;
  }
  const scene: Scene = {
    program,
    admin,
    fixedQuery: "",
    tokenOf(rules) {
      const known = made.get(rules);
      if (known !== undefined) return known;
      const making = make(rules);
      made.set(rules, making);
      return making;
    },
  };
  await admin("PUT", "/v1/catalog/register", {
    Node: "m-node",
    Address: "10.0.0.1",
    Service: { Service: "m-web" },
    Checks: [
      { Name: "c", CheckID: "c", Status: "passing", ServiceID: "m-web" },
      { Name: "serfHealth", CheckID: "serfHealth", Status: "passing" },
    ],
  });
  await admin("PUT", "/v1/agent/service/register", { Name: "m-web" });
  await admin("PUT", "/v1/agent/check/register", { Name: "m-check", TTL: "1h" });
  await admin("PUT", "/v1/kv/m/k", "v");
  await admin("PUT", "/v1/event/fire/m-event");
  await admin("PUT", "/v1/session/create", { Node: "m-node" });
  const query = { Name: "m-fixed", Service: { Service: "m-web" } };
  scene.fixedQuery = Object(await admin("POST", "/v1/query", query)).ID;
  const Coord = { Vec: [0, 0, 0, 0, 0, 0, 0, 0], Error: 1, Adjustment: 0, Height: 0 };
  await admin("PUT", "/v1/coordinate/update", { Node: "m-node", Coord });
  return scene;
}

/** The path of a row, with an argument that is as good as new. */
async function pathOf(scene: Scene, row: string, { argument = "" }: Need): Promise<string> {
  const [, path = ""] = row.split(" ");
  const subtree = partsOfSubtrees.includes(row) ? path.slice(0, path.lastIndexOf("/") + 1) : path;
  const given = typeof argument === "string" ? argument : await argument(scene.admin);
  return subtree + given.replace("{{fixedQuery}}", scene.fixedQuery);
}

/** Names of tokens → secret and whether the need is met. */
async function tokensFor(
  scene: Scene,
  { needs: need }: Need,
): Promise<[name: string, secret: string | undefined, isAllowed: boolean][]> {
  const { tokenOf } = scene;
  const isWrite = need.includes(":write");
  const isFree = !need.includes(":");
  const [resource = ""] = need.split(":");
  const read = await tokenOf(everything("read"));
  const write = await tokenOf(everything("write").replace('acl = "write"', 'acl = "read"'));
  const mayWrite = resource !== "acl" || !isWrite;
  return [
    ["no token", undefined, isFree],
    ["read", read, !isWrite],
    ["write, but not acl", write, mayWrite],
    ["management", ROOT, true],
    ...(isFree
      ? []
      : ([
          [`only ${need}`, await tokenOf(ruleOf(need)), true],
          [`all but ${need}`, await tokenOf(allBut(need)), false],
        ] as [string, string, boolean][])),
  ];
}

t.test("the table has every route with every method", async (t) => {
  const { program } = await createScene(t);
  const rows = new Set(Object.keys(needs));
  const paths = await routePaths();
  t.ok(paths.size > 85, "routes are found at all");
  for (const path of paths) {
    const argument = path === "/v1/query/" ? "x" : "";
    const reply = await fetch(`http://127.0.0.1:${program.httpPort}${path}${argument}`, {
      method: "OPTIONS",
    });
    const methods = (reply.headers.get("Allow") ?? "").split(",").slice(1);
    t.not(methods.length, 0, `${path} is a route of the program`);
    for (const method of methods)
      if (!rows.delete(`${method} ${path}`)) t.fail(`${method} ${path} has no row in acl-needs.ts`);
  }
  for (const row of partsOfSubtrees) rows.delete(row);
  t.same([...rows], [], "rows of routes that do not exist");
});

t.test("every route for every token", { timeout: 240_000 }, async (t) => {
  const scene = await createScene(t);
  const { program } = scene;
  const later = Object.entries(needs).filter(([, need]) => need.isEnd);
  const first = Object.entries(needs).filter(([, need]) => !need.isEnd);
  let asked = 0;
  for (const [row, need] of [...first, ...later]) {
    const [method = ""] = row.split(" ");
    const refusedText = need.refusal?.text ?? /^Permission denied/;
    const request = async (token: string | undefined): Promise<Answer> => {
      asked++;
      const path = await pathOf(scene, row, need);
      const answer = await ask(program, token, [method, path], need.body);
      // A query of this name may be made once.
      if (row === "POST /v1/query" && answer.status === 200)
        await scene.admin("DELETE", `/v1/query/${Object(JSON.parse(answer.text)).ID}`);
      return answer;
    };
    const wrong = await request(WRONG);
    if (need.needs === "nothing") {
      for (const [name, token] of await tokensFor(scene, need)) {
        const { status } = await request(token);
        t.equal(status, wrong.status, `${row}: ${name} makes no difference`);
      }
      continue;
    }
    t.same(
      [wrong.status, wrong.text],
      [403, "ACL not found"],
      `${row}: a token that does not exist`,
    );
    if (need.needs === "its own token") {
      t.match(await request(undefined), { status: 403, text: "ACL not found" }, `${row}: none`);
      t.equal((await request(ROOT)).status, 200, `${row}: management`);
      continue;
    }
    const tokens = await tokensFor(scene, need);
    for (const [name, token, isAllowed] of tokens.toSorted((a, b) => Number(a[2]) - Number(b[2]))) {
      if (need.isEnd && isAllowed && name !== "management") continue;
      const { status, text } = await request(token);
      const isRefused = status === (need.refusal?.status ?? 403) && refusedText.test(text);
      t.equal(isRefused, !isAllowed, `${row}: ${name}: ${status} ${text.slice(0, 80)}`);
      if (isRefused && need.refusal === undefined) {
        const cause = need.cause === undefined ? "" : `: ${need.cause}`;
        t.equal(text, `Permission denied${cause}`, `${row}: ${name}: the text`);
      }
      if (need.empty === undefined) continue;
      const shown: unknown = JSON.parse(text);
      if (name === "no token") t.same(shown, need.empty, `${row}: nothing without rights`);
      else t.notSame(shown, need.empty, `${row}: something for ${name}`);
    }
  }
  t.ok(asked > 400, `${asked} requests`);
});
