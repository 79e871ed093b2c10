/** All tests of a folder in one process. */
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/**
 * Runs every `*.test.ts` below the folder of the `all.ts` that asks, by name. Nine tenths of the time
 * of such a file would go into the start of its process; what needs a process of its own lives
 * elsewhere (test/platform, test/program).
 */
export async function runFolder(asker: string): Promise<void> {
  const folder = dirname(fileURLToPath(asker));
  for (const file of testFiles(folder))
    // oxlint-disable-next-line no-await-in-loop -- in order, so that the report can be read
    await import(pathToFileURL(join(folder, file)).href);
}

/** Paths below the folder, sorted. */
export function testFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".test.ts"))
    .toSorted();
}
