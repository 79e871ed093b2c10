/** Files of a dnsmasq configuration as the system has them. Only regular files are read: nothing waits. */
import { readdirSync, statSync } from "node:fs";
import { ok } from "../../base.ts";
import { attempt, readRegularPieces } from "../regular-file.ts";
import type { ConfFiles } from "./statements.ts";

/** The real file system. */
export const systemFiles: ConfFiles = {
  read: readRegularPieces,
  list: (path) => attempt(() => ok(readdirSync(path))),
  isFile: (path) => attempt(() => ok(statSync(path).isFile())),
};
