/** The gate follows the configuration and the interfaces of the machine. */
import t from "tap";
import { connectedNetworks, createDnsAccess } from "../../src/agent/dns-access.ts";
import type { LoadedConfig } from "../../src/config.ts";
import type { LoadedAccess } from "../../src/config/forwarder/access.ts";
import type { Interfaces } from "../../src/config/interface-address.ts";
import { interfaces } from "../config/world.ts";

const access: LoadedAccess = {
  allow: [],
  deny: [],
  localService: true,
  othersAnswered: false,
  exempt: [],
  ratePerSecond: 0,
  slip: 2,
  payloadOctets: 1232,
  cookies: true,
  secrets: [],
};
/** As much of a configuration as the gate is made of. */
const loadedWith = (over: Partial<LoadedAccess> = {}) =>
  ({ access: { ...access, ...over }, local: { views: [] } }) as unknown as LoadedConfig;

function createScene(first: Interfaces) {
  let nowMs = 0;
  let present = first;
  let prohibited = 0;
  let reads = 0;
  let onRead = (): void => {};
  let planned: { atMs: number; run: () => void } | undefined;
  const lines: string[] = [];
  const kept = createDnsAccess(loadedWith(), {
    clock: { monotonicMs: () => nowMs, wallMs: () => 1_700_000_000_000 + nowMs },
    timers: {
      after(delayMs, run) {
        planned = { atMs: nowMs + delayMs, run };
        return () => (planned = undefined);
      },
    },
    random: { uint32: () => 4, uuid: () => "" },
    log: (level, message, fields) => lines.push(`${level} ${message} ${JSON.stringify(fields)}`),
    interfaces: () => {
      reads++;
      onRead();
      return present;
    },
  });
  kept.watchRefusals(() => prohibited);
  return {
    ...kept,
    lines,
    reads: () => reads,
    plug: (next: Interfaces) => (present = next),
    refuse: () => prohibited++,
    whileReading: (run: () => void) => (onRead = run),
    pass(ms: number) {
      const end = nowMs + ms;
      while (planned !== undefined && planned.atMs <= end) {
        nowMs = planned.atMs;
        planned.run();
      }
      nowMs = end;
    },
    isRunning: () => planned !== undefined,
  };
}

const bridge = (cidr: string): Interfaces => ({
  ...interfaces,
  br0: [{ address: cidr.split("/")[0]!, family: "IPv4", cidr, internal: false }],
});

t.test("connected networks, each once, without loopback", async (t) => {
  t.same(
    connectedNetworks(interfaces).map(
      ({ octets, prefixLength }) => `${octets.join()}/${prefixLength}`,
    ),
    [
      "172,17,0,0/16",
      "254,128,0,0,0,0,0,0,0,0,0,0,0,0,0,0/64",
      "10,1,2,0/24",
      "253,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0/64",
      "192,168,4,0/22",
      "8,8,4,4/30",
      "38,0,31,24,0,0,0,0,0,0,0,0,0,0,0,0/64",
    ],
  );
});

t.test(
  "a network that comes later is answered within a second of its first question",
  async (t) => {
    const scene = createScene(interfaces);
    const { gate } = scene;
    t.ok(gate.isAnswered("10.1.2.200"));
    t.ok(gate.isAnswered("fd00:1::77"));
    t.notOk(gate.isAnswered("198.51.100.1"));
    scene.plug(bridge("198.51.100.9/24"));
    scene.pass(5000);
    t.notOk(gate.isAnswered("198.51.100.1"), "nobody has asked");
    scene.refuse();
    scene.pass(1000);
    t.ok(gate.isAnswered("198.51.100.1"));
    scene.plug(interfaces);
    scene.pass(29_000);
    t.ok(gate.isAnswered("198.51.100.1"));
    scene.pass(2000);
    t.notOk(gate.isAnswered("198.51.100.1"), "gone: within 30 s");
    const before = scene.reads();
    scene.pass(300_000);
    t.ok(scene.reads() - before <= 10, "in silence every 30 s");
    scene.stop();
    t.notOk(scene.isRunning());
  },
);

t.test("reload", async (t) => {
  const scene = createScene({});
  const { gate } = scene;
  t.ok(gate.isAnswered("127.0.0.1"), "a machine without a network answers itself");
  t.notOk(gate.isAnswered("10.1.2.3"));
  const allow = [{ octets: Uint8Array.of(10, 0, 0, 0), prefixLength: 8 }];
  scene.reload(loadedWith({ allow, localService: false }));
  t.ok(gate.isAnswered("10.1.2.3"));
  scene.plug(interfaces);
  scene.pass(31_000);
  t.notOk(gate.isAnswered("172.17.0.9"), "connected networks do not matter then");
  scene.reload(loadedWith());
  t.ok(gate.isAnswered("172.17.0.9"));
  scene.reload(loadedWith({ localService: false, othersAnswered: true }));
  t.ok(gate.isAnswered("198.51.100.1"));
});

t.test("neighbours are answered all through a reload", async (t) => {
  const scene = createScene(interfaces);
  const seen: boolean[] = [];
  scene.whileReading(() => seen.push(scene.gate.isAnswered("172.17.0.9")));
  scene.reload(loadedWith());
  t.same(seen, [true]);
  t.ok(scene.gate.isAnswered("172.17.0.9"));
});

t.test("where interfaces cannot be read, what is known stays", async (t) => {
  const scene = createScene(interfaces);
  scene.whileReading(() => {
    throw new Error("getifaddrs returned an error");
  });
  scene.pass(31_000);
  t.ok(scene.gate.isAnswered("172.17.0.9"));
  scene.reload(loadedWith());
  t.ok(scene.gate.isAnswered("172.17.0.9"), "through a reload too");
  scene.whileReading(() => {});
  scene.plug(bridge("198.51.100.9/24"));
  scene.pass(31_000);
  t.ok(scene.gate.isAnswered("198.51.100.1"), "it goes on looking");
});

t.test("more connected networks than there is room for are told once", async (t) => {
  const many: Interfaces = {
    veth: Array.from({ length: 1030 }, (_, i) => {
      const address = `10.${i >> 8}.${i & 255}.1`;
      return { address, family: "IPv4", cidr: `${address}/30`, internal: false };
    }),
  };
  const scene = createScene(many);
  t.ok(scene.gate.isAnswered("10.0.0.2"));
  t.notOk(scene.gate.isAnswered("10.4.5.2"));
  scene.plug({});
  scene.pass(31_000);
  scene.plug(many);
  scene.pass(31_000);
  t.equal(scene.lines.length, 1);
  t.match(scene.lines[0], /^warn .*"networks":1030,"answered":1024/);
});
