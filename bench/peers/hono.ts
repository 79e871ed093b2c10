/** What a bare route of hono on Bun costs: the floor of every HTTP row. Usage: hono.ts PORT BODY-FILE. */
import { readFileSync } from "node:fs";
import { Hono } from "hono";

const [port = "0", bodyFile = ""] = process.argv.slice(2);
const entry = {
  LockIndex: 0,
  Key: "bench/key/0000000001",
  Flags: 0,
  Value: Buffer.alloc(200, "x").toString("base64"),
  CreateIndex: 10,
  ModifyIndex: 10,
};
const list: unknown = bodyFile === "" ? [] : JSON.parse(readFileSync(bodyFile, "utf8"));
const app = new Hono();
app.get("/health", (c) => c.text("true"));
app.get("/v1/kv/:key{.+}", (c) => c.json([entry]));
app.get("/v1/health/service/:name", (c) => c.json(list));
// Only this file of the bench runs on Bun; the others know the types of Node.
const { Bun } = globalThis as unknown as { Bun: { serve(options: object): void } };
Bun.serve({ hostname: "127.0.0.1", port: Number(port), fetch: app.fetch });
