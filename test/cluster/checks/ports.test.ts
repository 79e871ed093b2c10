// Names of ports as Go's net.Dial takes them: services(5), and what it knows without a file.
import t from "tap";
import { parseHostPort } from "../../../src/cluster/checks/dial/driver.ts";
import { parseServices, portOf } from "../../../src/cluster/checks/ports/driver.ts";

t.test("lines of a file", async (t) => {
  const found = parseServices([
    "# comment",
    "",
    "http\t\t80/tcp\t\twww WWW-http\t# World Wide Web",
    "domain 53/udp",
    "domain\t53/tcp",
    "bad 70000/tcp",
    "zero 0/tcp",
    "no-port",
    "other 7/sctp",
    "http 8080/tcp",
  ]);
  t.same(Object.fromEntries(found), {
    "tcp/http": 8080,
    "tcp/www": 80,
    "tcp/www-http": 80,
    "udp/domain": 53,
    "tcp/domain": 53,
    "sctp/other": 7,
  });
});

t.test("what every system knows", async (t) => {
  t.equal(portOf("http", "tcp"), 80);
  t.equal(portOf("HTTPS", "tcp"), 443);
  t.equal(portOf("domain", "udp"), 53);
  t.equal(portOf("no-such-service", "tcp"), undefined);
});

const rows: [address: string, found: unknown][] = [
  ["localhost:http", { host: "localhost", port: 80 }],
  ["[::1]:ssh", { host: "::1", port: 22 }],
  [":8080", { host: "", port: 8080 }],
  ["h:00080", { host: "h", port: 80 }],
  ["h", "address h: missing port in address"],
  ["h:", "address h:: missing port in address"],
  ["::1:80", "address ::1:80: missing port in address"],
  ["h:65536", "address 65536: invalid port"],
  ["h:nothing", "lookup tcp/nothing: unknown port"],
];
t.test("addresses", async (t) => {
  for (const [address, found] of rows) {
    const parsed = parseHostPort(address, "tcp");
    t.same(parsed.ok ? parsed.value : parsed.error, found, address);
  }
});
