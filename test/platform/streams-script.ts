/** The forwarder's connections on Bun, driven by streams.test.ts. */
import { createStreamClient, type StreamClient } from "../forwarder/stream-client.ts";
import type { OpenStreamFrom } from "../../src/ports.ts";
import { platform, serveCalls } from "./script.ts";

const { openStreamFrom } = await platform<{ openStreamFrom: OpenStreamFrom }>("source-socket.ts");

let client: StreamClient;

serveCalls({
  create(ca: string) {
    client = createStreamClient(ca, openStreamFrom);
  },
  ask: (...args: Parameters<StreamClient["ask"]>) => client.ask(...args),
  openCount: () => client.openCount(),
  close: () => client.close(),
});
