/** Other people's programs, as Debian installs them. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Test } from "tap";
import { framed, query, tcpExchange } from "../dns-client.ts";

const START_LIMIT_MS = 20_000;

/**
 * Whether a Debian program is there. Where peers must not be missing (WAYPOST_REQUIRE_PEERS=1, set in
 * CI) its absence is an error; elsewhere the caller skips and says so.
 */
export function hasPeer(program: string): boolean {
  return succeeds(program, ["sh", "-c", `command -v ${program}`]);
}

/** The same for a module of Debian's own Python. */
export function hasPythonModule(name: string): boolean {
  return succeeds(`python3-${name}`, ["/usr/bin/python3", "-c", `import ${name}`]);
}

/** The same for a file that a Debian package brings. */
export function hasFile(path: string): boolean {
  return succeeds(path, ["test", "-e", path]);
}

function succeeds(what: string, [program, ...args]: [string, ...string[]]): boolean {
  try {
    execFileSync(program, args, { stdio: "ignore" });
    return true;
  } catch {
    if (process.env["WAYPOST_REQUIRE_PEERS"] === "1")
      throw new Error(`${what} is missing; test/peers/install.sh installs it`);
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

/** The same for a DNS server; gives back when it answers a question for `name` over TCP on its port. */
export async function startDnsPeer(
  t: Test,
  program: string,
  args: string[],
  { port, name }: { port: number; name: string },
): Promise<void> {
  startPeer(t, program, args);
  // As long as nobody listens a connection is refused at once.
  for (const until = Date.now() + START_LIMIT_MS; Date.now() < until; await sleep(20)) {
    const [reply] = await tcpExchange(port, framed(query(1, name)), 1_000);
    if (reply !== undefined) return;
  }
  throw new Error(`${program} does not answer`);
}
