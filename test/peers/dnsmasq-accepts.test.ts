/** Lines that Debian's dnsmasq takes are taken here, and lines that it refuses are refused. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { keywords } from "../../src/config/dnsmasq/keywords.ts";
import { read } from "../config/dnsmasq.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { hasPeer } from "./peer.ts";

const skip = hasPeer("dnsmasq") ? false : "dnsmasq is not installed";

/** By `;` for the end of a line. Nothing that dnsmasq would look up, run or open. */
const lines = `
#x;bogus-priv #x;bogus-priv=;bogus-priv=1
txt-record=a,"b"c" d"|txt-record=a,"b""c"|txt-record=a,"x"#c|txt-record=a,"b\\
server = 1.2.3.4 # x|server=1.2.3.4 #53|port==53|port = = 53|port 53|port="5"3|--port=53|-p=53
server=/*/1.2.3.4|server=/a b/1.2.3.4|server=/*.a.b/1.2.3.4|server=/a..b/1.2.3.4|server=|server=///1.1.1.1
server=1.2.3.4#x|server=1.2.3.4#70000|server=1.2.3.4@eth7|server=1.2.3.4@eth0@1.1.1.1#5|server=1.2.3.4@1.1.1.1@eth0
server=1.2.3.4@::1|server=::1@1.2.3.4|server=::1#53|server=/a/b/c/1.1.1.1|server=/a//1.1.1.1|local=/x/#|local=/10.0.0.0/8/
address=/#/|address=1.2.3.4|address=/x|address=/x/y|address=/x/#|address=
rev-server=10.0.0.0/8|rev-server=10.0.0.0/0,1.1.1.1|rev-server=10.0.0.0/33,1.1.1.1|rev-server=::1/129,1.1.1.1|rev-server=x
port=70000|port=|port=-1|cache-size|cache-size=|cache-size=-1|cache-size=x|neg-ttl=1d|neg-ttl=|min-port=5|max-port=70000
listen-address=foo|listen-address=|listen-address=127.0.0.1,|listen-address=127.0.0.1,::1|interface=a,b|interface=
local-service=net|local-service=foo|log-queries=foo|log-facility=foo|log-facility=local3|log-facility=-|log-async=1000|log-async=x
filter-rr=TXT,ANY|filter-rr=A,,TXT|filter-rr=mx|filter-rr=|cache-rr=65
rebind-domain-ok=|rebind-domain-ok=/|rebind-domain-ok=/a/b/|domain=|domain=a,1.2.3.0/24,x|domain=a,1.2.3.0/24,local|domain=a,eth7
use-stale-cache=x|use-stale-cache|use-stale-cache=5|fast-dns-retry=20|fast-dns-retry=60,x|fast-dns-retry
alias=1.1.1.1|alias=1.1.1.1,2.2.2.2|alias=1.1.1.1-1.1.1.9,2.2.2.2,255.255.255.0|alias=x,y
bogus-nxdomain=1.2.3.4/x|bogus-nxdomain=1.2.3.4/33|bogus-nxdomain=::/129|bogus-nxdomain=1.2.3.4/24|ignore-address=x
mx-host=a,b,c|mx-host=a,,5|mx-host=a|host-record=a|host-record=a,b|host-record=1.1.1.1,2|host-record=a,1.2.3.4,::1,60
synth-domain=a,1.1.1.1|synth-domain=a|synth-domain=a,1.1.1.1,1.1.1.5,p*|synth-domain=a,x|synth-domain=a,1.1.1.0/33
interface-name=a,eth0/5|interface-name=a|interface-name=a,eth0/4|dynamic-host=a,eth0|dynamic-host=a,0.0.0.8,eth0
dns-rr=a,1|dns-rr=a,b|dns-rr=a,51,01:23|caa-record=a,0,issue|caa-record=a,x,issue,b|caa-record=a,0,issue,b
naptr-record=a,1,2,S,SIP|naptr-record=a,1,2,S,SIP,|naptr-record=a,x,2,S,SIP,|txt-record|txt-record=|txt-record=a
cname=a|cname=a,b,c,5|cname=a,5|cname=a,b;cname=A,c|cname=a,b;cname=b,a|ptr-record=|ptr-record=a|srv-host=_a._b|srv-host=a,b,x
srv-host=a,b,1,2,70000|dhcp-leasefile|servers-file=|user|user=|pid-file|resolv-file|conf-file|conf-file=|conf-dir=|umbrella
port-limit=0|port-limit=2|query-port=0|query-port=x|max-tcp-connections=0|max-tcp-connections=5|dns-forward-max=|dns-forward-max=x
edns-packet-max=70000|edns-packet-max=x|port=53;port=54|cache-size=1;cache-size=2|server=1.1.1.1;server=1.1.1.1|bogus;port=53
`
  .trim()
  .split(/[|\n]/)
  .map((line) => line.replaceAll(";", "\n"));

t.test("dnsmasq --test says the same", { skip }, async (t) => {
  const file = join(temporaryDirectory(t), "dnsmasq.conf");
  const takes = (text: string): boolean => {
    writeFileSync(file, `${text}\n`);
    return spawnSync("dnsmasq", ["--test", `--conf-file=${file}`]).status === 0;
  };
  for (const text of lines) t.equal(read(text).errors.length === 0, takes(text), text);
});

t.test(
  "every option of dnsmasq --help is known, with a value where it takes one",
  { skip },
  (t) => {
    const help = spawnSync("dnsmasq", ["--help"], { encoding: "utf8" }).stdout;
    const options = [...help.matchAll(/^.{4}--([\w-]+)(=|\[)?/gm)];
    t.ok(options.length > 150);
    // These are for the command line.
    const elsewhere = ["help", "version", "test"];
    for (const [, name = "", sign] of options) {
      const keyword = Object.hasOwn(keywords, name) ? keywords[name] : undefined;
      if (elsewhere.includes(name)) continue;
      t.ok(keyword, name);
      if (keyword?.value === "needed") t.equal(sign, "=", name);
      if (keyword?.value === "none") t.notOk(sign, name);
    }
    t.end();
  },
);
