/**
 * Configurations that well-known software writes, and Debian's example with its lines uncommented one at a
 * time: `dnsmasq --test` and waypost agree about each, and what dnsmasq takes is a configuration of ours.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import { systemFiles } from "../../src/config/dnsmasq/files.ts";
import { readDnsmasq } from "../../src/config/dnsmasq/tree.ts";
import { atOnce } from "../../src/slices.ts";
import { host } from "../config/dnsmasq.ts";
import { load, writeFiles } from "../config/world.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { written } from "./dnsmasq-written.ts";
import { hasPeer } from "./peer.ts";

const skip = hasPeer("dnsmasq") ? false : "dnsmasq is not installed";
/** Where Debian's packages put it; the first is from dnsmasq-base alone. */
const examples = [
  "/usr/share/doc/dnsmasq-base/examples/dnsmasq.conf.example",
  "/usr/share/doc/dnsmasq/examples/dnsmasq.conf.example",
  "/etc/dnsmasq.conf",
];

/** What dnsmasq says of the file; undefined: it takes it. */
function dnsmasqSays(path: string): string | undefined {
  const { status, stderr } = spawnSync("dnsmasq", ["--test", `--conf-file=${path}`], {
    encoding: "utf8",
  });
  return status === 0 ? undefined : stderr.trim();
}

/** Every file of the configuration is there; gives back the path of the main one. */
function lay(t: Test, conf: string, files: Readonly<Record<string, string>> = {}): string {
  const directory = temporaryDirectory(t);
  for (const [name, text] of Object.entries({ ...files, "main.conf": conf })) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text.replaceAll("{dir}", directory));
  }
  return join(directory, "main.conf");
}

/** Our own mistakes with it: of the file, and of the configuration that it comes to. */
async function waypostSays(t: Test, path: string): Promise<readonly string[]> {
  const { errors } = atOnce(readDnsmasq(path, systemFiles, host));
  if (errors.length > 0) return errors;
  const file = { data_dir: "unused", forwarder: { dnsmasq_conf: path } };
  const loaded = await load([`${writeFiles(t, { "a.json": file })}/a.json`]);
  return loaded.ok ? [] : loaded.error;
}

for (const { by, conf, files } of written)
  t.test(by, { skip }, async (t) => {
    const path = lay(t, conf, files);
    t.equal(dnsmasqSays(path), undefined, "dnsmasq takes it");
    t.same(await waypostSays(t, path), [], "so does waypost");
    for (const line of conf.split("\n").filter((each) => /^[a-z]/.test(each))) {
      writeFileSync(path, `${line.replaceAll("{dir}", dirname(path))}\n`);
      const { errors } = atOnce(readDnsmasq(path, systemFiles, host));
      t.equal(errors.length === 0, dnsmasqSays(path) === undefined, line);
    }
  });

t.test("Debian's example, line by line", { skip }, async (t) => {
  const example = examples.find((path) => existsSync(path));
  if (example === undefined) {
    t.pass("the package has no example", { skip: true });
    return;
  }
  const text = readFileSync(example, "utf8");
  const lines = text
    .split("\n")
    .filter((line) => /^#[a-z][a-z0-9-]*(=.*)?$/.test(line))
    .map((line) => line.slice(1));
  t.ok(lines.length > 100, `${lines.length} lines`);
  const path = lay(t, text);
  t.equal(dnsmasqSays(path), undefined);
  t.same(await waypostSays(t, path), [], "as it is");
  for (const line of lines) {
    writeFileSync(path, `${line}\n`);
    const { errors } = atOnce(readDnsmasq(path, systemFiles, host));
    const said = dnsmasqSays(path);
    t.equal(errors.length === 0, said === undefined, `${line}: ${said ?? errors.join()}`);
  }
});
