import t from "tap";
import { createUpstreamLog } from "../../src/agent/upstream-log.ts";
import type { UpstreamEvent } from "../../src/forwarder/events.ts";
import { groupDefaults } from "../../src/forwarder/settings.ts";
import { createUpstreams } from "../../src/forwarder/upstreams.ts";

const servers = ["192.0.2.1", "192.0.2.2"].map((address) => ({ address, port: 53 }));
const [one, two] = createUpstreams({ ...groupDefaults, servers }, 1, () => undefined).servers;
const down = (server = one!): UpstreamEvent => ({
  type: "down",
  server,
  group: "corp.test",
  reason: "timeout",
  elapsedMs: 2000.4,
});

function world() {
  let nowMs = 0;
  const lines: string[] = [];
  const tell = createUpstreamLog(
    (level, message, fields = {}) =>
      lines.push(
        [
          level,
          message,
          ...Object.entries(fields).map(([key, value]) => `${key}=${String(value)}`),
        ].join(" "),
      ),
    { monotonicMs: () => nowMs },
  );
  return { lines, tell, pass: (ms: number) => (nowMs += ms) };
}

t.test("ask 4, 9: name, server, time and reason of each change", async (t) => {
  const { lines, tell } = world();
  tell(down());
  tell({ type: "all down", group: "", reason: "ECONNREFUSED" });
  tell({ type: "up", server: one!, group: "", downMs: 12_345 });
  tell({ type: "busy", server: one!, group: "", perSecond: 820 });
  tell({ type: "loop", server: two!, group: "" });
  tell({ type: "full", group: "corp.test", client: "10.0.0.7", places: 4096 });
  t.same(lines, [
    "warn dns: upstream does not answer upstream=192.0.2.1:53 zone=corp.test reason=timeout elapsed=2s",
    "warn dns: all resolvers failed reason=ECONNREFUSED",
    "info dns: upstream answers again upstream=192.0.2.1:53 down=12.345s",
    "warn dns: upstream is near its packets per second upstream=192.0.2.1:53 per_second=820",
    "error dns: upstream sends questions back to this agent; it is not asked any more upstream=192.0.2.2:53",
    "warn dns: too many questions are under way; the oldest are given up zone=corp.test client=10.0.0.7 places=4096",
  ]);
});

t.test("S24: one that flaps is told once in ten seconds, with what was left out", async (t) => {
  const { lines, tell, pass } = world();
  for (let i = 0; i < 30_000; i++) {
    tell(down());
    pass(1);
  }
  tell(down(two!));
  t.equal(lines.length, 4);
  t.match(lines[1], /elapsed=2s not_told=9999$/);
  t.match(lines[3], /upstream=192\.0\.2\.2:53/);
});

t.test("ask 10: that two servers disagree is said once, whichever denies what", async (t) => {
  const { lines, tell, pass } = world();
  const disagree = (name: string, denying = one!, knowing = two!): void => {
    const qname = Uint8Array.of(name.length, ...Buffer.from(name), 0);
    tell({ type: "disagree", denying, knowing, group: "", qname });
  };
  for (const name of ["intern", "other"]) {
    disagree(name);
    disagree(name, two!, one!);
    pass(60_000);
  }
  t.equal(lines.length, 1);
  t.match(lines[0], /^warn dns: upstreams disagree about a name: .*forwarder.next_on NXDOMAIN/);
  t.match(lines[0], / name=intern\. denied_by=192\.0\.2\.1:53 known_to=192\.0\.2\.2:53$/);
});
