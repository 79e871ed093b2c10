import type { CommandGroup } from "./command.ts";
import { remove } from "./kv/delete.ts";
import { exportKeys } from "./kv/export.ts";
import { get } from "./kv/get.ts";
import { importKeys } from "./kv/import.ts";
import { put } from "./kv/put.ts";

/** `kv`: keys and values. */
export const kv: CommandGroup = {
  kind: "group",
  doc: "Reads and writes the key/value store.",
  detail: "",
  children: { delete: remove, export: exportKeys, get, import: importKeys, put },
};
