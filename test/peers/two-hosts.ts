/** Two hosts as network namespaces with a cable between them; needs root. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { Test } from "tap";

/** One of them: what runs there sees its interfaces alone. */
export type Host = {
  /** Runs a program to its end; its output. Throws if it fails. */
  run(program: string, ...args: string[]): string;
  /** Starts a program; it is killed when the test ends. */
  start(program: string, ...args: string[]): ChildProcess;
};

export type TwoHosts = { server: Host; client: Host };

/** 10.213.0.1/24 and fd00:213::1/64 are the server's on the cable, .2 and ::2 the client's. */
export const SERVER = "10.213.0.1";
export const SERVER6 = "fd00:213::1";

/**
 * The client also holds all of 203.0.113.0/24 and 2001:db8:77::7, which the server reaches through it.
 * undefined where namespaces cannot be made; where peers must not be missing that is an error.
 */
export function createTwoHosts(t: Test): TwoHosts | undefined {
  const name = `wp${process.pid}`;
  const names = [`${name}s`, `${name}c`] as const;
  const ip = (...args: string[]) => execFileSync("ip", args, { encoding: "utf8", stdio: "pipe" });
  try {
    ip("netns", "add", names[0]);
  } catch (error) {
    if (process.env["WAYPOST_REQUIRE_PEERS"] === "1")
      throw new Error("network namespaces cannot be made here", { cause: error });
    return undefined;
  }
  t.teardown(() => {
    for (const each of names) ip("netns", "del", each);
  });
  ip("netns", "add", names[1]);
  ip(
    "link",
    "add",
    `${name}v`,
    "netns",
    names[0],
    "type",
    "veth",
    "peer",
    "name",
    `${name}w`,
    "netns",
    names[1],
  );
  names.forEach((each, i) => {
    const device = `${name}${"vw"[i]}`;
    const inside = (...args: string[]) => ip("-n", each, ...args);
    inside("link", "set", "lo", "up");
    inside("link", "set", device, "up");
    inside("addr", "add", `10.213.0.${i + 1}/24`, "dev", device);
    inside("addr", "add", `fd00:213::${i + 1}/64`, "dev", device, "nodad");
    if (i === 0) {
      inside("route", "add", "203.0.113.0/24", "via", "10.213.0.2");
      inside("route", "add", "2001:db8:77::/64", "via", "fd00:213::2");
    } else {
      inside("route", "add", "local", "203.0.113.0/24", "dev", "lo");
      inside("addr", "add", "2001:db8:77::7/128", "dev", "lo", "nodad");
    }
  });
  const hostOf = (namespace: string): Host => ({
    run: (program, ...args) =>
      execFileSync("ip", ["netns", "exec", namespace, program, ...args], {
        encoding: "utf8",
        stdio: "pipe",
      }),
    start(program, ...args) {
      const child = spawn("ip", ["netns", "exec", namespace, program, ...args], {
        stdio: ["ignore", "pipe", "pipe"],
      });
      t.teardown(async () => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, "exit");
        child.kill("SIGKILL");
        await ended;
      });
      return child;
    },
  });
  return { server: hostOf(names[0]), client: hostOf(names[1]) };
}
