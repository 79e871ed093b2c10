// Host names of the catalog take the first reply as it is: what that means for those who ask for the name itself.
import t from "tap";
import { groupDefaults } from "../../src/forwarder/settings.ts";
import { answering, createWorld, flushAll, inWords, saying, wireName } from "./world.ts";

t.test("ask 2: what the first server alone has said keeps nobody from the others", async (t) => {
  const world = createWorld(2, { stale: { ...groupDefaults.stale, enabled: false } });
  const ask = (firstReply: boolean): string => {
    const asked = world.ask("www.test", "A", { firstReply });
    world.pass(5);
    return inWords(asked);
  };
  world.server(1, saying({ rcode: 2 }));
  t.equal(ask(true), "SERVFAIL");
  t.equal(ask(true), "failed", "asked a moment ago (RFC 9520 3.2)");
  t.equal(world.asked.length, 1);
  t.equal(ask(false), "A 198.51.100.1", "of the second one");
  t.equal(ask(true), "A 198.51.100.1", "what is known is known");
  t.equal(world.forwarder.stats().cache!.failureHits, 1);
  world.server(2, saying({ rcode: 2 }));
  world.pass(61_000);
  t.equal(ask(false), "failed");
  const before = world.asked.length;
  t.equal(ask(true), "failed", "when all have failed, the first one has");
  t.equal(world.asked.length, before);
  flushAll(world.forwarder.flush({ name: wireName("www.test"), subtree: false, type: null }));
  t.equal(ask(true), "SERVFAIL", "a flush forgets both");
  flushAll(world.forwarder.flush({ name: wireName("www.test"), subtree: false, type: 1 }));
  world.server(1, answering());
  t.equal(ask(true), "A 198.51.100.1");
});
