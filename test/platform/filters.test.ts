// The kernel is told to drop or to turn away connections; where it refuses, that is seen and made up for.
import t, { type Test } from "tap";
import { type Host, startHost } from "./bun.ts";

function scenario(name: string, run: (t: Test, host: Host) => Promise<void>): void {
  t.test(name, { skip: process.platform !== "linux", timeout: 30_000 }, async (t) => {
    const host = startHost("./filters-script.ts");
    t.teardown(() => host.end());
    await run(t, host);
  });
}

const warnings = ({ log }: Host): string[] =>
  log.filter(({ level }) => level === "warn").map(({ message }) => message);
const few = "too few descriptors are left: new connections are not taken";

scenario("few descriptors: connections are dropped before they arrive", async (t, host) => {
  await host.call("listen", false, false);
  await host.call("look", 6);
  t.equal(await host.call("connect"), "waiting");
  t.same(warnings(host), [few]);
});

scenario("few descriptors, and a filter that is refused: hung up on", async (t, host) => {
  await host.call("listen", true, false);
  await host.call("look", 6);
  t.equal(await host.call("connect"), "hung up");
  t.equal(await host.call("connect"), "hung up", "at every look");
  t.same(warnings(host), [
    few,
    "the kernel cannot be told to drop new connections: they are hung up on",
  ]);
  t.same(host.log.at(-1)!.fields, { error: "EPERM" });
});

scenario("connections are steered to who shares the port", async (t, host) => {
  await host.call("listen", false, true);
  await host.call("steer");
  t.same(warnings(host), []);
});

scenario("a listener that shares its port with nobody cannot be steered to", async (t, host) => {
  await host.call("listen", false, false);
  await host.call("steer");
  t.same(warnings(host), ["takeover: new connections are divided with the process before"]);
  t.same(host.log.at(-1)!.fields, { error: "EINVAL", listeners: 1 });
});

scenario("a listener that is taken away", async (t, host) => {
  await host.call("listen", false, false);
  await host.call("passOn");
  t.same(warnings(host), []);
  await host.call("listen", true, false);
  await host.call("passOn");
  t.same(warnings(host), [], "the successor takes them by itself, or warns that it cannot");
  t.match(host.log.at(-1), { level: "debug", fields: { error: "EPERM" } });
});
