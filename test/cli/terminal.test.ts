/** Colours and progress on a real terminal, plain text elsewhere. The terminal is made by `script`. */
import t from "tap";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { startProgram, waypostPath } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { runCli } from "./run.ts";

const skip =
  spawnSync("script", ["--version"]).status === 0 ? false : "script (util-linux) is not installed";

/** Output and exit code of a command whose input, output and error are a terminal. */
async function onTerminal(httpPort: number, args: string[], env: Record<string, string> = {}) {
  const command = [waypostPath, ...args].map((word) => `'${word}'`).join(" ");
  const child = spawn("script", ["-qec", command, "/dev/null"], {
    env: {
      ...process.env,
      NO_COLOR: "",
      TERM: "xterm",
      CONSUL_HTTP_ADDR: `127.0.0.1:${httpPort}`,
      ...env,
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  await once(child, "close");
  return { code: child.exitCode, out: readable(out) };
}

const plain = (text: string): string => stripVTControlCharacters(text).replaceAll("\r\n", "\n");
/** Escapes as a person can read them: `^[[1m` is bold. */
const readable = (text: string): string => text.replaceAll("\u001b", "^[");

t.test("tables and colours", { skip }, async (t) => {
  const { httpPort } = await startProgram(t, { services: [{ name: "web", port: 80 }] });
  for (const args of [["catalog", "nodes"], ["members"], ["dns", "query", "nothing.consul"]]) {
    const what = args.join(" ");
    const piped = await runCli(httpPort, args);
    t.equal(piped.code, 0, what);
    t.notMatch(piped.out, "\u001b", `${what}: plain when piped`);
    const shown = await onTerminal(httpPort, args);
    t.equal(shown.code, 0, what);
    t.match(shown.out, "^[[1m", `${what}: bold on a terminal`);
    if (args[0] !== "dns") t.equal(plain(shown.out.replaceAll("^[", "\u001b")), piped.out, what);
    const colourless = await onTerminal(httpPort, args, { NO_COLOR: "1" });
    t.notMatch(colourless.out, "^[", `${what}: NO_COLOR`);
    t.notMatch((await onTerminal(httpPort, args, { TERM: "dumb" })).out, "^[", what);
    // no-color.org: an empty variable is as if it were not there.
    t.match((await onTerminal(httpPort, args, { NO_COLOR: "" })).out, "^[[", what);
  }
  const answer = (await onTerminal(httpPort, ["dns", "query", "web.service.consul"])).out;
  t.match(answer, "status: ^[[32mNOERROR^[[39m");
  const missing = (await onTerminal(httpPort, ["dns", "query", "nothing.consul"])).out;
  t.match(missing, "status: ^[[33mNXDOMAIN^[[39m");
});

t.test("progress of long work", { skip }, async (t) => {
  const { httpPort } = await startProgram(t);
  const file = join(temporaryDirectory(t), "state.snap");
  const shown = await onTerminal(httpPort, ["snapshot", "save", file]);
  t.equal(shown.code, 0);
  // A line that is drawn over, and removed before the result is printed.
  t.match(shown.out, /\r\^\[\[K[^\r\n]+\r\^\[\[K/);
  t.match(shown.out.slice(shown.out.lastIndexOf("^[[K") + 4), /^Saved and verified snapshot/);
  const piped = await runCli(httpPort, ["snapshot", "save", file]);
  t.notMatch(piped.out + piped.err, "\r", "none when piped");
});
