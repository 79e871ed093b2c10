import { execFileSync } from "node:child_process";
import { networkInterfaces } from "node:os";
import { fileURLToPath } from "node:url";
import t from "tap";
import { bunProgram } from "../bun.ts";

const script = fileURLToPath(new URL("./ping-script.ts", import.meta.url));
const hasIpv6 = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === "::1"),
);

t.test("echo requests to this host; not to where none can be sent", async (t) => {
  const ips = ["127.0.0.1", ...(hasIpv6 ? ["::1"] : []), "255.255.255.255"];
  const said = execFileSync(bunProgram(), [script, ...ips], { encoding: "utf8" }).trim();
  if (said === "none") {
    t.pass("this system lets the process send no echo requests");
    return;
  }
  t.same(
    said.split("\n"),
    ips.map((ip) => (ip === "255.255.255.255" ? `${ip} false false` : `${ip} true true`)),
  );
});

t.test("without the right to it there is no ping", async (t) => {
  if (process.getuid?.() !== 0) {
    t.pass("only root can give rights away");
    return;
  }
  const args = ["--reuid=65534", "--clear-groups", bunProgram(), script, "127.0.0.1"];
  try {
    const said = execFileSync("setpriv", args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
    t.match(said, /^(none|127\.0\.0\.1 true true)$/m);
  } catch (error) {
    t.pass(`setpriv or the directory is not for others here: ${String(error).slice(0, 80)}`);
  }
});
