import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import t from "tap";
import { bunProgram } from "../bun.ts";

const script = fileURLToPath(new URL("./notify-script.ts", import.meta.url));

t.test(
  "a successor has the watchdog's time as sd_watchdog_enabled(3) has it: whole µs",
  async (t) => {
    const microseconds = ["30000000", "1001", "1000001", "2147483647"];
    const said = execFileSync(bunProgram(), [script, ...microseconds], { encoding: "utf8" }).trim();
    t.same(
      said.split("\n"),
      microseconds.map((usec) => `${Number(usec) / 1000} ${usec} ${Number(usec) / 1000}`),
    );
  },
);
