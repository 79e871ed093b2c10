// Snapshot files: what a restore brings back, and what is refused without a trace.
import { createHash } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import t from "tap";
import type { Snapshot } from "../../src/cluster/engine.ts";
import {
  ARCHIVE_END_OCTETS,
  archiveEnd,
  archiveStart,
  headLine,
} from "../../src/cluster/snapshot-archive.ts";
import { snapshotRoutes } from "../../src/http/snapshot.ts";
import { packArchive } from "../../src/http/snapshot/driver.ts";
import { createPick } from "../cluster/state-fixtures.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { denying, ROOT } from "./guarded.ts";
import { createServer, type Server } from "./harness.ts";

const MUTATIONS = Number(process.env["FUZZ_SNAPSHOTS"] ?? 1000);
const folder = temporaryDirectory(t);

/** A server with the routes of the snapshot; a restore is an entry of its own, above the image's index. */
function create(acl?: Parameters<typeof createServer>[0]): Server & { restores: number } {
  const routes = snapshotRoutes({
    save: () => ({ ...server.state.snapshot("portable"), term: 3 }),
    async restore({ index, chunks }: Snapshot) {
      const prepared = await server.state
        .prepare(chunks, { index: index + 1 })
        .catch((error: Error) => ({ ok: false, error: error.message }) as const);
      if (!prepared.ok) return { outcome: "refused", reason: prepared.error };
      prepared.value.put();
      server.restores++;
      return { outcome: "committed", index: prepared.value.index, result: null };
    },
    folder,
  });
  const server = Object.assign(createServer({ ...acl, more: routes }), { restores: 0 });
  return server;
}

async function request(server: Server, method: string, body?: Uint8Array | string) {
  const client = { address: "127.0.0.1", port: 1 };
  const init = body === undefined ? { method } : { method, body: Buffer.from(body) };
  const response = await server.app.fetch(new Request("http://x/v1/snapshot", init), {
    client,
    keepOpen() {},
  });
  return { response, octets: new Uint8Array(await response.arrayBuffer()) };
}

const save = async (server: Server) => (await request(server, "GET")).octets;
const textOf = (octets: Uint8Array) => Buffer.from(octets).toString();

/** One of everything that can be written through the API. */
async function fill(server: Server): Promise<void> {
  const put = async (path: string, body?: unknown, method = "PUT") => {
    const answer = await server.ask(method, path, body === undefined ? {} : { body });
    if (answer.status !== 200) throw new Error(`${path}: ${answer.text}`);
    return answer.json;
  };
  await put("/v1/catalog/register", {
    Node: "n1",
    Address: "10.0.0.1",
    NodeMeta: { rack: "\u00fc1" },
    Service: { Service: "web", Port: 80, Tags: ["a"] },
    Check: { CheckID: "disk", Name: "disk", Status: "passing" },
  });
  const session = (await put("/v1/session/create", {
    Node: "n1",
    Name: "s",
    NodeChecks: [],
  })) as { ID: string };
  await put("/v1/kv/plain?flags=18446744073709551615", "value");
  await put("/v1/kv/empty", "");
  await put(`/v1/kv/locked?acquire=${session.ID}`, "mine");
  await put("/v1/kv/gone", "x");
  await put("/v1/kv/gone", undefined, "DELETE");
  await put("/v1/query", { Name: "q", Service: { Service: "web" } }, "POST");
  await server.propose({
    type: "coordinates",
    updates: [
      {
        node: "n1",
        segment: "",
        coordinate: { vec: [1, 2, 3, 4, 5, 6, 7, 8], error: 1, adjustment: 0, height: 1 },
      },
    ],
  });
  await server.propose({ type: "epoch", epoch: 1 });
}

const reads = [
  "/v1/kv/?recurse",
  "/v1/kv/gone",
  "/v1/catalog/nodes",
  "/v1/catalog/service/web",
  "/v1/health/node/n1",
  "/v1/session/list",
  "/v1/query",
  "/v1/coordinate/nodes",
];

async function look(server: Server) {
  const answers = [];
  for (const path of reads) {
    const { status, text, headers } = await server.ask("GET", path);
    answers.push({ path, status, text, index: headers.get("X-Consul-Index") });
  }
  return answers;
}

t.test("a saved state comes back as it was, indexes and all", async (t) => {
  const server = create();
  await fill(server);
  const before = await look(server);
  const { response, octets } = await request(server, "GET");
  t.equal(response.headers.get("Content-Type"), "application/x-gzip");
  t.equal(response.headers.get("X-Consul-Index"), String(server.state.reader.index));
  t.match(textOf(gunzipSync(octets)), /^\{"waypost-snapshot":1,"index":\d+,"term":3,"datacenter"/);
  await server.ask("DELETE", "/v1/kv/?recurse");
  await server.ask("PUT", "/v1/catalog/deregister", { body: { Node: "n1" } });
  t.notSame(await look(server), before);
  const restored = await request(server, "PUT", octets);
  t.same([restored.response.status, textOf(restored.octets)], [200, ""]);
  t.same(await look(server), before);
  const other = create();
  t.equal((await request(other, "PUT", octets)).response.status, 200);
  t.same(await look(other), before, "also on a server that was empty");
  t.equal(other.state.epoch, 0, "the epoch belongs to the log");
});

t.test("what is saved is of the moment of the request", async (t) => {
  const server = create();
  for (let i = 0; i < 5000; i++) {
    const value = Buffer.from(`${i}`).toString("base64");
    await server.propose({
      type: "kv",
      operation: { verb: "set", key: `k${i}`, value, flags: "0" },
    });
  }
  const before = await look(server);
  const stream = packArchive(
    { index: 1, term: 1, datacenter: "dc1", version: "0", savedMs: 0 },
    server.state.snapshot("portable").chunks,
  );
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) {
    chunks.push(chunk);
    await server.ask("PUT", `/v1/kv/k${chunks.length * 7}`, { body: "changed" });
    await server.ask("DELETE", `/v1/kv/k${chunks.length * 11}`);
  }
  const other = create();
  t.equal((await request(other, "PUT", Buffer.concat(chunks))).response.status, 200);
  t.same(await look(other), before);
});

t.test("every changed octet and every missing end is refused, nothing has changed", async (t) => {
  const server = create();
  await server.ask("PUT", "/v1/kv/a", { body: "1" });
  const octets = await save(server);
  await server.ask("PUT", "/v1/kv/a", { body: "2" });
  const digest = server.state.digest();
  const attempts: [string, Uint8Array][] = [];
  for (let at = 0; at < octets.length; at++) {
    const bit = octets.slice();
    bit[at]! ^= 1 << (at % 8);
    const all = octets.slice();
    all[at]! ^= 0xff;
    attempts.push(
      [`bit at ${at}`, bit],
      [`octet ${at}`, all],
      [`cut at ${at}`, octets.slice(0, at)],
    );
  }
  attempts.push(["one octet more", Buffer.concat([octets, Buffer.from("x")])]);
  attempts.push(["twice", Buffer.concat([octets, octets])]);
  for (const [what, attempt] of attempts) {
    const { response, octets: text } = await request(server, "PUT", attempt);
    if (response.status !== 500 || !/^the snapshot is refused: ./.test(textOf(text)))
      t.fail(`${what}: ${response.status} ${textOf(text)}`);
  }
  t.equal(server.restores, 0, `${attempts.length} attempts`);
  t.equal(server.state.digest(), digest);
  t.equal((await request(server, "PUT", octets)).response.status, 200, "the whole one is taken");
});

t.test("foreign files are named", async (t) => {
  const server = create();
  const tar = Buffer.alloc(1024);
  tar.write("meta.json");
  tar.write("ustar", 257);
  const newer = archiveStart();
  newer[newer.length - 2] = 9;
  const cases: [string, Uint8Array, RegExp][] = [
    ["nothing", new Uint8Array(0), /it is empty$/],
    ["text", Buffer.from("garbage"), /it is not a gzip file/],
    ["Consul's", gzipSync(tar), /a gzip file, but no snapshot of waypost \(those of Consul/],
    ["newer", Buffer.concat([newer, Buffer.alloc(100)]), /it has version 9, this waypost knows 1$/],
    ["start only", archiveStart(), /cut off or damaged at its end$/],
  ];
  for (const [name, body, problem] of cases) {
    const { response, octets } = await request(server, "PUT", body);
    t.equal(response.status, 500, name);
    t.match(textOf(octets), problem, name);
  }
});

/** An archive with a right checksum over whatever `data` is. */
function forge(data: Uint8Array): Uint8Array {
  const first = Buffer.concat([archiveStart(), gzipSync(data).subarray(10)]);
  return Buffer.concat([first, archiveEnd(createHash("sha256").update(first).digest())]);
}

t.test(
  "a forged one with right checksums: each row is looked at",
  { timeout: 600_000 },
  async (t) => {
    const server = create();
    await fill(server);
    const data = gunzipSync(await save(server));
    t.equal((await request(server, "PUT", forge(data))).response.status, 200, "the forger can");
    server.restores = 0;
    const digest = server.state.digest();
    const pick = createPick(7);
    const start = data.indexOf(10) + 1;
    let refusedCount = 0;
    for (let run = 0; run < MUTATIONS; run++) {
      const mutated = Buffer.from(data);
      for (let count = 1 + pick(3); count > 0; count--)
        mutated[(run % 4 === 0 ? 0 : start) + pick(mutated.length - start)] = pick(256);
      const cut = run % 10 === 0 ? mutated.subarray(0, pick(mutated.length)) : mutated;
      const { response, octets } = await request(server, "PUT", forge(cut));
      if (response.status === 500 && /^the snapshot is refused: ./.test(textOf(octets)))
        refusedCount++;
      else if (!cut.equals(data) && server.restores > 0) {
        // Only the head line, which nothing depends on but the index, may be another one.
        const isHead = cut.subarray(start).equals(data.subarray(start));
        if (!isHead || response.status !== 200) t.fail(`run ${run}: ${response.status}`);
        await request(server, "PUT", forge(data));
        server.restores = 0;
      }
    }
    t.ok(refusedCount > MUTATIONS * 0.8, `${refusedCount} of ${MUTATIONS} refused`);
    t.equal(server.state.digest(), digest);
  },
);

t.test("an index that leaves none for the log is refused", async (t) => {
  const server = create();
  const data = gunzipSync(await save(server));
  const image = data.subarray(data.indexOf(10) + 1);
  const about = { term: 1, datacenter: "dc1", version: "0", savedMs: 0 };
  const put = (index: number) =>
    request(server, "PUT", forge(Buffer.concat([headLine({ index, ...about }), image])));
  const { octets } = await put(2 ** 47 + 1);
  t.match(textOf(octets), /first line is not that of a snapshot$/);
  t.equal((await put(2 ** 47)).response.status, 200);
});

t.test("a bomb of one endless frame, one endless line, too much of a good thing", async (t) => {
  const server = create();
  const head = headLine({ index: 1, term: 1, datacenter: "dc1", version: "0", savedMs: 0 });
  const image = Buffer.from("WPSTATE1");
  const frame = Buffer.alloc(8);
  frame.writeUInt32LE(0xffff_fff0);
  const zeros = Buffer.alloc(64 * 1024 * 1024);
  const bombs: [string, Uint8Array[], RegExp][] = [
    ["frame", [head, image, frame, zeros], /frame too long$/],
    ["line", [zeros], /first line is not that of a snapshot$/],
    ["zeros", [head, zeros], /not a snapshot of waypost's state$/],
    ["no line at all", [], /first line is missing$/],
  ];
  for (const [name, parts, problem] of bombs) {
    const body = forge(Buffer.concat(parts));
    const { octets } = await request(server, "PUT", body);
    t.match(textOf(octets), problem, `${name}: ${body.length} octets`);
  }
});

t.test("only who manages ACLs; other datacenters and methods", async (t) => {
  const server = create({ acl: { ...denying(), defaultPolicy: "allow" } });
  for (const method of ["GET", "PUT"]) {
    const refused = await server.ask(method, "/v1/snapshot");
    t.same([refused.status, refused.text], [403, "Permission denied"], method);
    const unknown = await server.ask(method, "/v1/snapshot?token=nobody");
    t.same([unknown.status, unknown.text], [403, "ACL not found"], method);
  }
  t.equal((await server.ask("GET", `/v1/snapshot?token=${ROOT}`)).status, 200);
  const dc = await server.ask("GET", `/v1/snapshot?dc=mars&token=${ROOT}`);
  t.same([dc.status, dc.text], [500, "No path to datacenter"]);
  t.equal((await server.ask("GET", "/v1/snapshot?stale&consistent")).status, 400);
  const post = await server.ask("POST", "/v1/snapshot");
  t.same([post.status, post.headers.get("Allow")], [405, "OPTIONS,GET,PUT"]);
});

t.test("a client that goes away frees its place, and places are few", async (t) => {
  const server = create();
  await fill(server);
  const get = async () =>
    server.app.fetch(new Request("http://x/v1/snapshot"), {
      client: { address: "127.0.0.1", port: 1 },
      keepOpen() {},
    });
  const open = await Promise.all(Array.from({ length: 4 }, get));
  t.same(
    open.map(({ status }) => status),
    [200, 200, 200, 200],
  );
  t.equal((await get()).status, 503);
  await open[0]!.body!.cancel();
  const next = await get();
  t.equal(next.status, 200);
  for (const { body } of [...open.slice(1), next]) await new Response(body).arrayBuffer();
  t.equal((await get()).status, 200);
});

t.test("gzip knows the file as one of two members, the second without data", async (t) => {
  const octets = await save(create());
  const end = octets.subarray(-ARCHIVE_END_OCTETS);
  t.equal(gunzipSync(end).length, 0);
  t.equal(gunzipSync(octets).length, gunzipSync(octets.subarray(0, -ARCHIVE_END_OCTETS)).length);
});
