/** Configurations as well-known software writes them, in own words: what its users have on their disks. */

/** A configuration; `{dir}` stands for the directory of its files. */
export type Written = {
  readonly by: string;
  readonly conf: string;
  readonly files?: Readonly<Record<string, string>>;
};

/** NetworkManager with dns=dnsmasq: the options are on its command line, domains come by D-Bus. */
const networkManager = `
no-hosts
keep-in-foreground
bind-interfaces
no-resolv
pid-file={dir}/dnsmasq.pid
listen-address=127.0.0.1
cache-size=400
clear-on-reload
conf-file=/dev/null
proxy-dnssec
enable-dbus=org.freedesktop.NetworkManager.dnsmasq
conf-dir={dir}/dnsmasq.d
`;

/** A shared connection of NetworkManager. */
const networkManagerShared = `
conf-file=/dev/null
no-hosts
keep-in-foreground
bind-interfaces
except-interface=lo
clear-on-reload
strict-order
listen-address=127.0.0.1
dhcp-range=10.42.0.10,10.42.0.254,60m
dhcp-leasefile={dir}/dnsmasq-wlan0.leases
pid-file={dir}/nm-dnsmasq-wlan0.pid
conf-dir={dir}/dnsmasq-shared.d
`;

/** The default network of libvirt. */
const libvirt = `##WARNING:  THIS IS AN AUTO-GENERATED FILE. CHANGES TO IT ARE LIKELY TO BE
##OVERWRITTEN AND LOST.
strict-order
domain=virt.example
expand-hosts
domain-needed
local=/virt.example/
local=//
server=/corp.example/192.0.2.53
pid-file={dir}/default.pid
except-interface=lo
bind-dynamic
interface=virbr0
dhcp-range=192.168.122.2,192.168.122.254,255.255.255.0
dhcp-no-override
dhcp-authoritative
dhcp-lease-max=253
dhcp-hostsfile={dir}/default.hostsfile
dhcp-option=3,192.168.122.1
addn-hosts={dir}/default.addnhosts
srv-host=_sip._tcp.virt.example,sip.virt.example,5060,10,60
txt-record=note.virt.example,"a text"
host-record=gate.virt.example,192.168.122.9
auth-zone=guests.example
auth-server=ns.virt.example
`;

/** libvirt's isolated network. */
const libvirtIsolated = `
strict-order
port=0
pid-file={dir}/isolated.pid
except-interface=lo
bind-dynamic
interface=virbr1
dhcp-option=3
no-resolv
ra-param=*,0,0
dhcp-range=192.168.100.128,192.168.100.254
dhcp-no-override
dhcp-authoritative
dhcp-lease-max=127
`;

/** OpenWrt's init script. */
const openwrt = `# auto-generated config file from /etc/config/dhcp
conf-file={dir}/etc.dnsmasq.conf
dhcp-authoritative
domain-needed
no-ping
filterwin2k
localise-queries
read-ethers
enable-ubus=dnsmasq
expand-hosts
bind-dynamic
cache-size=1000
edns-packet-max=1232
domain=lan
local=/lan/
server=/pool.ntp.example/192.0.2.1
server=192.0.2.2
server=192.0.2.3#5353
addn-hosts={dir}/hosts
dhcp-leasefile={dir}/dhcp.leases
dhcp-script=/usr/lib/dnsmasq/dhcp-script.sh
script-arp
resolv-file={dir}/resolv.conf.d/resolv.conf.auto
stop-dns-rebind
rebind-localhost-ok
rebind-domain-ok=/plex.example/
dhcp-broadcast=tag:needs-broadcast
conf-dir={dir}/dnsmasq.d
user=dnsmasq
group=dnsmasq
dhcp-ignore-names=tag:dhcp_bogus_hostname
conf-file={dir}/dhcpbogushostname.conf
bogus-priv
conf-file={dir}/rfc6761.conf
dhcp-range=set:lan,192.168.1.100,192.168.1.249,255.255.255.0,12h
no-dhcp-interface=pppoe-wan
address=/router.lan/192.168.1.1
ptr-record=1.1.168.192.in-addr.arpa,router.lan
dhcp-host=02:00:00:00:00:01,192.168.1.5,printer,infinite
dhcp-option=lan,6,192.168.1.1
cname=www.lan,router.lan
srv-host=_ldap._tcp.lan,router.lan,389,0,100
mx-host=lan,router.lan,10
host-record=nas.lan,192.168.1.7
`;

const rfc6761 = ["bind", "invalid", "local", "localhost", "onion", "test"]
  .map((name) => `server=/${name}/`)
  .join("\n");

/** Pi-hole before its version 6. */
const pihole = `# Dnsmasq config for Pi-hole's FTLDNS
addn-hosts={dir}/local.list
addn-hosts={dir}/custom.list
domain-needed
expand-hosts
bogus-priv
localise-queries
no-resolv
log-queries
log-facility={dir}/pihole.log
log-async
cache-size=10000
server=192.0.2.8
server=192.0.2.4
server=2001:db8::8888
interface=lo
server=/use-application-dns.net/
server=/mask.icloud.com/
except-interface=nonexisting
local-ttl=2
dhcp-name-match=set:hostname-ignore,wpad
dhcp-name-match=set:hostname-ignore,localhost
dhcp-ignore-names=tag:hostname-ignore
domain=lan
local=/lan/
rev-server=192.168.1.0/24,192.168.1.1
server=/fritz.box/192.168.1.1
address=/pi.hole/192.168.1.2
conf-dir={dir}/dnsmasq.d,*.conf
`;

/** What many guides to Consul put into dnsmasq.d, with all that they comment out. */
const consul = `# Enable forward lookup of the 'consul' domain:
server=/consul/127.0.0.1#8600
server=/consul/127.0.0.2#8600

# Reverse lookups of private networks
rev-server=0.0.0.0/8,127.0.0.1#8600
rev-server=10.0.0.0/8,127.0.0.1#8600
rev-server=100.64.0.0/10,127.0.0.1#8600
rev-server=127.0.0.1/8,127.0.0.1#8600
rev-server=169.254.0.0/16,127.0.0.1#8600
rev-server=172.16.0.0/12,127.0.0.1#8600
rev-server=192.168.0.0/16,127.0.0.1#8600
rev-server=224.0.0.0/4,127.0.0.1#8600
rev-server=240.0.0.0/4,127.0.0.1#8600
resolv-file={dir}/resolv.conf
cache-size=65536
no-negcache
`;

/** kube-dns: flags of the dnsmasq container, one for each line. */
const kubeDns = `
keep-in-foreground
cache-size=1000
no-negcache
dns-loop-detect
log-facility=-
server=/cluster.local/127.0.0.1#10053
server=/in-addr.arpa/127.0.0.1#10053
server=/ip6.arpa/127.0.0.1#10053
server=/acme.local/192.0.2.4
server=192.0.2.8
no-resolv
`;

/** A role of Ansible's that puts dnsmasq in front of Consul. */
const ansible = `# Ansible managed
port=53
domain-needed
bogus-priv
no-poll
no-resolv
bind-interfaces
listen-address=127.0.0.1
interface=lo
user=nobody
group=nogroup
all-servers
dns-forward-max=1000
cache-size=0
max-cache-ttl=30
min-cache-ttl=0
local-ttl=30
neg-ttl=5
server=/consul/127.0.0.1#8600
server=/us-east-1.compute.internal/192.0.2.2
server=192.0.2.2@lo
server=192.0.2.3@127.0.0.1#0
addn-hosts={dir}/hosts
address=/service.example/192.0.2.9
host-record=vault.example,vault,192.0.2.10
`;

/** Kubernetes nodes, LXC, Docker images and home routers: what stands in single lines of guides. */
const guides = `
interface=lxcbr0
dhcp-range=10.0.3.2,10.0.3.254,1h
server=1.1.1.1
server=/local/
server=//
address=/.test/127.0.0.1
address=/dev.example/127.0.0.1
address=/dev.example/::1
address=/ads.example/0.0.0.0
address=/trackers.example/::
address=/blocked.example/
address=/other.example/#
cname=db,postgres.example
mx-target=mail.example
selfmx
localmx
domain=example,192.168.0.0/24,local
domain=wifi.example,192.168.7.2,192.168.7.9
txt-record=example,v=spf1 a -all
txt-record=_http._tcp.example,name=value,paper=A4
ptr-record=_http._tcp.dns-sd-services,"New Employee Page._http._tcp.dns-sd-services"
naptr-record=example,10,100,S,SIP+D2U,,_sip._udp.example
nftset=/example/4#inet#filter#vpn
ipset=/yahoo.example/google.example/vpn,search
filter-AAAA
stop-dns-rebind
all-servers
dnssec
trust-anchor=.,20326,8,2,E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D
dnssec-check-unsigned
add-mac
add-subnet=32,128
log-queries=extra
quiet-dhcp
enable-ra
enable-tftp
tftp-root={dir}
pxe-service=x86PC,"Boot from network",pxelinux
dhcp-boot=pxelinux.0
`;

/** All of them. */
export const written: readonly Written[] = [
  {
    by: "NetworkManager",
    conf: networkManager,
    files: {
      "dnsmasq.d/vpn.conf": "server=/vpn.example/192.0.2.1@lo\nrev-server=10.8.0.0/16,192.0.2.1\n",
    },
  },
  {
    by: "NetworkManager, shared",
    conf: networkManagerShared,
    files: { "dnsmasq-shared.d/.keep": "" },
  },
  {
    by: "libvirt",
    conf: libvirt,
    files: { "default.addnhosts": "192.168.122.5\tguest\n", "default.hostsfile": "" },
  },
  { by: "libvirt, isolated", conf: libvirtIsolated },
  {
    by: "OpenWrt",
    conf: openwrt,
    files: {
      "etc.dnsmasq.conf": "# nothing\n",
      "dhcpbogushostname.conf": "dhcp-name-match=set:dhcp_bogus_hostname,localhost\n",
      "rfc6761.conf": `${rfc6761}\n`,
      "resolv.conf.d/resolv.conf.auto": "# Interface wan\nnameserver 192.0.2.1\n",
      "dnsmasq.d/.keep": "",
      hosts: "",
    },
  },
  {
    by: "Pi-hole",
    conf: pihole,
    files: {
      "dnsmasq.d/05-cname.conf": "cname=a.lan,b.lan\n",
      "local.list": "",
      "custom.list": "",
    },
  },
  { by: "Consul", conf: consul, files: { "resolv.conf": "nameserver 192.0.2.1\n" } },
  { by: "kube-dns", conf: kubeDns },
  { by: "an Ansible role", conf: ansible, files: { hosts: "192.0.2.1 a\n" } },
  { by: "guides", conf: guides },
];
