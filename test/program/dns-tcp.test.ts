/** Clients that hold on to TCP connections of the real program. */
import t from "tap";
import { crowdIn, holdOn } from "./dns-clients.ts";

const clear = { config: {}, portOf: ({ dnsPort }: { dnsPort: number }) => dnsPort };

t.test("S22: deadlines, order, pipelining and clients that do not read", (t) => holdOn(t, clear));

t.test("S22: idle connections, from one address and from several", (t) => crowdIn(t, clear));
