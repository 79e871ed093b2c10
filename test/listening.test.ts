/** What is said when a port cannot be had: ask 39. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import t from "tap";
import { cannotListen } from "../src/listening.ts";
import { portHolders } from "../src/listening/holder.ts";

const ownName = readFileSync("/proc/self/comm", "utf8").trim();

t.test("ask 39: the process that has the port is named", async (t) => {
  const udp = createSocket("udp4");
  udp.bind(0, "127.0.0.1");
  await once(udp, "listening");
  t.teardown(() => udp.close());
  const { port } = udp.address();
  const holder = { address: "127.0.0.1", port, pid: process.pid, program: ownName };
  const cases = [
    { wanted: "127.0.0.1", holders: [holder] },
    { wanted: "::ffff:127.0.0.1", holders: [holder] },
    { wanted: "0.0.0.0", holders: [holder] },
    { wanted: "::", holders: [holder] },
    { wanted: "127.0.0.2", holders: [] },
    { wanted: "::1", holders: [] },
  ];
  for (const { wanted, holders } of cases)
    t.same(portHolders("udp", { address: wanted, port }), holders, wanted);
  t.same(portHolders("tcp", { address: "127.0.0.1", port }), [], "another transport");
  t.equal(
    cannotListen("DNS over UDP", { address: "127.0.0.1", port }, "EADDRINUSE"),
    `DNS over UDP cannot listen on 127.0.0.1 port ${port}: another program uses it (EADDRINUSE): ` +
      `${ownName} (pid ${process.pid}), on 127.0.0.1`,
  );
});

t.test("ask 39: TCP listeners, and an unspecified address in the way", async (t) => {
  const server = createServer().listen(0, "0.0.0.0");
  await once(server, "listening");
  t.teardown(() => server.close());
  const bound = server.address();
  const port = typeof bound === "object" ? bound!.port : 0;
  const holder = { address: "0.0.0.0", port, pid: process.pid, program: ownName };
  t.same(portHolders("tcp", { address: "127.0.0.1", port }), [holder]);
  t.same(portHolders("tcp", { address: "::1", port }), []);
  t.same(portHolders("udp", { address: "127.0.0.1", port }), []);
});

t.test("ask 39: a right that is missing comes with the ways to get it", async (t) => {
  const said = cannotListen("DNS over UDP", { address: "127.0.0.1", port: 0 }, "EACCES");
  t.match(said, /^DNS over UDP cannot listen on 127\.0\.0\.1 port 0: not permitted \(EACCES\)/);
  const remedies = ["CAP_NET_BIND_SERVICE", "config/waypost.socket", "ip_unprivileged_port_start="];
  const start = Number(readFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "utf8"));
  for (const remedy of remedies) t.equal(said.includes(remedy), start > 0, remedy);
  t.notMatch(
    cannotListen("HTTP", { address: "127.0.0.1", port: 65_535 }, "EACCES"),
    "CAP_NET_BIND_SERVICE",
    "a port for everybody is refused for another reason",
  );
});
