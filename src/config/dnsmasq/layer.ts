/** A configuration of dnsmasq's as one layer of ours: in front of the files, which win. */
import { atOnce, type Slices } from "../../slices.ts";
import { interfaceAddresses } from "../interface-address.ts";
import type { Machine } from "../machine.ts";
import { emptyLayer, readLayer, type Layer } from "../read.ts";
import { systemFiles } from "./files.ts";
import { readDnsmasq, treeOf, type DnsmasqConfig, type Entry } from "./tree.ts";

/**
 * The layers, with that of the last `forwarder.dnsmasq_conf` among them in front, and the file of its
 * `servers-file`. dnsmasq's users know no data_dir: without one the machine's state directory is taken, but for -dev, which keeps nothing.
 */
export function* withDnsmasq(
  layers: readonly Layer[],
  machine: Machine,
  dev: boolean,
): Slices<{ layers: readonly Layer[]; serversFile: string | undefined }> {
  const path = layers.map(({ values }) => values.get(KEY)).findLast((value) => value !== undefined);
  if (typeof path !== "string" || path === "") return { layers, serversFile: undefined };
  const read = yield* readHere(path, machine);
  const layer = toLayer(read);
  if (!dev && !layers.some(({ values }) => values.has("data_dir"))) {
    layer.values.set("data_dir", machine.stateDirectory);
    layer.origins.set("data_dir", path);
    layer.warnings.push(`data_dir is not given; the catalog is kept in ${machine.stateDirectory}`);
  }
  return { layers: [layer, ...layers], serversFile: read.serversFile };
}

/** The same as JSON of ours, with what is wrong with it and what means less there than in dnsmasq. */
export function importDnsmasq(
  path: string,
  machine: Machine,
): { tree: Record<string, unknown>; errors: readonly string[]; notes: readonly string[] } {
  const read = atOnce(readHere(path, machine));
  const { errors, warnings } = toLayer(read);
  return { tree: treeOf(read.entries), errors, notes: warnings };
}

function readHere(path: string, machine: Machine): Slices<DnsmasqConfig> {
  const addresses = interfaceAddresses(machine.interfaces, machine.defaultInterface);
  return readDnsmasq(path, systemFiles, { hostname: machine.hostname, addresses });
}

const KEY = "forwarder.dnsmasq_conf";

/** What the file says, with `file:line` as the origin of every key and of every member of a list. */
function toLayer(read: DnsmasqConfig): Layer {
  const layer = emptyLayer();
  layer.errors.push(...read.errors);
  layer.warnings.push(...read.notes);
  for (const entry of read.entries) addEntry(layer, entry);
  return layer;
}

function addEntry(layer: Layer, entry: Entry): void {
  const { values, origins, warnings, errors } = readLayer(treeOf([entry]), entry.place);
  for (const [key, value] of values) layer.values.set(key, value);
  for (const [key, origin] of origins) layer.origins.set(key, origin);
  for (const [i, place] of (entry.places ?? []).entries())
    layer.origins.set(`${entry.key}[${i}]`, place);
  layer.warnings.push(...warnings);
  layer.errors.push(...errors);
}
