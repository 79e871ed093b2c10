/** Entry under Bun: milliseconds by which the clock of DNS is off the time since boot, sleep included. */
import { readFileSync } from "node:fs";
import { platform } from "./script.ts";

type Create = (originMs: number) => () => number;
const { createSharedClock } = await platform<{ createSharedClock: Create }>("clock.ts");

const clock = createSharedClock(0);
const bootMs = Number(readFileSync("/proc/uptime", "utf8").split(" ", 1)[0]) * 1000;
console.log(Math.round(clock() - bootMs));
