/** Filling a waypost catalog with many instances, through the HTTP API as a user would. */
import type { Waypost } from "./servers.ts";

const CONNECTIONS = 16;

/** 10.a.b.c for a number below 2^24. */
export const address = (n: number): string => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;

/** Service names that `fill` makes. */
export const serviceName = (n: number): string => `svc-${n}`;

/**
 * Registers `instances` instances, one check each, ten to a node, spread over `services` names.
 * Throws at the first registration that is not answered with true.
 */
export async function fill(waypost: Waypost, instances: number, services: number): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < instances) {
      const n = next++;
      const name = serviceName(n % services);
      const body = {
        Node: `node-${Math.floor(n / 10)}`,
        Address: address(Math.floor(n / 10)),
        Service: { ID: `${name}-${n}`, Service: name, Address: address(n), Port: 8080 },
        Check: { CheckID: `c-${n}`, Name: "up", Status: "passing", ServiceID: `${name}-${n}` },
      };
      const url = `http://127.0.0.1:${waypost.httpPort}/v1/catalog/register`;
      const reply = await fetch(url, { method: "PUT", body: JSON.stringify(body) });
      if ((await reply.text()) !== "true") throw new Error(`registration ${n}: ${reply.status}`);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
}
