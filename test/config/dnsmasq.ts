/** A file system of texts for the reader of dnsmasq's configuration, and one host. */
import { fail, ok } from "../../src/base.ts";
import { interfaceAddresses } from "../../src/config/interface-address.ts";
import {
  readDnsmasq,
  treeOf,
  type DnsmasqConfig,
  type Host,
} from "../../src/config/dnsmasq/tree.ts";
import type { ConfFiles } from "../../src/config/dnsmasq/statements.ts";
import { atOnce } from "../../src/slices.ts";
import { machine } from "./world.ts";

/** The host of world.ts. */
export const host: Host = {
  hostname: machine.hostname,
  addresses: interfaceAddresses(machine.interfaces, machine.defaultInterface),
};

/** `path` → text; `path/` → a directory; a text that starts with `->` is a link. */
export function filesOf(files: Readonly<Record<string, string>>): ConfFiles {
  const textOf = (path: string) => (Object.hasOwn(files, path) ? files[path] : undefined);
  const target = (path: string): string => {
    const text = textOf(path);
    return text?.startsWith("->") === true ? target(text.slice(2)) : path;
  };
  return {
    *read(path) {
      const text = textOf(target(path));
      yield;
      return text === undefined
        ? fail("no such file or directory")
        : ok({ pieces: text.split(/(?<=\n)/), identity: target(path) });
    },
    list(path) {
      const inside = Object.keys(files)
        .filter((each) => each.startsWith(`${path}/`))
        .map((each) => each.slice(path.length + 1));
      return inside.length === 0 ? fail("no such file or directory") : ok(inside);
    },
    isFile: (path) => ok(!target(path).endsWith("/")),
  };
}

/** Reads main.conf among these files; a text alone is main.conf. */
export function read(files: string | Readonly<Record<string, string>>): DnsmasqConfig {
  const held = filesOf(typeof files === "string" ? { "main.conf": files } : files);
  return atOnce(readDnsmasq("main.conf", held, host));
}

/** The JSON, without what every configuration comes to. */
export function tree(text: string): Record<string, unknown> {
  const config = read(text);
  if (config.errors.length > 0) throw new Error(config.errors.join("\n"));
  const usual = new Map(read("").entries.map(({ key, value }) => [key, JSON.stringify(value)]));
  return treeOf(
    config.entries.filter(({ key, value }) => usual.get(key) !== JSON.stringify(value)),
  );
}
