/** /health and /ready, as CoreDNS has them: for supervisors, without a token. */
import { route, type Route } from "./call.ts";

/** `whyNotReady`: "" while everything is there that answers need. */
export function readyRoutes({ whyNotReady }: { whyNotReady: () => string }): readonly Route[] {
  return [
    route(["GET"], "/health", (call) => call.text(200, "OK\n")),
    route(["GET"], "/ready", (call) => {
      const whyNot = whyNotReady();
      return whyNot === "" ? call.text(200, "OK\n") : call.text(503, `${whyNot}\n`);
    }),
  ];
}
