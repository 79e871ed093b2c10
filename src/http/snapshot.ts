/** /v1/snapshot: the whole state as a file, and back. Consul 1.10 semantics; the file is ours. */
import type { Outcome, Snapshot } from "../cluster/engine.ts";
import { version } from "../version.ts";
import { HttpError, route, type Call, type Route } from "./call.ts";
import { parseConsistency, passBarrier, setReadHeaders } from "./read.ts";
import { requireRight } from "./rights.ts";
import { packArchive, receiveArchive } from "./snapshot/driver.ts";

/** Files being saved at the same time: each keeps what has changed since its start in memory. */
const SAVES_MAX = 4;
/** Uploads at the same time; a slow one must not keep another one out. */
const UPLOADS_MAX = 2;

/** What the snapshot routes need besides HttpDeps; agent.ts fills it in. */
export type SnapshotDeps = {
  /** Image of the state as of the call, without what belongs to this server's log. */
  save(): Snapshot;
  /** Engine.restore, and what a new leader does first. */
  restore(snapshot: Snapshot): Promise<Outcome>;
  /** Folder for files under way. */
  folder: string;
};

/** GET and PUT of /v1/snapshot; both need the right to manage ACLs. */
export function snapshotRoutes(deps: SnapshotDeps): readonly Route[] {
  const open = { saves: 0, uploads: 0 };
  return [
    route(["GET", "PUT"], "/v1/snapshot", (call) =>
      call.method === "GET" ? answerSave(call, deps, open) : answerRestore(call, deps, open),
    ),
  ];
}

async function answerSave(
  call: Call,
  deps: SnapshotDeps,
  open: { saves: number },
): Promise<Response> {
  const { consistency } = parseConsistency(call);
  call.requireDatacenter();
  requireRight(call.authorizer().aclWrite());
  await passBarrier(call, consistency);
  if (open.saves >= SAVES_MAX)
    throw new HttpError(503, `${SAVES_MAX} snapshots are being saved already, try again later`);
  const { index, term, chunks } = deps.save();
  const { datacenter } = call.deps.info;
  const head = { index, term, datacenter, version, savedMs: call.deps.clock.wallMs() };
  setReadHeaders(call, index);
  call.setHeader("Content-Type", "application/x-gzip");
  open.saves++;
  let isOpen = true;
  const end = () => {
    if (isOpen) open.saves--;
    isOpen = false;
  };
  // A client that goes away before the first octet leaves a stream that nobody draws from or cancels.
  call.request.signal.addEventListener("abort", end);
  const body = streamOf(packArchive(head, chunks), end);
  return new Response(body, { headers: call.empty().headers });
}

/** Drawn as the client takes it; one that goes away ends it. `onEnd` may be called more than once. */
function streamOf(
  octets: AsyncGenerator<Uint8Array>,
  onEnd: () => void,
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const next = await octets.next();
          if (next.done !== true) return controller.enqueue(next.value);
          onEnd();
          controller.close();
        } catch (error) {
          onEnd();
          controller.error(error);
        }
      },
      async cancel() {
        onEnd();
        await octets.return(undefined);
      },
    },
    { highWaterMark: 1 },
  );
}

async function answerRestore(
  call: Call,
  deps: SnapshotDeps,
  open: { uploads: number },
): Promise<Response> {
  parseConsistency(call);
  call.requireDatacenter();
  requireRight(call.authorizer().aclWrite());
  if (call.deps.leadership().leader === undefined) throw new HttpError(500, "No cluster leader");
  const { body } = call.request;
  if (body === null) throw refused("it is empty");
  if (open.uploads >= UPLOADS_MAX)
    throw new HttpError(
      503,
      `${UPLOADS_MAX} snapshots are being restored already, try again later`,
    );
  open.uploads++;
  try {
    await restore(call, deps, body);
  } finally {
    open.uploads--;
  }
  return call.empty();
}

/** The file is whole before the log hears of it: nothing waits for a slow client. */
async function restore(
  call: Call,
  deps: SnapshotDeps,
  body: ReadableStream<Uint8Array>,
): Promise<void> {
  const received = await receiveArchive(body, deps.folder);
  if (!received.ok) throw refused(received.error);
  const { head, image, discard } = received.value;
  const { log } = call.deps;
  try {
    log("info", "restoring a snapshot", { ...head });
    const outcome = await deps.restore({ index: head.index, term: head.term, chunks: image });
    if (outcome.outcome === "refused") throw refused(outcome.reason);
    if (outcome.outcome === "unknown") throw new HttpError(500, outcome.reason);
    log("info", "snapshot restored", { index: outcome.index });
  } finally {
    await discard();
  }
}

function refused(problem: string): HttpError {
  return new HttpError(500, `the snapshot is refused: ${problem}`);
}
