/** What holds for each command: its line in lists, its help, its refusal of unknown flags, its test. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { runNode, type Command, type CommandGroup } from "../../src/cli/command.ts";
import { cliCommands } from "../../src/cli/commands.ts";
import { capturedWorld } from "./captured.ts";

/** Command → the file of this folder that runs it. Another command is another row. */
const testOf: Readonly<Record<string, string>> = {
  "acl auth-method": "standalone",
  "acl binding-rule": "standalone",
  "acl bootstrap": "acl",
  "acl policy create": "acl",
  "acl policy delete": "acl",
  "acl policy list": "acl",
  "acl policy read": "acl",
  "acl policy update": "acl",
  "acl role create": "acl",
  "acl role delete": "acl",
  "acl role list": "acl",
  "acl role read": "acl",
  "acl role update": "acl",
  "acl set-agent-token": "acl",
  "acl templated-policy": "standalone",
  "acl token clone": "acl",
  "acl token create": "acl",
  "acl token delete": "acl",
  "acl token list": "acl",
  "acl token read": "acl",
  "acl token update": "acl",
  "acl translate-rules": "acl",
  "catalog datacenters": "data",
  "catalog nodes": "data",
  "catalog services": "data",
  "completion bash": "completion",
  "completion fish": "completion",
  "completion zsh": "completion",
  "dns cache dump": "dns",
  "dns cache flush": "dns",
  "dns query": "dns",
  "dns upstreams": "dns",
  event: "data",
  exec: "exec",
  "force-leave": "cluster",
  "import dnsmasq": "import",
  info: "data",
  join: "cluster",
  keygen: "cluster",
  keyring: "cluster",
  "kv delete": "kv",
  "kv export": "kv",
  "kv get": "kv",
  "kv import": "kv",
  "kv put": "kv",
  leave: "cluster",
  lock: "lock",
  login: "standalone",
  logout: "standalone",
  maint: "data",
  members: "cluster",
  monitor: "cluster",
  "operator autopilot get-config": "cluster",
  "operator autopilot set-config": "cluster",
  "operator autopilot state": "cluster",
  "operator raft list-peers": "cluster",
  "operator raft remove-peer": "cluster",
  "operator raft transfer-leader": "cluster",
  "operator usage instances": "cluster",
  reload: "reload",
  rtt: "cluster",
  "services deregister": "data",
  "services export": "standalone",
  "services exported-services": "standalone",
  "services register": "data",
  setup: "setup",
  "snapshot inspect": "snapshot",
  "snapshot restore": "snapshot",
  "snapshot save": "snapshot",
  validate: "standalone",
  version: "standalone",
  watch: "watch",
};

type Node = Command | CommandGroup;

function leaves(name: string, node: Node): [string, Command][] {
  if (node.kind === "command") return [[name, node]];
  return Object.entries(node.children).flatMap(([word, child]) => leaves(`${name} ${word}`, child));
}

function groups(name: string, node: Node): [string, CommandGroup][] {
  if (node.kind === "command") return [];
  const below = Object.entries(node.children).flatMap(([word, child]) =>
    groups(`${name} ${word}`, child),
  );
  return [[name, node], ...below];
}

async function run(node: Node, name: string, args: string[]) {
  const { world, text } = capturedWorld();
  const code = await runNode(node, args, `waypost ${name}`, world);
  return { code, ...text };
}

const all = await Promise.all(
  Object.entries(cliCommands).map(async ([name, row]) => ({
    name,
    doc: row.doc,
    node: await row.load(),
  })),
);
const everyLeaf = all.flatMap(({ name, node }) => leaves(name, node));

t.test("lists have the command's own line", async (t) => {
  for (const { name, doc, node } of all) t.equal(doc, node.doc, name);
  for (const [name, { doc }] of [
    ...everyLeaf,
    ...all.flatMap((each) => groups(each.name, each.node)),
  ])
    t.match(doc, /^[A-Z][^\n]*[.]$/, `${name}: one sentence`);
});

t.test("help", async (t) => {
  for (const [name, node] of everyLeaf)
    for (const flag of ["-h", "--help"]) {
      const { code, out, err } = await run(node, name, [flag]);
      t.same({ code, err }, { code: 0, err: "" }, `${name} ${flag}`);
      t.ok(out.startsWith(`Usage: waypost ${name}`), `${name}: ${out.split("\n")[0]}`);
      for (const each of Object.keys(node.flags)) t.match(out, `\n  -${each}`, `${name} -${each}`);
    }
  for (const { name, node } of all)
    for (const [path, group] of groups(name, node)) {
      const { code, out } = await run(group, path, ["-h"]);
      t.equal(code, 0, path);
      for (const [word, { doc }] of Object.entries(group.children))
        t.match(out, new RegExp(`^ {4}${word} +${doc.replaceAll(/[.()]/g, "\\$&")}$`, "m"));
      t.match(await run(group, path, []), { code: 1, out: "", err: /^Usage: / }, path);
    }
});

t.test("unknown flags and subcommands are refused with a sentence", async (t) => {
  for (const [name, node] of everyLeaf) {
    const { code, out, err } = await run(node, name, ["-no-such-flag"]);
    t.same({ code, out }, { code: 1, out: "" }, name);
    t.match(
      err.split("\n")[0],
      /^flag provided but not defined: -no-such-flag$|is not available: /,
      name,
    );
  }
  for (const { name, node } of all)
    for (const [path, group] of groups(name, node))
      t.match(await run(group, path, ["no-such-word"]), {
        code: 1,
        out: "",
        err: `unknown command "waypost ${path} no-such-word"`,
      });
});

t.test("each is run by a test", async (t) => {
  t.same(Object.keys(testOf).toSorted(), everyLeaf.map(([name]) => name).toSorted());
  for (const [name, file] of Object.entries(testOf)) {
    const text = readFileSync(join(import.meta.dirname, `${file}.test.ts`), "utf8");
    for (const word of name.split(" "))
      t.ok(new RegExp(`["\` ]${word}["\` $]`).test(text), `${file}.test.ts runs ${name}`);
  }
});
