import t from "tap";
import { interfaceAddresses } from "../../src/config/interface-address.ts";
import { defaultInterfaceOf } from "../../src/config/machine.ts";
import { expandTemplate } from "../../src/config/sockaddr.ts";
import { interfaces } from "./world.ts";

const machine = interfaceAddresses(interfaces, "eth0");
const vpc = "10.1.2.3"; // eth0, the default route

// Functions and words as documented by go-sockaddr (template/doc.go).
const expanded: [template: string, result: string][] = [
  ["10.0.0.1", "10.0.0.1"],
  ["", ""],
  ["{{ GetPrivateIP }}", vpc],
  ["{{GetPrivateIP}}", vpc],
  ["{{- GetPrivateIP -}}", vpc],
  ["[{{ GetPrivateIP }}]:53", `[${vpc}]:53`],
  ["{{ GetPrivateIP }} {{ GetPublicIP }}", `${vpc} 8.8.4.4`],
  // Default route first, then IPv4 before IPv6, then larger networks first.
  ["{{ GetPrivateIPs }}", `${vpc} fd00:1::3 172.17.0.1 192.168.7.9`],
  ["{{ GetPublicIP }}", "8.8.4.4"],
  ["{{ GetPublicIPs }}", "8.8.4.4 2600:1f18::9"],
  ['{{ GetInterfaceIP "eth0" }}', vpc],
  ["{{ GetInterfaceIP `eth0` }}", vpc],
  ['{{ GetInterfaceIPs "eth1" }}', "192.168.7.9 8.8.4.4 2600:1f18::9"],
  ['{{ GetAllInterfaces | attr "address" }}', "127.0.0.1"],
  ['{{ GetAllInterfaces | include "name" "^eth" | limit 1 | join "address" " " }}', vpc],
  [
    '{{ GetAllInterfaces | include "name" "^eth" | exclude "name" "0$" | join "address" "," }}',
    "192.168.7.9,8.8.4.4,2600:1f18::9",
  ],
  ['{{ GetAllInterfaces | include "flags" "loopback" | join "address" " " }}', "127.0.0.1 ::1"],
  [
    '{{ GetAllInterfaces | include "flag" "forwardable|up" | include "type" "IPv6" | join "address" " " }}',
    "fd00:1::3 2600:1f18::9",
  ],
  ['{{ GetAllInterfaces | include "flag" "link-local unicast" | attr "address" }}', "fe80::42"],
  ['{{ GetAllInterfaces | include "address" "^10[.]" | attr "name" }}', "eth0"],
  ['{{ GetAllInterfaces | include "network" "10.0.0.0/8" | attr "address" }}', vpc],
  [
    '{{ GetAllInterfaces | include "network" "10.0.0.0/8|192.168.0.0/16" | join "address" " " }}',
    `${vpc} 192.168.7.9`,
  ],
  ['{{ GetAllInterfaces | include "rfc" "1918" | exclude "name" "docker" | attr "address" }}', vpc],
  ['{{ GetAllInterfaces | include "rfcs" "4193|3927" | join "address" " " }}', "fd00:1::3"],
  ['{{ GetAllInterfaces | include "type" "ipv4" | include "size" "22" | attr "name" }}', "eth1"],
  ['{{ GetAllInterfaces | include "size" "/22" | attr "string" }}', "192.168.7.9/22"],
  ['{{ GetAllInterfaces | include "port" "0" | limit 1 | attr "type" }}', "IPv4"],
  ['{{ GetDefaultInterfaces | join "address" " " }}', `${vpc} fd00:1::3 fe80::1`],
  ['{{ GetPrivateInterfaces | sort "-type,address" | attr "address" }}', "fd00:1::3"],
  [
    '{{ GetPrivateInterfaces | sort "address" | join "address" " " }}',
    `${vpc} 172.17.0.1 192.168.7.9 fd00:1::3`,
  ],
  [
    '{{ GetPrivateInterfaces | include "type" "IPv4" | sort "-address" | attr "address" }}',
    "192.168.7.9",
  ],
  ['{{ GetPrivateInterfaces | include "type" "IPv4" | sort "-size" | attr "mask_bits" }}', "24"],
  ['{{ GetPrivateInterfaces | include "type" "IPv4" | sort "size" | attr "mask_bits" }}', "16"],
  ['{{ GetAllInterfaces | sort "private" | attr "name" }}', "lo"],
  ['{{ GetAllInterfaces | sort "-private" | attr "address" }}', "8.8.4.4"],
  ['{{ GetAllInterfaces | sort "-name" | attr "name" }}', "lo"],
  [
    '{{ GetAllInterfaces | sort "name" | unique "name" | join "name" " " }}',
    "docker0 eth0 eth1 lo",
  ],
  ['{{ GetAllInterfaces | offset 2 | attr "address" }}', "172.17.0.1"],
  ['{{ GetAllInterfaces | offset "-1" | attr "address" }}', "2600:1f18::9"],
];
t.test("expanded", async (t) => {
  for (const [template, value] of expanded)
    t.same(expandTemplate(template, machine), { ok: true, value }, template);
});

const refused: [template: string, error: string][] = [
  ["{{ GetPrivateIP", "template without }}: {{ GetPrivateIP"],
  ["GetPrivateIP }}", "template without {{: GetPrivateIP }}"],
  ["{{ }}", "template {{ }}: is empty"],
  ["{{ | GetPrivateIP }}", "template {{ | GetPrivateIP }}: a part before | is missing"],
  ["{{ GetAllInterfaces | }}", "template {{ GetAllInterfaces | }}: a part after | is missing"],
  ["{{ 5 }}", "template {{ 5 }}: expected a function, got 5"],
  [
    "{{ GetPrivateIP GetPublicIP }}",
    "template {{ GetPrivateIP GetPublicIP }}: not understood: GetPublicIP",
  ],
  ["{{ $x := 1 }}", "template {{ $x := 1 }}: not understood: $x := 1"],
  [
    "{{ getPrivateIP }}",
    "template {{ getPrivateIP }}: unknown function getPrivateIP (did you mean GetPrivateIP?)",
  ],
  ["{{ constructor }}", "template {{ constructor }}: unknown function constructor"],
  ["{{ GetInterfaceIP }}", "template {{ GetInterfaceIP }}: GetInterfaceIP takes 1 argument(s)"],
  [
    '{{ GetInterfaceIP "wlan0" }}',
    'template {{ GetInterfaceIP "wlan0" }}: finds no address on this machine',
  ],
  [
    "{{ GetAllInterfaces }}",
    'template {{ GetAllInterfaces }}: gives a list of interfaces; end it with attr "address" or join "address" " "',
  ],
  ['{{ attr "address" }}', 'template {{ attr "address" }}: attr needs a list before |'],
  [
    "{{ GetPrivateIP | limit 1 }}",
    "template {{ GetPrivateIP | limit 1 }}: limit needs a list before |",
  ],
  [
    "{{ GetAllInterfaces | GetPrivateIP }}",
    "template {{ GetAllInterfaces | GetPrivateIP }}: GetPrivateIP must be the first part",
  ],
  [
    '{{ GetAllInterfaces | math "network" "+1" }}',
    'template {{ GetAllInterfaces | math "network" "+1" }}: unknown function math',
  ],
  [
    '{{ GetAllInterfaces | include "colour" "x" }}',
    'template {{ GetAllInterfaces | include "colour" "x" }}: unknown filter colour; known: address, flag, name, network, port, rfc, size, type',
  ],
  [
    '{{ GetAllInterfaces | include "rfc" "9999" }}',
    'template {{ GetAllInterfaces | include "rfc" "9999" }}: unknown RFC 9999; known: 1122, 1918, 2544, 3849, 3927, 4193, 4291, 5737, 6598, 6890',
  ],
  [
    '{{ GetAllInterfaces | include "network" "10.0.0.0/33" }}',
    'template {{ GetAllInterfaces | include "network" "10.0.0.0/33" }}: "10.0.0.0/33" is not a network such as 10.0.0.0/8',
  ],
  [
    '{{ GetAllInterfaces | include "name" "(" }}',
    'template {{ GetAllInterfaces | include "name" "(" }}: "(" is not a regular expression',
  ],
  [
    '{{ GetAllInterfaces | include "flags" "broadcast" }}',
    'template {{ GetAllInterfaces | include "flags" "broadcast" }}: unknown flag broadcast; known: up, down, loopback, forwardable, link-local unicast, global unicast, unspecified',
  ],
  [
    '{{ GetAllInterfaces | include "type" "ipx" }}',
    'template {{ GetAllInterfaces | include "type" "ipx" }}: unknown type ipx; known: ip, ipv4, ipv6, unix',
  ],
  [
    '{{ GetAllInterfaces | sort "speed" }}',
    'template {{ GetAllInterfaces | sort "speed" }}: unknown order speed; known: address, default, name, port, private, size, type',
  ],
  [
    '{{ GetAllInterfaces | unique "mac" }}',
    'template {{ GetAllInterfaces | unique "mac" }}: unique takes "address" or "name"',
  ],
  [
    '{{ GetAllInterfaces | limit "x" }}',
    'template {{ GetAllInterfaces | limit "x" }}: limit takes a number from 0',
  ],
  [
    '{{ GetAllInterfaces | offset "x" }}',
    'template {{ GetAllInterfaces | offset "x" }}: offset takes a number',
  ],
  [
    '{{ GetAllInterfaces | attr "mac" }}',
    'template {{ GetAllInterfaces | attr "mac" }}: unknown attribute mac; known: address, host, name, type, mask_bits, string',
  ],
];
t.test("refused, saying why", async (t) => {
  for (const [template, error] of refused)
    t.same(expandTemplate(template, machine), { ok: false, error }, template);
});

t.test("wrong words are refused on a machine without any address", async (t) => {
  for (const [template, error] of refused.filter(([text]) => /include|sort|attr/.test(text)))
    t.match(expandTemplate(template, []), { ok: false, error: error.slice(-40) }, template);
});

t.test("interface of the default route with the lowest metric", async (t) => {
  const head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";
  const row = (name: string, to: string, metric: number, mask: string) =>
    `${name}\t${to}\t0101A8C0\t0003\t0\t0\t${metric}\t${mask}\t0\t0\t0\n`;
  const routes =
    head +
    row("eth1", "0001A8C0", 0, "00FFFFFF") +
    row("wlan0", "00000000", 600, "00000000") +
    row("eth0", "00000000", 100, "00000000");
  t.equal(defaultInterfaceOf(routes), "eth0");
  t.equal(defaultInterfaceOf(head), undefined);
  t.equal(defaultInterfaceOf(""), undefined);
});
