import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";

/** A new directory without links in its path; it is removed when the test ends, after later teardowns. */
export function temporaryDirectory(t: Pick<Test, "teardown">): string {
  const path = realpathSync(mkdtempSync(join(tmpdir(), "waypost-test-")));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
