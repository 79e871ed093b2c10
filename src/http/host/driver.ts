/** GET /v1/agent/host: numbers of the machine, in the shape that Consul gives them (gopsutil). */
import { statfs } from "node:fs/promises";
import * as os from "node:os";

/** Numbers in octets; CollectionTime in nanoseconds since 1970. What cannot be read is in Errors. */
export async function collectHostInfo(
  dataDir: string,
  wallMs: number,
): Promise<Record<string, unknown>> {
  const errors: string[] = [];
  const disk = await diskOf(dataDir).catch((error: unknown) => {
    errors.push(error instanceof Error ? error.message : String(error));
    return null;
  });
  return {
    Memory: memory(),
    CPU: cpus(),
    Host: host(wallMs),
    Disk: disk,
    CollectionTime: wallMs * 1e6,
    Errors: errors.length === 0 ? null : errors,
  };
}

function memory() {
  const total = os.totalmem();
  const free = os.freemem();
  const used = total - free;
  return { total, available: free, free, used, usedPercent: (used / total) * 100 };
}

function cpus() {
  return os.cpus().map(({ model, speed }, i) => ({
    cpu: i,
    modelName: model,
    mhz: speed,
    cores: 1,
  }));
}

function host(wallMs: number) {
  const uptime = Math.floor(os.uptime());
  return {
    hostname: os.hostname(),
    uptime,
    bootTime: Math.floor(wallMs / 1000) - uptime,
    os: os.platform(),
    platform: os.type(),
    kernelVersion: os.release(),
    kernelArch: os.machine(),
  };
}

async function diskOf(path: string) {
  const { blocks, bsize, bfree, bavail, files, ffree, type } = await statfs(path);
  const total = blocks * bsize;
  const used = (blocks - bfree) * bsize;
  return {
    path,
    fstype: `0x${type.toString(16)}`,
    total,
    free: bavail * bsize,
    used,
    usedPercent: total === 0 ? 0 : (used / total) * 100,
    inodesTotal: files,
    inodesFree: ffree,
    inodesUsed: files - ffree,
  };
}
