/** Clients that take every descriptor must not end the server, nor what was promised. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import t from "tap";
import { freePort } from "../free-port.mjs";
import { waypostPath } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

/** More than the program starts with, fewer than TCP clients of one address may have. */
const DESCRIPTORS = 128;
/** Longer than the store waits between two looks at its folder. */
const WRITING_MS = 3000;

t.test("registrations go on while no descriptor is left", async (t) => {
  const directory = temporaryDirectory(t);
  const [dnsPort, httpPort] = [await freePort(), await freePort()];
  const line = `ulimit -n ${DESCRIPTORS}; exec "$0" "$@"`;
  const flags = ["-server", "-bootstrap", "-bind", "127.0.0.1", "-data-dir", join(directory, "d")];
  const ports = ["-dns-port", String(dnsPort), "-http-port", String(httpPort)];
  const child = spawn("sh", ["-c", line, waypostPath, "agent", ...flags, ...ports], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  let log = "";
  child.stderr.on("data", (octets: Buffer) => (log += octets.toString()));
  while (!/ ready: /.test(log)) {
    await Promise.race([once(child.stderr, "data"), once(child, "exit")]);
    if (child.exitCode !== null) return void t.fail(log);
  }

  // One connection that is open before the others come, and stays.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => agent.destroy());
  const register = (node: string) =>
    new Promise<number>((resolve) => {
      const body = JSON.stringify({ Node: node, Address: "10.0.0.1" });
      const at = { port: httpPort, host: "127.0.0.1", path: "/v1/catalog/register", agent };
      request({ ...at, method: "PUT" }, (answer) => {
        answer.resume();
        answer.on("end", () => resolve(answer.statusCode ?? 0));
      })
        .on("error", () => resolve(0))
        .end(body);
    });
  t.equal(await register("first"), 200);

  const crowd: Socket[] = [];
  t.teardown(() => crowd.forEach((socket) => socket.destroy()));
  for (let i = 0; i < 2 * DESCRIPTORS; i++)
    crowd.push(connect(dnsPort, "127.0.0.1").on("error", () => {}));
  let written = 0;
  for (const until = Date.now() + WRITING_MS; Date.now() < until;) {
    const status = await register(`n${written}`);
    if (status !== 200) return void t.fail(`status ${status} after ${written}: ${log}`);
    written++;
    // Keep the crowd as large as it was: idle ones are closed by the server.
    crowd.push(connect(dnsPort, "127.0.0.1").on("error", () => {}));
  }
  t.ok(written > 0, `${written} registrations`);
  t.equal(child.exitCode, null, "it still runs");
});
