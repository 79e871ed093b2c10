/** Whether anything answers at an address: an ICMP echo, or a TCP connection, also one that is refused. */
import { lookup } from "node:dns/promises";
import { connect, isIP } from "node:net";
import type { Ping } from "../../../ports.ts";
import type { Reach, Reached } from "../monitor.ts";

/** `any`: whichever answers first. `icmp` is `tcp` where the system lets us send no echo requests. */
export type PingType = "any" | "icmp" | "tcp";

const SILENT: Reached = { alive: false, rttMs: 0 };

/** Errors that only the host itself, or its own firewall, can have sent. */
const ANSWERS = new Set(["ECONNREFUSED", "ECONNRESET"]);

/**
 * `ping`: null where the system lets us send no echo requests. `pingType` is asked with every look.
 * `findAddresses`: see DialOptions.
 */
export function createReach(deps: {
  ping: Ping | null;
  pingType: () => PingType;
  findAddresses: (host: string) => Promise<readonly string[]>;
}): Reach {
  return ({ address, port }, timeoutMs) => {
    const abort = new AbortController();
    const { ping } = deps;
    const type = ping === null ? "tcp" : deps.pingType();
    const timer = setTimeout(() => abort.abort(), timeoutMs);
    const looks = (ip: string): Promise<Reached>[] => [
      ...(type === "icmp" ? [] : [knock(ip, port, abort.signal)]),
      ...(type === "tcp" || ping === null ? [] : [echo(ping, ip, abort.signal)]),
    ];
    const result = addressOf(address, deps.findAddresses, abort.signal)
      // Once it has been given up nobody would hear of it again.
      .then((ip) => (abort.signal.aborted ? SILENT : firstAlive(looks(ip))))
      .catch(() => SILENT)
      .finally(() => {
        clearTimeout(timer);
        abort.abort();
      });
    return { result, cancel: () => abort.abort() };
  };
}

/** Resolvers cannot be called back, so the wait for them is given up instead. */
function addressOf(
  address: string,
  findAddresses: (host: string) => Promise<readonly string[]>,
  signal: AbortSignal,
): Promise<string> {
  if (isIP(address) !== 0) return Promise.resolve(address);
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(new Error("timeout")), { once: true });
    findAddresses(address)
      .then(async ([first]) => first ?? (await lookup(address)).address)
      .then(resolve, reject);
  });
}

async function firstAlive(looks: Promise<Reached>[]): Promise<Reached> {
  const alive = looks.map(async (look) => {
    const reached = await look;
    if (!reached.alive) throw new Error("silent");
    return reached;
  });
  return Promise.any(alive).catch(() => SILENT);
}

function echo(ping: Ping, ip: string, signal: AbortSignal): Promise<Reached> {
  const { result, cancel } = ping(ip);
  signal.addEventListener("abort", cancel, { once: true });
  return result;
}

function knock(ip: string, port: number, signal: AbortSignal): Promise<Reached> {
  return new Promise((resolve) => {
    const startMs = performance.now();
    const socket = connect({ host: ip, port });
    const finish = (alive: boolean): void => {
      socket.destroy();
      resolve(alive ? { alive, rttMs: performance.now() - startMs } : SILENT);
    };
    signal.addEventListener("abort", () => finish(false), { once: true });
    socket.once("connect", () => finish(true));
    // Stays for the whole life of the socket: an error after `destroy` must not end the program.
    socket.on("error", (error: NodeJS.ErrnoException) => finish(ANSWERS.has(error.code ?? "")));
  });
}
