// The loop against a scripted agent: each line is one answer, and what the handler is told of it.
import t from "tap";
import type { Cancel } from "../../src/ports.ts";
import { indented } from "../../src/watch/answer.ts";
import { followPlan, type WatchFetch } from "../../src/watch/follow.ts";
import { parsePlan } from "../../src/watch/plan.ts";

type Scripted = { status?: number; index?: string; body: string } | Error;

/** Follows a plan through answers; resolves when all were given, with what was asked, told and waited for. */
async function play(parameters: Record<string, unknown>, answers: readonly Scripted[]) {
  const plan = parsePlan(parameters);
  if (!plan.ok) throw new Error(plan.error);
  const asked: string[] = [];
  const told: string[] = [];
  const waits: number[] = [];
  let missed = 0;
  let end = () => {};
  const over = new Promise<void>((resolve) => (end = resolve));
  const fetch: WatchFetch = async (_plan, cursor, signal) => {
    const answer = answers[asked.length];
    asked.push(cursor.value);
    if (answer === undefined) {
      end();
      return new Promise((_resolve, reject) =>
        signal.addEventListener("abort", () => reject(new Error("aborted"))),
      );
    }
    if (answer instanceof Error) throw answer;
    return {
      status: answer.status ?? 200,
      header: (name) => (name === "X-Consul-Index" ? (answer.index ?? null) : null),
      text: answer.body,
    };
  };
  const stop: Cancel = followPlan(plan.value, {
    fetch,
    random: { uint32: () => 0 },
    timers: {
      after(delayMs, run) {
        waits.push(delayMs);
        queueMicrotask(run);
        return () => {};
      },
    },
    handle: async ({ json, index }) => void told.push(`${index} ${json}`),
    failed: (problem, retryMs) => void told.push(`failed: ${problem}, again in ${retryMs} ms`),
    missed: () => void missed++,
  });
  await over;
  stop();
  return { asked, told, waits, missed };
}

const pair = (value: string, flags = "0") =>
  `[{"LockIndex":0,"Key":"a","Flags":${flags},"Value":"${value}","CreateIndex":5,"ModifyIndex":6}]`;
const shown = (value: string, flags = "0") =>
  `{"Key":"a","CreateIndex":5,"ModifyIndex":6,"LockIndex":0,"Flags":${flags},"Value":"${value}","Session":""}`;

t.test("a key: each value once, null when it is gone", async (t) => {
  const played = await play({ type: "key", key: "a" }, [
    { status: 404, index: "4", body: "" },
    { index: "6", body: pair("eA==", "16210313421097356768") },
    { index: "6", body: pair("eA==", "16210313421097356768") }, // the wait was over
    { index: "9", body: pair("eA==", "16210313421097356768") }, // something else changed
    { status: 404, index: "10", body: "" },
  ]);
  t.same(played.asked, ["", "4", "6", "6", "9", "10"]);
  t.same(played.told, ["4 null", `6 ${shown("eA==", "16210313421097356768")}`, "10 null"]);
  t.same(played.waits, []);
});

t.test("a prefix", async (t) => {
  const played = await play({ type: "keyprefix", prefix: "a" }, [
    { index: "6", body: pair("eA==") },
  ]);
  t.same(played.told, [`6 [${shown("eA==")}]`]);
});

t.test("an index that goes back is forgotten, and asked for without haste", async (t) => {
  const played = await play({ type: "services" }, [
    { index: "90", body: '{"a":[]}' },
    { index: "7", body: '{"a":[]}' },
    { index: "7", body: '{"b":["<x>"]}' },
  ]);
  t.same(played.asked, ["", "90", "", "7"]);
  t.same(played.told, ['90 {"a":[]}', '7 {"b":["\\u003cx\\u003e"]}']);
  t.same(played.waits, [1000]);
});

t.test("failures: the wait grows with their square up to its bound, and starts anew", async (t) => {
  const denied = { status: 403, body: "Permission denied\n" };
  const played = await play({ type: "nodes" }, [
    { index: "5", body: "[]" },
    new Error("connection refused"),
    ...Array.from({ length: 6 }, () => denied),
    { index: "0", body: "[]" },
    { index: "5", body: "[]" },
    denied,
  ]);
  t.same(
    played.waits,
    [5, 20, 45, 80, 125, 180, 180, 180, 5].map((s) => s * 1000),
  );
  t.equal(played.told[1], "failed: connection refused, again in 5000 ms");
  t.equal(
    played.told[2],
    "failed: Unexpected response code: 403 (Permission denied), again in 20000 ms",
  );
  t.equal(played.told[8], "failed: the answer has no X-Consul-Index, again in 180000 ms");
  t.same(played.asked, ["", "5", ...Array.from({ length: 8 }, () => ""), "5", ""]);
  t.equal(played.told.length, 1 + 9, "the same value is not told again after a failure");
});

t.test("events: only new ones; an index is nothing but a name", async (t) => {
  const list = (...ids: string[]) => JSON.stringify(ids.map((ID) => ({ ID, Name: "n" })));
  const told = (...ids: string[]) => list(...ids);
  const played = await play({ type: "event" }, [
    { index: "1", body: "[]" },
    { index: "900", body: list("a") },
    { index: "17", body: list("a", "b", "c") },
    { index: "17", body: list("a", "b", "c") },
    { index: "55", body: list("x", "y") }, // a restarted agent
  ]);
  t.same(played.asked, ["", "1", "900", "17", "17", "55"]);
  t.same(played.told, [`1 []`, `900 ${told("a")}`, `17 ${told("b", "c")}`, `55 ${told("x", "y")}`]);
  t.equal(played.missed, 1);
});

t.test("no handler runs after the end, and none beside another", async (t) => {
  const plan = parsePlan({ type: "nodes" });
  if (!plan.ok) throw new Error(plan.error);
  let running = 0;
  let index = 1;
  let end = () => {};
  const over = new Promise<void>((resolve) => (end = resolve));
  const stop = followPlan(plan.value, {
    fetch: async () => {
      t.equal(running, 0, "nobody asks while a handler runs");
      return { status: 200, header: () => String(++index), text: `[${index}]` };
    },
    random: { uint32: () => 0 },
    timers: { after: () => () => {} },
    async handle() {
      running++;
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      if (index === 5) {
        stop();
        end();
      }
    },
    failed: (problem) => t.fail(problem),
    missed: () => t.fail(),
  });
  await over;
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(index, 5);
});

t.test("indented as Go prints it, with all digits", async (t) => {
  t.equal(indented("[]"), "[]");
  t.equal(indented("null"), "null");
  t.equal(
    indented('{"Key":"\\"Flags\\":12","Flags":16210313421097356768}'),
    '{\n    "Key": "\\"Flags\\":12",\n    "Flags": 16210313421097356768\n}',
  );
});
