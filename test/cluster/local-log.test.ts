/** What an operator reads of own checks in the log. */
import t from "tap";
import { startedWorld } from "./local-world.ts";

t.test("changes are told, of many in a second 20", async (t) => {
  const world = await startedWorld();
  await world.register({ Name: "web", Check: { CheckID: "c", TTL: "10s" } });
  await world.check({
    Name: "fast",
    TCP: "h:1",
    Interval: "10ms",
    DeregisterCriticalServiceAfter: "1s",
  });
  await world.agent.updateTtl("c", "passing", "up");
  await world.agent.updateTtl("c", "passing", "still up");
  await world.pass(10_000);
  for (const enable of [true, true, false])
    await world.agent.setMaintenance({ serviceId: "web", enable, reason: enable ? "works" : "" });
  const told = (line: string) => !line.startsWith("debug");
  t.same(world.logged.filter(told), [
    'warn check has an interval below the minimum of 1s {"check":"fast"}',
    'warn check has a deregister interval below the minimum of 1m {"check":"fast"}',
    'info check is now passing {"check":"c","service":"web","before":"critical"}',
    'warn check missed its TTL {"check":"c"}',
    'warn check is now critical {"check":"c","service":"web","before":"passing"}',
    'info service entered maintenance mode {"service":"web","reason":"works"}',
    'info service left maintenance mode {"service":"web"}',
  ]);
  await world.pass(1_000);
  world.logged.length = 0;
  for (let i = 0; i < 100; i++)
    await world.agent.updateTtl("c", i % 2 === 0 ? "passing" : "critical", "");
  t.equal(world.logged.filter((line) => line.includes("check is now")).length, 20);
  await world.pass(1_000);
  await world.agent.updateTtl("c", "passing", "");
  t.ok(world.logged.includes('warn more checks changed {"count":80}'), "those left out");
});
