/** S34: configuration files of dnsmasq's, changed at random: errors with their place, in bounded time. */
import t from "tap";
import { emptyLayer, mergeLayers, readLayer } from "../../src/config/read.ts";
import { treeOf } from "../../src/config/dnsmasq/tree.ts";
import { keywords } from "../../src/config/dnsmasq/keywords.ts";
import { read } from "../config/dnsmasq.ts";
import { bounded } from "./limit.ts";
import { changedText, createSource, oddText, seed, type Source } from "./random.ts";

const CASES = Number(process.env["FUZZ_TEXTS"] ?? 2_000);

const lines = [
  "# a comment",
  'server=/a.test/b.test/192.0.2.1#5353@eth0@10.0.0.1#99 # "x"',
  "server=fe80::1%eth0#54",
  "local=/*.x.test/",
  "server=/y.test/#",
  "rev-server=2001:db8::/33,192.0.2.1",
  "address=/a.test/*b.test//#/2001:db8::1",
  "address=/c.test/#",
  "host-record=a.test,b.test,192.0.2.1,2001:db8::1,60",
  "cname=*.a.test,b.test,c.test,60",
  'txt-record=a.test,"one, \\"two\\"",three',
  "srv-host=_x._tcp,b.test,443,1,2",
  "naptr-record=a.test,1,2,S,SIP+D2U,!^.*$!x!,r.test",
  "caa-record=a.test,0,issue,ca.test",
  "dns-rr=a.test,51,01:23 45",
  "mx-host=a.test,b.test,50",
  "ptr-record=_x._tcp.a.test,b.test",
  "interface-name=a.test,eth0/4",
  "dynamic-host=a.test,0.0.0.8,::8,eth0",
  "synth-domain=a.test,192.0.2.0/24,n-",
  "synth-domain=a.test,2001:db8::1,2001:db8::9,n*",
  "domain=corp.test,10.1.0.0/16,local",
  "bogus-nxdomain=192.0.2.0/24",
  "alias=192.0.2.1-192.0.2.9,10.0.0.0,255.255.255.0",
  "filter-rr=TXT,65,ANY",
  "rebind-domain-ok=/a.test/b.test/",
  "listen-address=127.0.0.1,::1",
  "conf-file=included",
  "conf-dir=d,*.conf,.bak",
  "servers-file=servers",
  "use-stale-cache=600",
  "min-port=4096",
  "domain=corp.test",
];
const alphabet = '=,/#@%*."\\:-_ \t\0é019az\n';

function mutated(source: Source): string {
  const count = 1 + source.below(6);
  return Array.from({ length: count }, () => {
    if (source.once(8)) return `${source.pick(Object.keys(keywords))}=${oddText(source)}`;
    const line = source.pick(lines);
    return source.once(3) ? line : changedText(source, line, alphabet);
  }).join("\n");
}

t.test(`S34: ${CASES} changed configurations, FUZZ_SEED=${seed}`, async (t) => {
  let refused = 0;
  let taken = 0;
  for (let i = 0; i < CASES; i++) {
    const source = createSource(i);
    const files = {
      "main.conf": mutated(source),
      included: mutated(source),
      "d/a.conf": mutated(source),
      servers: mutated(source),
    };
    const show = () => `case ${i}: ${JSON.stringify(files)}`;
    try {
      // oxlint-disable-next-line no-await-in-loop -- one case after the other
      const config = await bounded(() => {
        const result = read(files);
        mergeLayers([readLayer(treeOf(result.entries), "main.conf"), emptyLayer()]);
        return result;
      });
      if (config.errors.length > 0) refused++;
      else taken++;
      for (const said of [...config.errors, ...config.notes])
        if (!/^(main\.conf|included|d\/a\.conf|servers):\d+: ./s.test(said))
          t.fail(`${said}: no place; ${show()}`);
    } catch (error) {
      t.fail(`${String(error)}; ${show()}`);
    }
  }
  t.ok(refused > CASES / 10 && taken > CASES / 100, `${refused} refused, ${taken} taken`);
});
