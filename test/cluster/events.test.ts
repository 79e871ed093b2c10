import t from "tap";
import {
  createEventBus,
  filterProblem,
  sizeOf,
  type EventFields,
} from "../../src/cluster/events.ts";

const octets = (text: string) => new TextEncoder().encode(text);
const fields = (over: Partial<EventFields> = {}): EventFields => ({
  name: "deploy",
  payload: octets(""),
  nodeFilter: "",
  serviceFilter: "",
  tagFilter: "",
  ...over,
});

function createBus(services: { service: string; tags: string[] }[] = []) {
  let drawn = 0;
  return createEventBus({
    nodeName: "node-a",
    services: () => services,
    newId: () => `5527aadc-8876-4996-5311-${(++drawn).toString(16).padStart(12, "0")}`,
  });
}

// Sent by Consul 1.10.12: type octet, then the body.
const recorded =
  "0384a24343c2a54c54696d6503a44e616d65af636f6e73756c3a6576656e743a6532a75061796c6f6164da0038" +
  "84a24944d92435353237616164632d383837362d343939362d353331312d343964346461393863396638" +
  "a16ea26532a170c4027032a17601";

t.test("the size is that of the message in gossip", async (t) => {
  const event = {
    ...fields({ name: "e2", payload: octets("p2") }),
    id: "5527aadc-8876-4996-5311-49d4da98c9f8",
    version: 1,
    lamportTime: 3,
  };
  t.same(sizeOf(event), { plain: "consul:event:e2".length + 0x38, encoded: recorded.length / 2 });
  // The longest payload that real limits leave: from 31 to 32 and from 255 to 256 octets headers grow.
  const largest = (over: Partial<EventFields>, time = 1) => {
    const bus = createBus();
    for (let i = 1; i < time; i++) bus.fire(fields({ name: "e" }));
    for (let length = 600; length > 0; length--)
      if (bus.fire(fields({ ...over, payload: octets("x".repeat(length)) })).ok) return length;
    return 0;
  };
  const base = 1 + 1 + 4 + 6 + 1 + 5 + 8 + 1 + "consul:event:e".length + 3;
  const inner = 1 + 41 + 4 + 2 + 3 + 3;
  t.equal(largest({ name: "e" }), 512 - base - inner);
  t.equal(largest({ name: "e", nodeFilter: "abc" }), 512 - base - inner - 7);
  t.equal(largest({ name: "é" }), 512 - base - inner - 2, "octets, not characters");
  t.equal(largest({ name: "e" }, 128), 512 - base - inner - 1, "a later time takes more");
});

t.test("too large: Serf's two limits, in the words of Consul", async (t) => {
  const bus = createBus();
  const list = (text: string) =>
    `1 error occurred:\n\t* error broadcasting event to segment "": ${text}\n\n`;
  const fire = (length: number) => bus.fire(fields({ payload: octets("x".repeat(length)) }));
  t.same(fire(600), {
    ok: false,
    error: list("user event exceeds configured limit of 512 bytes before encoding"),
  });
  t.same(fire(430), {
    ok: false,
    error: list("encoded user event exceeds configured limit of 512 bytes after encoding"),
  });
  t.same(bus.list(), []);
  t.match(fire(1), { ok: true, value: { lamportTime: 1 } }, "a refused one takes no time");
});

t.test("filters: what is refused", async (t) => {
  const refused: [Partial<EventFields>, RegExp][] = [
    [{ nodeFilter: "[" }, /^Invalid node filter: error parsing regexp: /],
    [{ serviceFilter: "*" }, /^Invalid service filter: error parsing regexp: /],
    [{ serviceFilter: "a", tagFilter: "(" }, /^Invalid tag filter: error parsing regexp: /],
    [{ tagFilter: "x" }, /^Cannot provide tag filter without service filter$/],
    [{ nodeFilter: "[", tagFilter: "x" }, /^Cannot provide tag filter/],
  ];
  for (const [over, text] of refused) t.match(filterProblem(fields(over)), text);
  t.equal(
    filterProblem(fields({ nodeFilter: "^a", serviceFilter: "b", tagFilter: "c" })),
    undefined,
  );
});

t.test("filters: who sees it", async (t) => {
  const bus = createBus([
    { service: "web", tags: ["blue"] },
    { service: "db", tags: ["green"] },
  ]);
  const sees: [Partial<EventFields>, boolean][] = [
    [{}, true],
    [{ nodeFilter: "ode-" }, true],
    [{ nodeFilter: "^b" }, false],
    [{ serviceFilter: "^we" }, true],
    [{ serviceFilter: "cache" }, false],
    [{ serviceFilter: "web", tagFilter: "bl.e" }, true],
    [{ serviceFilter: "web", tagFilter: "green" }, false],
    [{ serviceFilter: "web|db", tagFilter: "green" }, true],
    [{ nodeFilter: "^b", serviceFilter: "web" }, false],
    [{ name: "_rexec" }, false],
  ];
  let told = 0;
  const stop = bus.onChange(() => told++);
  let time = 0;
  for (const [over, expected] of sees) {
    const before = bus.list().length;
    t.match(bus.fire(fields(over)), { ok: true, value: { lamportTime: ++time } });
    t.equal(bus.list().length - before, expected ? 1 : 0, JSON.stringify(over));
  }
  t.equal(told, bus.list().length);
  stop();
  bus.fire(fields());
  t.equal(told, bus.list().length - 1);
});

t.test("the last 256 are kept", async (t) => {
  const bus = createBus();
  for (let i = 0; i < 300; i++) bus.fire(fields({ name: `e${i}` }));
  t.same(
    bus.list().map(({ name }) => name),
    Array.from({ length: 256 }, (_, i) => `e${i + 44}`),
  );
});
