/**
 * The same configuration files and the same questions to Debian's dnsmasq and to waypost. Every difference
 * is in dnsmasq-differences.json with its reason, and every entry there is of use.
 */
import t from "tap";
import { playAll } from "./dnsmasq-compare.ts";
import { scenarios } from "./dnsmasq-configs.ts";
import { scenarios as local } from "./dnsmasq-configs-more.ts";
import { scenarios as messages } from "./dnsmasq-configs-wire.ts";
import { hasPeer } from "./peer.ts";

const skip = hasPeer("dnsmasq") ? false : "dnsmasq is not installed";

t.test("dnsmasq and waypost answer alike", { skip, timeout: 115_000 }, (t) =>
  playAll(t, scenarios, { least: 7_500, others: [...local, ...messages] }),
);
