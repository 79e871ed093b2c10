// As dnsmasq-differential.test.ts: bits, EDNS, broken messages, names of all kinds, servers, times and filters.
import t from "tap";
import { playAll } from "./dnsmasq-compare.ts";
import { scenarios } from "./dnsmasq-configs-wire.ts";
import { hasPeer } from "./peer.ts";

const skip = hasPeer("dnsmasq") ? false : "dnsmasq is not installed";

t.test("dnsmasq and waypost treat messages alike", { skip, timeout: 115_000 }, (t) =>
  playAll(t, scenarios, { least: 700 }),
);
