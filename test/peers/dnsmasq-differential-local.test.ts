// As dnsmasq-differential.test.ts: local names, domains, chains, lists of names.
import t from "tap";
import { playAll } from "./dnsmasq-compare.ts";
import { scenarios } from "./dnsmasq-configs-more.ts";
import { hasPeer } from "./peer.ts";

const skip = hasPeer("dnsmasq") ? false : "dnsmasq is not installed";

t.test("dnsmasq and waypost say the same of local names", { skip, timeout: 115_000 }, (t) =>
  playAll(t, scenarios, { least: 4_000 }),
);
