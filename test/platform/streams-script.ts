/** The forwarder's connections on Bun, driven by streams.test.ts. */
import { createStreamClient, type StreamClient } from "../forwarder/stream-client.ts";
import { serveCalls } from "./script.ts";

let client: StreamClient;

serveCalls({
  create(ca: string) {
    client = createStreamClient(ca);
  },
  ask: (...args: Parameters<StreamClient["ask"]>) => client.ask(...args),
  openCount: () => client.openCount(),
  close: () => client.close(),
});
