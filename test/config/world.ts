import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Test } from "tap";
import { loadConfig, type LoadedConfig, type Sources } from "../../src/config.ts";
import type { Result } from "../../src/base.ts";
import type { Interfaces } from "../../src/config/interface-address.ts";
import type { Machine } from "../../src/config/machine.ts";
import { emptyLayer } from "../../src/config/read.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

function ipv4(cidr: string, internal = false) {
  return { address: cidr.split("/")[0]!, family: "IPv4", cidr, internal };
}

function ipv6(cidr: string, internal = false) {
  return { ...ipv4(cidr, internal), family: "IPv6" };
}

/** A host in a VPC with a container bridge, a second network and a public address. */
export const interfaces: Interfaces = {
  lo: [ipv4("127.0.0.1/8", true), ipv6("::1/128", true)],
  docker0: [ipv4("172.17.0.1/16"), ipv6("fe80::42/64")],
  eth0: [ipv4("10.1.2.3/24"), ipv6("fd00:1::3/64"), ipv6("fe80::1/64")],
  eth1: [ipv4("192.168.7.9/22"), ipv4("8.8.4.4/30"), ipv6("2600:1f18::9/64")],
};

export const machine: Machine = {
  hostname: "host-1",
  interfaces,
  defaultInterface: "eth0",
  stateDirectory: "/var/lib/waypost",
  lookup: (host) =>
    host === "resolver.example"
      ? Promise.resolve(["192.0.2.53", "2001:db8::53"])
      : Promise.reject(new Error("ENOTFOUND")),
};

/** Writes files into a new directory that lives as long as the test; objects become JSON. */
export function writeFiles(t: Test, files: Record<string, unknown>): string {
  const directory = temporaryDirectory(t);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(
      join(directory, name),
      typeof content === "string" ? content : JSON.stringify(content),
    );
  }
  return directory;
}

/** Loads files and directories as `agent` would without flags, on the machine above. */
export function load(
  paths: readonly string[],
  over: Partial<Sources> = {},
): Promise<Result<LoadedConfig, string[]>> {
  const layers = { flagLists: emptyLayer(), flagValues: emptyLayer() };
  const rest = { format: undefined, fragments: [], dev: false, ...over };
  return loadConfig({ paths, ...layers, ...rest }, machine);
}
