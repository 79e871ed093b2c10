/** DNS over UDP and TCP on the same ports, also where the system chooses them (port 0). */
import type { SocketAddress } from "../ports.ts";

/** A listener: where it is (port 0 resolved), and its end. */
type Front = { addresses: readonly SocketAddress[]; close(): Promise<void> };

/** What listens on the addresses given; each rejects when one cannot be had. */
export type Fronts<Udp extends Front, Tcp> = {
  udp(listen: readonly SocketAddress[]): Promise<Udp>;
  tcp(listen: readonly SocketAddress[]): Promise<Tcp>;
};

/**
 * Ports that the system gives for UDP until one is free for TCP as well. With a connection from every
 * second port of the ephemeral range, all of them fail once in 65,536 starts.
 */
const CHOICES_MAX = 16;

/**
 * Starts UDP, then TCP on the ports that UDP has. Where a port is 0 and its choice turns out to be
 * taken, another is tried, CHOICES_MAX times; a port that was asked for is tried once. Rejects with
 * the error of the last try; nothing listens then.
 */
export async function startOnSamePorts<Udp extends Front, Tcp>(
  listen: readonly SocketAddress[],
  start: Fronts<Udp, Tcp>,
): Promise<{ udp: Udp; tcp: Tcp }> {
  const isOurChoice = listen.some(({ port }) => port === 0);
  for (let left = isOurChoice ? CHOICES_MAX - 1 : 0; ; left--) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- the next try begins when this one has failed
      return await startOnce(listen, start);
    } catch (error) {
      if (left === 0) throw error;
    }
  }
}

async function startOnce<Udp extends Front, Tcp>(
  listen: readonly SocketAddress[],
  start: Fronts<Udp, Tcp>,
): Promise<{ udp: Udp; tcp: Tcp }> {
  const udp = await start.udp(listen);
  try {
    return { udp, tcp: await start.tcp(udp.addresses) };
  } catch (error) {
    await udp.close();
    throw error;
  }
}
