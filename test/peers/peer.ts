/** Other people's programs, as Debian installs them. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import type { Test } from "tap";

/**
 * Whether a Debian program is there. Where peers must not be missing (WAYPOST_REQUIRE_PEERS=1, set in
 * CI) its absence is an error; elsewhere the caller skips and says so.
 */
export function hasPeer(program: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" });
    return true;
  } catch {
    if (process.env["WAYPOST_REQUIRE_PEERS"] === "1")
      throw new Error(`${program} is missing; test/peers/install.sh installs it`);
    return false;
  }
}

/** Starts a program in the foreground; it is stopped when the test ends. */
export function startPeer(t: Test, program: string, args: string[]): void {
  const child = spawn(program, args, { stdio: "ignore" });
  t.teardown(async () => {
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  });
}
