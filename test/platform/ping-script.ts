/** Entry under Bun: one echo request to each address that is named. Prints whether it is alive, or "none". */
import type { Ping, Random } from "../../src/ports.ts";
import { platform } from "./script.ts";

type Create = (random: Random) => Ping | null;
const { createPing } = await platform<{ createPing: Create }>("ping.ts");

const ping = createPing({
  uint32: () => crypto.getRandomValues(new Uint32Array(1))[0]!,
  uuid: () => crypto.randomUUID(),
});
if (ping === null) console.log("none");
else
  for (const ip of process.argv.slice(2)) {
    const { result, cancel } = ping(ip);
    const timer = setTimeout(cancel, 1000);
    const { alive, rttMs } = await result;
    clearTimeout(timer);
    console.log(`${ip} ${alive} ${alive && rttMs > 0 && rttMs < 1000}`);
  }
