// `lock` beside holders that die, and beside the lock of another client: never two at a time. The TTL
// of a session is 15 s and ends at most as much later, a lock delay follows: this takes its time.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import createOldClient from "consul-0";
import { BUSY_MS, startProgram, waypostPath } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

const TTL_MS = 15_000;
const LOCK_DELAY_MS = 15_000;
/** Between two tries while a lock delay holds, and the time of a launch. */
const SLACK_MS = 8_000;

function startLock(t: Test, httpPort: number, args: readonly string[]) {
  const child = spawn(waypostPath, ["lock", `-http-addr=127.0.0.1:${httpPort}`, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  const closed = once(child, "close");
  return {
    child,
    out: () => out,
    async says(word: string, limitMs = 20_000): Promise<number> {
      const startMs = performance.now();
      while (!out.includes(word)) {
        if (performance.now() - startMs > limitMs) throw new Error(`never said ${word}: ${out}`);
        await sleep(10);
      }
      return performance.now() - startMs;
    },
    ended: async () => {
      await closed;
      return child.exitCode;
    },
  };
}

t.test(
  "a holder that is killed: the next one enters after TTL and lock delay",
  { timeout: 120_000 },
  async (t) => {
    const program = await startProgram(t);
    const { httpPort } = program;
    const file = join(temporaryDirectory(t), "pid");
    const command = (name: string) => `echo $$ > ${file}.${name}; echo in; exec sleep 100`;
    const holder = startLock(t, httpPort, ["dead", command("lock")]);
    const place = startLock(t, httpPort, ["-n=2", "places", command("place")]);
    const other = startLock(t, httpPort, ["-n=2", "places", command("other")]);
    await Promise.all([holder, place, other].map((each) => each.says("in")));
    const next = startLock(t, httpPort, ["dead", "echo in"]);
    const third = startLock(t, httpPort, ["-n=2", "places", "echo in"]);
    holder.child.kill("SIGKILL");
    place.child.kill("SIGKILL");
    const killedMs = performance.now();
    // A semaphore has no lock delay: its list of holders is a plain key.
    await third.says("in", 2 * TTL_MS + SLACK_MS);
    const thirdMs = performance.now() - killedMs;
    await next.says("in", 2 * TTL_MS + LOCK_DELAY_MS + SLACK_MS);
    const nextMs = performance.now() - killedMs;
    t.comment(`place free after ${Math.round(thirdMs)} ms, lock after ${Math.round(nextMs)} ms`);
    t.ok(thirdMs > TTL_MS / 2, "not before the session can have ended");
    t.ok(nextMs > TTL_MS / 2 + LOCK_DELAY_MS);
    t.equal(await next.ended(), 0);
    t.equal(await third.ended(), 0);
    // What the killed one had started goes on without the lock, as with Consul: its keeper is gone.
    for (const name of ["lock", "place"]) {
      const left = Number(readFileSync(`${file}.${name}`, "utf8"));
      t.ok(existsSync(`/proc/${left}`));
      process.kill(left);
    }
    other.child.kill("SIGTERM");
    t.equal(await other.ended(), 0);
  },
);

t.test(
  "an agent that stays away: the command ends before its session does",
  { timeout: 120_000 },
  async (t) => {
    const first = await startProgram(t);
    const { httpPort, dnsPort } = first;
    const holder = startLock(t, httpPort, [
      "-verbose",
      "-monitor-retry=1000",
      "gone",
      "echo in; trap 'echo out; exit' TERM; while :; do sleep 0.05; done",
    ]);
    await holder.says("in\n");
    await first.end("SIGKILL");
    const awayMs = performance.now();
    await holder.says("out", TTL_MS + SLACK_MS);
    const tookMs = performance.now() - awayMs;
    t.comment(`ended after ${Math.round(tookMs)} ms`);
    t.ok(tookMs < TTL_MS + 2_000 + BUSY_MS, "not longer than the shortest life of a session");
    t.match(holder.out(), /Lock lost, killing child/);
    t.equal(await holder.ended(), 1, "it could not be released");
    await startProgram(t, {}, { directory: dirname(first.configFile), httpPort, dnsPort });
  },
);

t.test("the lock helper of the npm client and ours take turns", { timeout: 60_000 }, async (t) => {
  const program = await startProgram(t);
  const { httpPort } = program;
  const client = createOldClient({ host: "127.0.0.1", port: String(httpPort), promisify: true });
  let holders = 0;
  let most = 0;
  let turns = 0;
  const enter = () => (most = Math.max(most, ++holders));
  const theirs = async () => {
    for (let turn = 0; turn < 4; turn++) {
      const lock = client.lock({
        key: "shared/.lock",
        session: { lockdelay: "0s", ttl: "15s" },
        lockretrytime: "100ms",
      });
      const taken = once(lock, "acquire");
      lock.acquire();
      await taken;
      enter();
      turns++;
      await sleep(100);
      holders--;
      const released = once(lock, "end");
      lock.release();
      await released;
    }
  };
  const ours = async () => {
    for (let turn = 0; turn < 4; turn++) {
      const lock = startLock(t, httpPort, ["shared", "echo in; sleep 0.1; echo out"]);
      lock.child.stdout.on("data", (text: string) => {
        if (text.includes("in")) enter();
        if (text.includes("out")) holders--;
      });
      t.equal(await lock.ended(), 0);
      turns++;
    }
  };
  await Promise.all([theirs(), ours(), ours()]);
  t.equal(turns, 12);
  t.equal(most, 1);
});
