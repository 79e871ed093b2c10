/** import: configuration of other programs becomes ours. */
import { join } from "node:path";
import t from "tap";
import { load, writeFiles } from "../config/world.ts";
import { runCli } from "./run.ts";

t.test("import dnsmasq: JSON to standard output, notes to standard error", async (t) => {
  const directory = writeFiles(t, {
    "dnsmasq.conf": "no-resolv\nno-hosts\nserver=192.0.2.1\nconf-file=more",
  });
  const conf = join(directory, "dnsmasq.conf");
  const missing = await runCli(undefined, ["import", "dnsmasq", conf]);
  t.match(missing, { code: 1, out: "", err: `${conf}:4: more: no such file or directory\n` });
  const good = writeFiles(t, {
    "dnsmasq.conf":
      "no-resolv\nno-hosts\nserver=192.0.2.1\nserver=/corp.test/192.0.2.2\ndhcp-range=10.0.0.2,10.0.0.9",
  });
  const { code, out, err } = await runCli(undefined, [
    "import",
    "dnsmasq",
    join(good, "dnsmasq.conf"),
  ]);
  t.equal(code, 0);
  t.match(JSON.parse(out), {
    ports: { dns: 53 },
    recursors: ["192.0.2.1"],
    forwarder: { zones: [{ names: ["corp.test"], servers: ["192.0.2.2"] }] },
  });
  t.match(err, /^note: .*dnsmasq.conf:5: dhcp-range: no effect: DHCP is not served/);
  const imported = writeFiles(t, { "imported.json": out, "own.json": { data_dir: "/d" } });
  const loaded = await load([imported]);
  t.ok(loaded.ok, "what it prints is a configuration");
});

t.test("import dnsmasq: one file", async (t) => {
  t.match(await runCli(undefined, ["import", "dnsmasq"]), { code: 1, err: /^Must specify/ });
  t.match(await runCli(undefined, ["import", "dnsmasq", "a", "b"]), {
    code: 1,
    err: /^Too many arguments: b/,
  });
});
