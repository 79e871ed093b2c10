/** Figures of this process from the operating system. */
import { readdirSync } from "node:fs";
import process from "node:process";

export type ProcessFigures = {
  cpuSeconds: number;
  residentOctets: number;
  /** Heap in use. */
  heapOctets: number;
  startSeconds: number;
  /** 0 where the system does not tell. */
  openDescriptors: number;
};

const startSeconds = Date.now() / 1000 - process.uptime();

/** Reads them now. */
export function processFigures(): ProcessFigures {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  return {
    cpuSeconds: (user + system) / 1e6,
    residentOctets: rss,
    heapOctets: heapUsed,
    startSeconds,
    openDescriptors: countDescriptors(),
  };
}

function countDescriptors(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return 0;
  }
}
