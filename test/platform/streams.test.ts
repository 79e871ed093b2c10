// TLS and HTTPS upstreams on Bun, whose sockets, TLS and HTTP/2 are its own.
import t from "tap";
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
