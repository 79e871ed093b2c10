// TLS and HTTPS upstreams on Bun, whose sockets, TLS and HTTP/2 are its own.
import { createServer } from "node:net";
import t from "tap";
import { query } from "../dns-client.ts";
import { streamScenes } from "../forwarder/stream-scenes.ts";
import { noCertificates as skip } from "../program/certificates.ts";
import { startHost } from "./bun.ts";

t.test("Bun", { skip }, async (t) => {
  const host = startHost("./streams-script.ts");
  t.teardown(() => host.end());
  await streamScenes(t, async (ca) => {
    await host.call("create", ca);
    return {
      ask: (...args) => host.call("ask", ...args),
      openCount: () => host.call("openCount"),
      close: () => host.call("close"),
    };
  });
});

t.test("through an interface, from an address: TCP on Bun", async (t) => {
  const host = startHost("./streams-script.ts");
  t.teardown(() => host.end());
  const clients: string[] = [];
  const listener = createServer((socket) => {
    clients.push(socket.remoteAddress ?? "");
    socket.on("error", () => undefined);
    // Each question is its own reply, length and all.
    socket.on("data", (octets) => socket.write(octets));
  });
  await new Promise<void>((listening) => listener.listen(0, "127.0.0.1", listening));
  t.teardown(() => listener.close());
  const { port } = listener.address() as { port: number };
  const wire = query(7, "www.test").toString("hex");
  await host.call("create", "");
  const ask = (source: object) =>
    host.call<string[]>("ask", { address: "127.0.0.1", port, transport: "tcp", source }, [
      wire,
      wire,
    ]);
  t.same(await ask({ interface: "lo" }), [wire, wire]);
  t.same(await ask({ interface: "lo", address: "127.0.0.9" }), [wire, wire]);
  t.same(await ask({ address: "127.0.0.8" }), [wire, wire]);
  t.same(clients, ["127.0.0.1", "127.0.0.9", "127.0.0.8"], "one connection each");
  const [gone] = await ask({ interface: "gone0" });
  t.match(gone, /^(ENODEV: no interface gone0|EPERM: asking through gone0 needs CAP_NET_RAW)$/);
});
