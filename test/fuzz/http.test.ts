/**
 * Random requests to every endpoint of the application: no exception, no 500 without a text, none that
 * never ends, none that takes long. FUZZ_REQUESTS sets how many, FUZZ_SEED repeats a run.
 */
import t from "tap";
import type { AclSettings } from "../../src/cluster/acl.ts";
import { startAgent } from "../http/agent-world.ts";
import type { Answer } from "../http/harness.ts";
import { bounded } from "./limit.ts";
import { createSource, seed } from "./random.ts";
import { createRequests, hasBrokenEscape, type FuzzRequest, type FuzzRoute } from "./requests.ts";

const REQUESTS = Number(process.env["FUZZ_REQUESTS"] ?? 4_000);
/** Then the state has grown enough, and another one begins. */
const PER_SERVER = 4_000;
/** Longer than any hold of a blocking query. */
const HOLD_MS = 11 * 60_000;
const TURNS = 30;

const tokens = { initialManagement: "", agentRecovery: "", default: "", dns: "" };
const acls: Record<string, Partial<AclSettings>> = {
  "without ACLs": {},
  "with ACLs that allow": { enabled: true, defaultPolicy: "allow", tokens },
  "with ACLs that deny": { enabled: true, defaultPolicy: "deny", tokens },
};

/** Endless (the log) or about the machine (its discs are asked). */
const leftOut = /\/v1\/agent\/(monitor|host)|\/metrics$/;

async function startWorld(acl: Partial<AclSettings>) {
  const { server } = await startAgent({ acl });
  const paths = server.app.routes
    .map(({ path }) => path.replace(/\*$/, ""))
    .filter((path) => path.startsWith("/v1/") && !leftOut.test(path));
  const routes: FuzzRoute[] = [];
  for (const path of new Set(paths)) {
    // oxlint-disable-next-line no-await-in-loop -- a handful
    const { headers } = await server.ask("OPTIONS", path);
    routes.push({ path, methods: (headers.get("Allow") ?? "GET").split(",") });
  }
  const { text } = await server.ask("PUT", "/v1/acl/bootstrap");
  const secret = acl.enabled === true ? (JSON.parse(text) as { SecretID: string }).SecretID : "";
  return { server, routes, secrets: [secret, secret, "nobody", "a b"] };
}

/** The answer; time moves on when there is none for the moment. */
async function send(
  server: Awaited<ReturnType<typeof startWorld>>["server"],
  request: FuzzRequest,
) {
  const { method, path, headers, body } = request;
  let ended: PromiseSettledResult<Answer> | undefined;
  const sent = server.ask(method, path, { headers, ...(body === undefined ? {} : { body }) });
  void Promise.allSettled([sent]).then(([result]) => (ended = result));
  for (let turn = 0; turn < TURNS && ended === undefined; turn++) {
    await new Promise((next) => setImmediate(next));
    if (turn % 10 === 9) server.world.advance(HOLD_MS);
  }
  if (ended === undefined) throw new Error("no answer, whatever time passes");
  return sent;
}

for (const [what, acl] of Object.entries(acls))
  t.test(`${what}: ${REQUESTS} requests of seed ${seed}`, async (t) => {
    const source = createSource(what.length);
    const statuses = new Map<number, number>();
    for (let n = 0; n < REQUESTS;) {
      const { server, routes, secrets } = await startWorld(acl);
      const next = createRequests(source, routes, secrets);
      for (let left = PER_SERVER; left > 0 && n < REQUESTS; left--, n++) {
        const request = next();
        try {
          const { status, text } = await bounded(() => send(server, request));
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
          if (status === 500 && text === "" && !hasBrokenEscape(request.path))
            throw new Error("500 without a text");
        } catch (error) {
          const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
          t.fail(
            `FUZZ_SEED=${seed}, request ${n}: ${JSON.stringify(request).slice(0, 4_000)}: ${why}`,
          );
          return;
        }
      }
    }
    t.comment([...statuses].map(([status, count]) => `${status}: ${count}`).join(", "));
  });
