// Ports for servers under test: nobody else is given one as long as this process lives.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";

const LOWEST = 10_000;
const HIGHEST = 65_535;
/** Fewer than this are not worth the trouble of avoiding the ephemeral range. */
const ENOUGH = 2_000;

/**
 * [lowest, highest], without the range from which the system takes the ports of connections and of
 * sockets bound to 0: what was free there a moment ago may be a stranger's connection now.
 */
function portRange() {
  const text = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8");
  const [low = LOWEST, high = HIGHEST] = text.trim().split(/\s+/).map(Number);
  if (low - LOWEST >= ENOUGH) return [LOWEST, low - 1];
  return HIGHEST - high >= ENOUGH ? [high + 1, HIGHEST] : [LOWEST, HIGHEST];
}

const [lowest, highest] = portRange();
let next = lowest + Math.floor(Math.random() * (highest - lowest + 1));

/**
 * A port that is free on loopback for TCP and UDP. It is locked until this process ends: a socket in
 * the abstract namespace carries its number, and every test, bench and replay asks here.
 * @returns {Promise<number>}
 */
export async function freePort() {
  for (let left = highest - lowest; left >= 0; left--) {
    const port = next;
    next = port === highest ? lowest : port + 1;
    const lock = createServer();
    // oxlint-disable-next-line no-await-in-loop -- one after the other until one is free
    if (!(await opened(lock, () => lock.listen(`\0waypost-test-port-${port}`)))) continue;
    lock.unref();
    // oxlint-disable-next-line no-await-in-loop -- as above
    if (await isFree(port)) return port;
    lock.close();
  }
  throw new Error(`no free port from ${lowest} to ${highest}`);
}

async function isFree(port) {
  const tcp = createServer();
  if (!(await opened(tcp, () => tcp.listen(port, "127.0.0.1")))) return false;
  const udp = createSocket("udp4");
  const isOpen = await opened(udp, () => udp.bind(port, "127.0.0.1"));
  const closed = [once(tcp, "close"), once(udp, "close")];
  tcp.close();
  udp.close();
  await Promise.all(closed);
  return isOpen;
}

function opened(socket, open) {
  return new Promise((resolve) => {
    socket.once("error", () => resolve(false));
    socket.once("listening", () => resolve(true));
    open();
  });
}
