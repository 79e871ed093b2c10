/**
 * The least that HTTP checks can cost in this runtime: the same requests at the same intervals, by
 * timers and node:http and nothing else. Arguments: port, number of requests, interval in ms.
 */
import { Agent, request } from "node:http";

const [port, count, intervalMs] = process.argv.slice(2).map(Number) as [number, number, number];
const agent = new Agent({ keepAlive: false });

function ask(i: number): void {
  setTimeout(ask, intervalMs, i);
  const sent = request({ host: "127.0.0.1", port, path: `/${i}`, agent });
  sent.on("error", () => {});
  sent.on("response", (response) => response.resume());
  sent.end();
}

for (let i = 0; i < count; i++) setTimeout(ask, (i * intervalMs) / count, i);
