/** Every keyword of dnsmasq's configuration files: how it is written and what becomes of it. */

/** `becomes`: the keys of our JSON that say the same. `ignored`: why it has no effect, warned about with its place. `refused`: why it is an error. */
export type Keyword = {
  /** Whether a value follows: dnsmasq refuses one too many and one too few. */
  readonly value: "none" | "needed" | "optional";
  /** A second line with it is an error ("illegal repeated keyword"). */
  readonly once?: true;
} & (
  | { readonly becomes: string }
  | { readonly ignored: string }
  | { readonly same: string }
  | { readonly refused: string }
);

const becomes = (value: Keyword["value"], key: string): Keyword => ({ value, becomes: key });
const becomesOnce = (value: Keyword["value"], key: string): Keyword => ({
  value,
  once: true,
  becomes: key,
});
const ignored = (value: Keyword["value"], why: string): Keyword => ({ value, ignored: why });
const ignoredOnce = (value: Keyword["value"], why: string): Keyword => ({
  value,
  once: true,
  ignored: why,
});
const same = (value: Keyword["value"], why: string): Keyword => ({ value, same: why });

const dhcp = "DHCP is not served: keep dnsmasq for it, with port=0";
const tftp = "TFTP is not served: keep dnsmasq for it, with port=0";
const router = "router advertisements (DHCP) are not sent: keep dnsmasq for them, with port=0";
const dnssec = "answers are not validated (DNSSEC)";
const firewall = "names are not put into sets of the firewall";
const ownUser = "the program keeps the user it is started as: let the unit of the service say it";

function all(words: string, of: (word: string) => Keyword): Record<string, Keyword> {
  return Object.fromEntries(words.split(/\s+/).map((word) => [word, of(word)]));
}

/** By keyword, as Debian's dnsmasq 2.90 knows them, and those that 2.91 added. */
export const keywords: Readonly<Record<string, Keyword>> = {
  server: becomes("needed", "recursors; with names: forwarder.zones"),
  local: becomes("needed", "forwarder.zones"),
  "rev-server": becomes("needed", "forwarder.zones"),
  "servers-file": becomesOnce("needed", "its server and rev-server lines, as here; watched"),
  "resolv-file": becomes("optional", "forwarder.resolv_conf"),
  "no-resolv": becomes("none", "forwarder.resolv_conf"),
  "no-poll": ignored("none", "resolv.conf is followed by the system's notices, not by polling"),
  "strict-order": becomes("none", "dns_config.recursor_strategy sequential"),
  "all-servers": becomes("none", "dns_config.recursor_strategy parallel"),
  address: becomes(
    "needed",
    "forwarder.addresses; long files of names without an address: forwarder.blocklists",
  ),
  "host-record": becomes("needed", "forwarder.records"),
  "dynamic-host": becomes("needed", "forwarder.records"),
  "interface-name": becomes("needed", "forwarder.records"),
  "synth-domain": becomes("needed", "forwarder.synth_domains"),
  cname: becomes("needed", "forwarder.records"),
  "srv-host": becomes("needed", "forwarder.records"),
  "txt-record": becomes("needed", "forwarder.records"),
  "ptr-record": becomes("needed", "forwarder.records"),
  "naptr-record": becomes("needed", "forwarder.records"),
  "caa-record": becomes("needed", "forwarder.records"),
  "dns-rr": becomes("needed", "forwarder.records"),
  "mx-host": becomes("needed", "forwarder.records"),
  "mx-target": becomesOnce("needed", "forwarder.records"),
  localmx: becomes("none", "forwarder.host_mx: the target of mx-target, else this host"),
  selfmx: becomes("none", "forwarder.host_mx self"),
  "no-hosts": becomes("none", "forwarder.hosts"),
  "addn-hosts": becomes("needed", "forwarder.hosts"),
  hostsdir: becomes("needed", "forwarder.hosts"),
  "expand-hosts": becomes("none", "forwarder.expand_hosts"),
  domain: becomes(
    "needed",
    "forwarder.host_domain; of networks: forwarder.host_domains; with `local`: forwarder.zones",
  ),
  "domain-suffix": becomes("needed", "as domain"),
  "localise-queries": becomes("none", "forwarder.localise_queries"),
  "local-ttl": becomesOnce("needed", "forwarder.local_ttl"),
  "domain-needed": becomes("none", "forwarder.domain_needed"),
  "bogus-priv": becomes("none", "forwarder.private_reverse local"),
  "bogus-nxdomain": becomes("needed", "forwarder.bogus_nxdomain"),
  "ignore-address": becomes("needed", "forwarder.ignore_address"),
  alias: becomes("needed", "forwarder.alias"),
  "filter-A": becomes("none", "forwarder.filter_types"),
  "filter-AAAA": becomes("none", "forwarder.filter_types"),
  "filter-rr": becomes("needed", "forwarder.filter_types"),
  filterwin2k: becomes("none", "forwarder.filter_win2k"),
  "stop-dns-rebind": becomes("none", "forwarder.rebind_protection"),
  "rebind-localhost-ok": becomes("none", "forwarder.rebind_localhost_ok"),
  "rebind-domain-ok": becomes("needed", "forwarder.rebind_domains_ok"),
  "cache-size": becomesOnce(
    "optional",
    "forwarder.cache_size, 1 KiB per entry; 0: forwarder.cache false",
  ),
  "cache-rr": same("needed", "answers of all types are kept"),
  "no-round-robin": same("none", "the order of upstream answers is kept"),
  "no-negcache": becomes("none", "forwarder.cache_max_negative_ttl 0s"),
  "neg-ttl": becomesOnce("needed", "forwarder.cache_bare_negative_ttl"),
  "max-ttl": becomesOnce("needed", "forwarder.cache_max_ttl"),
  "max-cache-ttl": becomesOnce("needed", "forwarder.cache_max_ttl"),
  "min-cache-ttl": becomesOnce("needed", "forwarder.cache_min_ttl, at most 1h"),
  "use-stale-cache": becomesOnce("optional", "forwarder.stale, stale_client_timeout 0s, stale_max"),
  "fast-dns-retry": {
    value: "optional",
    once: true,
    same: "a question is always repeated, by measured round trips",
  },
  "dns-forward-max": becomesOnce("needed", "forwarder.max_in_flight"),
  "edns-packet-max": becomesOnce("needed", "dns_access.edns_payload"),
  "query-port": becomesOnce("needed", "the source port of each server (`@#port`)"),
  "min-port": becomesOnce("needed", "forwarder.port_range"),
  "max-port": becomesOnce("needed", "forwarder.port_range"),
  "port-limit": ignoredOnce("needed", "every attempt has a port of its own"),
  "max-tcp-connections": becomesOnce("needed", "dns_listen.tcp_max_connections"),
  port: becomesOnce("needed", "ports.dns (without the line: 53); 0: -1"),
  "listen-address": becomes("needed", "addresses.dns"),
  interface: becomes("needed", "dns_listen.interfaces, and lo"),
  "except-interface": becomes("needed", "dns_listen.except_interfaces"),
  "bind-interfaces": becomes("none", "dns_listen.dynamic false"),
  "bind-dynamic": becomes("none", "dns_listen.dynamic true"),
  "local-service": becomes(
    "optional",
    "dns_access.local_service true; `host`: addresses.dns 127.0.0.1 ::1",
  ),
  "dns-loop-detect": becomes("none", "forwarder.loop_detection true"),
  "log-queries": becomes(
    "optional",
    "forwarder.query_log dnsmasq, dnsmasq-extra, dnsmasq-proto; only_failed: query_log_only_failed",
  ),
  "log-facility": becomesOnce("needed", "a path: forwarder.query_log_file"),
  "log-async": {
    value: "optional",
    once: true,
    same: "lines are never waited for",
  },
  "log-debug": ignored("none", "log_level debug says more"),
  "clear-on-reload": same("none", "what other servers said than those of now is not given"),
  "add-subnet": becomesOnce("optional", "forwarder.add_subnet"),
  "strip-subnet": becomes("none", "forwarder.strip_subnet"),
  "do-0x20-encode": becomes("none", "forwarder.mixed_case true"),
  "no-0x20-encode": becomes("none", "forwarder.mixed_case false"),
  "proxy-dnssec": becomes("none", "forwarder.trust_ad true"),
  "auth-zone": becomes("needed", "forwarder.zones, local, and what is said of auth-server"),
  "auth-server": becomesOnce(
    "needed",
    "SOA and NS in forwarder.records; with an address or interface also of the networks of auth-zone",
  ),
  "auth-soa": becomesOnce("needed", "SOA in forwarder.records"),
  "auth-ttl": becomesOnce("needed", "the TTL of forwarder.records in zones of auth-zone"),
  "auth-sec-servers": becomes("needed", "NS in forwarder.records"),
  "auth-peer": ignored("needed", "zones are not transferred"),
  user: ignoredOnce("optional", ownUser),
  group: ignoredOnce("optional", ownUser),
  "pid-file": becomesOnce("optional", "pid_file"),
  "conf-file": becomes("optional", "the lines of that file, in place"),
  "conf-dir": becomes("needed", "the lines of the files there, in place"),
  "conf-script": {
    value: "needed",
    refused: "programs are not run for configuration; put their output into a file for conf-file",
  },
  "dhcp-leasefile": becomesOnce("optional", "forwarder.leases"),
  "dhcp-lease": becomesOnce("needed", "forwarder.leases"),
  "keep-in-foreground": same("none", "it always does"),
  "no-daemon": same("none", "it always stays in the foreground"),
  "no-ident": ignored("none", "the counters of the CHAOS class are answered to those who may ask"),
  ...all("dnssec dnssec-debug dnssec-no-timecheck", () => ignored("none", dnssec)),
  "dnssec-check-unsigned": ignored("optional", dnssec),
  "dnssec-timestamp": ignoredOnce("needed", dnssec),
  "dnssec-limits": ignored("needed", dnssec),
  "trust-anchor": ignored("needed", dnssec),
  ipset: ignored("needed", firewall),
  nftset: ignored("needed", firewall),
  "connmark-allowlist-enable": ignoredOnce("optional", "marks of connections are not looked at"),
  "connmark-allowlist": ignored("needed", "marks of connections are not looked at"),
  conntrack: ignored("none", "marks of connections are not copied"),
  "add-mac": ignored("optional", "clients' hardware addresses are not sent on"),
  "strip-mac": ignored("none", "no client's options are sent on in the first place"),
  "add-cpe-id": ignoredOnce("needed", "no identification of clients is sent on"),
  umbrella: ignoredOnce("optional", "no identification of clients is sent on"),
  dumpfile: ignoredOnce("needed", "packets are not recorded: use tcpdump"),
  dumpmask: ignoredOnce("needed", "packets are not recorded: use tcpdump"),
  "enable-dbus": ignoredOnce("optional", "there is no D-Bus interface: see the HTTP API"),
  "enable-ubus": ignoredOnce("optional", "there is no ubus interface: see the HTTP API"),
  ...all(
    `dhcp-host dhcp-range dhcp-option dhcp-option-force dhcp-boot dhcp-vendorclass dhcp-userclass
    dhcp-ignore dhcp-mac dhcp-circuitid dhcp-remoteid dhcp-subscrid dhcp-pxe-vendor dhcp-hostsfile
    dhcp-optsfile dhcp-hostsdir dhcp-optsdir dhcp-match dhcp-name-match dhcp-relay
    dhcp-luascript bridge-interface shared-network tag-if no-dhcp-interface
    no-dhcpv4-interface no-dhcpv6-interface`,
    () => ignored("needed", dhcp),
  ),
  ...all("dhcp-lease-max dhcp-script dhcp-scriptuser dhcp-duid dhcp-reply-delay dhcp-ttl", () =>
    ignoredOnce("needed", dhcp),
  ),
  ...all(
    `dhcp-authoritative dhcp-no-override dhcp-fqdn dhcp-sequential-ip dhcp-client-update
    dhcp-rapid-commit dhcp-ignore-clid read-ethers leasefile-ro script-on-renewal
    script-arp no-ping log-dhcp quiet-dhcp quiet-dhcp6`,
    () => ignored("none", dhcp),
  ),
  ...all("bootp-dynamic dhcp-ignore-names dhcp-broadcast dhcp-proxy dhcp-generate-names", () =>
    ignored("optional", dhcp),
  ),
  "dhcp-alternate-port": ignoredOnce("optional", dhcp),
  "pxe-prompt": ignored("needed", dhcp),
  "pxe-service": ignored("needed", dhcp),
  "enable-ra": ignored("none", router),
  "ra-param": ignored("needed", router),
  "quiet-ra": ignored("none", router),
  "enable-tftp": ignored("optional", tftp),
  "tftp-unique-root": ignored("optional", tftp),
  "tftp-root": ignored("needed", tftp),
  ...all("tftp-max tftp-mtu tftp-port-range", () => ignoredOnce("needed", tftp)),
  ...all(
    "tftp-secure tftp-no-fail tftp-lowercase tftp-single-port tftp-no-blocksize quiet-tftp",
    () => ignored("none", tftp),
  ),
};
