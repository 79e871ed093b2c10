/** DNS rebinding and cross-site writes: who is taken for a browser led astray, and who is not. */
import t from "tap";
import { createGuard, type GuardOptions } from "../../src/http/guard.ts";
import { createOwnAddresses } from "../../src/http/own-addresses.ts";

const options = {
  allowedHosts: [],
  allowedOrigins: [],
  ownNames: ["n1", "box.example.net"],
  domains: ["consul.", ""],
  isOwnAddress: createOwnAddresses({ monotonicMs: () => 0 }, () => ({
    eth0: ["10.0.0.1", "2001:db8::9"].map((address) => ({
      address,
      netmask: "",
      mac: "",
      internal: false,
      cidr: null,
      ...(address.includes(":")
        ? { family: "IPv6" as const, scopeid: 0 }
        : { family: "IPv4" as const }),
    })),
  })),
};
type Request = { method?: string; from?: string; headers: Record<string, string> };

function judge(request: Request, over: Partial<GuardOptions> = {}): number | undefined {
  const headers = new Headers(request.headers);
  const guarded = {
    method: request.method ?? "GET",
    header: (name: string) => headers.get(name),
    env: { client: { address: request.from ?? "127.0.0.1" } },
  };
  return createGuard({ ...options, ...over })(guarded)?.status;
}

t.test("S27: Host, from a client on this machine", async (t) => {
  const hosts: [string, number | undefined][] = [
    ["127.0.0.1:8500", undefined],
    ["10.1.2.3", undefined],
    ["[::1]:8500", undefined],
    ["[fe80::1%eth0]:8500", undefined],
    ["localhost:8500", undefined],
    ["LOCALHOST", undefined],
    ["app.localhost:8500", undefined],
    ["consul:8500", undefined], // a service of docker-compose; a stranger cannot register one label
    ["n1", undefined],
    ["box.example.net:8500", undefined],
    ["consul.service.consul:8500", undefined],
    ["consul.service.dc1.Consul.", undefined],
    ["evil.example:8500", 403],
    ["evil.example", 403],
    ["127.0.0.1.evil.example", 403],
    ["consul.evil.example", 403],
    ["evilconsul.com", 403],
    ["localhost.evil.example:80", 403],
    ["n1.evil.example", 403],
    ["1.2.3", 403],
    ["a, b", 400],
    ["a b", 400],
    ["evil.example:x", 400],
    ["user@localhost", 400],
    ["[::1", 400],
    ["::1", 400],
  ];
  for (const [host, status] of hosts) t.equal(judge({ headers: { Host: host } }), status, host);
  t.equal(judge({ headers: {} }), undefined, "none: HTTP/1.0");
  const own = ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8:0::9", "2001:db8::9%eth0"];
  for (const from of ["::1", "::ffff:127.0.0.1", "127.9.9.9", ...own])
    t.equal(judge({ from, headers: { Host: "evil.example" } }), 403, from);
  for (const from of ["10.0.0.5", "2001:db8::1", "::ffff:10.0.0.5", ""])
    t.equal(
      judge({ from, headers: { Host: "consul.default.svc.cluster.local" } }),
      undefined,
      from,
    );
});

t.test("allowed_hosts", async (t) => {
  const allowed = { allowedHosts: ["Consul.example.com", "*.svc.cluster.local"] };
  const rows: [host: string, from: string, status: number | undefined][] = [
    ["consul.example.com:80", "127.0.0.1", undefined],
    ["consul.default.svc.cluster.local", "10.0.0.5", undefined],
    ["svc.cluster.local", "10.0.0.5", 403],
    ["evil.example", "10.0.0.5", 403],
    ["10.0.0.1:8500", "10.0.0.5", undefined],
  ];
  for (const [host, from, status] of rows)
    t.equal(judge({ from, headers: { Host: host } }, allowed), status, `${host} from ${from}`);
  t.equal(judge({ headers: { Host: "evil.example" } }, { allowedHosts: ["*"] }), undefined);
});

t.test("S26: writes of pages", async (t) => {
  const Host = "localhost:8500";
  const rows: [headers: Record<string, string>, status: number | undefined][] = [
    [{}, undefined],
    [{ Origin: "http://localhost:8500" }, undefined],
    [{ Origin: "https://localhost:8500" }, undefined], // TLS ends at a proxy
    [{ Origin: "http://localhost:3000" }, 403],
    [{ Origin: "https://evil.example" }, 403],
    [{ Origin: "null" }, 403],
    [{ Origin: "" }, 403],
    [{ Origin: "http://localhost:8500.evil.example" }, 403],
    [{ "Sec-Fetch-Site": "cross-site" }, 403],
    [{ "Sec-Fetch-Site": "same-site" }, 403],
    [{ "Sec-Fetch-Site": "same-origin" }, undefined],
    [{ "Sec-Fetch-Site": "none" }, undefined],
  ];
  for (const [headers, status] of rows)
    for (const method of ["PUT", "POST", "DELETE", "PATCH", "TRACE"])
      t.equal(
        judge({ method, headers: { Host, ...headers } }),
        status,
        `${method} ${JSON.stringify(headers)}`,
      );
  for (const method of ["GET", "OPTIONS"])
    t.equal(
      judge({ method, headers: { Host, Origin: "https://evil.example" } }),
      undefined,
      method,
    );
});

t.test("S26, S27: pages of a name that leads here write nothing, from wherever", async (t) => {
  const page = { Host: "evil.example:8500", Origin: "http://evil.example:8500" };
  for (const from of ["10.0.0.5", "2001:db8::1", "127.0.0.1", "10.0.0.1"])
    for (const method of ["PUT", "POST", "DELETE"])
      t.equal(judge({ method, from, headers: page }), 403, `${method} from ${from}`);
  const put = (over: Partial<GuardOptions>, headers: Record<string, string> = page) =>
    judge({ method: "PUT", from: "10.0.0.5", headers }, over);
  t.equal(put({ allowedHosts: ["evil.example"] }), undefined, "its host is allowed");
  t.equal(put({ allowedOrigins: ["http://evil.example:8500"] }), undefined, "or its origin");
  t.equal(put({}, { Host: "evil.example:8500" }), undefined, "a program");
  const own = { Host: "box.example.net", Origin: "http://box.example.net" };
  t.equal(put({}, own), undefined, "a page of our own name");
});

t.test("addresses of this machine that are new are ours within a second", async (t) => {
  let nowMs = 0;
  const lo: string[] = [];
  const isOwn = createOwnAddresses({ monotonicMs: () => nowMs }, () => ({
    lo: lo.map((address) => {
      const family = "IPv4" as const;
      return { address, netmask: "", mac: "", internal: true, cidr: null, family };
    }),
  }));
  t.notOk(isOwn("192.0.2.1"));
  lo.push("192.0.2.1");
  nowMs = 1000;
  t.ok(isOwn("192.0.2.1"));
  t.notOk(isOwn(""));
});

t.test("allowed_origins", async (t) => {
  const put = (headers: Record<string, string>, allowedOrigins: string[]) =>
    judge({ method: "PUT", headers: { Host: "localhost", ...headers } }, { allowedOrigins });
  const ui = { Origin: "https://ui.example.com", "Sec-Fetch-Site": "cross-site" };
  t.equal(put(ui, ["https://UI.example.com"]), undefined);
  t.equal(put(ui, ["http://ui.example.com"]), 403, "another scheme");
  t.equal(put(ui, ["*"]), undefined);
  t.equal(put({ "Sec-Fetch-Site": "cross-site" }, ["*"]), undefined);
});

t.test("the book of judged names is bounded and stays right", async (t) => {
  const guard = createGuard(options);
  const ask = (host: string) =>
    guard({
      method: "GET",
      header: (name) => (name === "Host" ? host : null),
      env: { client: { address: "::1" } },
    })?.status;
  for (let i = 0; i < 5000; i++) if (ask(`h${i}.example`) !== 403) t.fail(`h${i}`);
  t.equal(ask("localhost"), undefined);
  t.equal(ask("h0.example"), 403);
});
