/** What has been acknowledged over HTTP is what the next question sees, on every worker. */
import t from "tap";
import { Agent, request } from "node:http";
import { decode, query, udpClient } from "../dns-client.ts";
import { startProgram } from "../program.ts";

const ROUNDS = 10_000;
const SOCKETS = 16; // different source ports, so that the kernel spreads them over all workers

t.test("a registration is never stale once acknowledged", async (t) => {
  const program = await startProgram(t, { workers: 3 });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => agent.destroy());
  const put = (path: string, body: unknown): Promise<number> =>
    new Promise((resolve, reject) => {
      const text = JSON.stringify(body);
      const call = request(
        { agent, port: program.httpPort, host: "127.0.0.1", method: "PUT", path },
        (reply) => {
          reply.resume();
          reply.on("end", () => resolve(reply.statusCode!));
        },
      );
      call.on("error", reject);
      call.end(text);
    });
  const clients = await Promise.all(
    Array.from({ length: SOCKETS }, () => udpClient(program.dnsPort)),
  );
  t.teardown(() => clients.forEach((client) => client.close()));

  let wrong = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const address = `10.77.${(round >> 8) & 255}.${round & 255}`;
    const gone = round % 5 === 4;
    const status = gone
      ? await put("/v1/catalog/deregister", { Node: "turn" })
      : await put("/v1/catalog/register", {
          Node: "turn",
          Address: address,
          Service: { Service: "turn", Port: 1 },
        });
    if (status !== 200) t.fail(`round ${round}: HTTP ${status}`);
    const reply = await clients[round % SOCKETS]!.ask(query(round, "turn.service.consul"));
    const seen = reply && decode(reply);
    const answer = seen?.answers?.[0];
    const right = gone
      ? seen?.answers?.length === 0
      : answer?.type === "A" && answer.data === address;
    if (!right) wrong++;
  }
  t.equal(wrong, 0, `${ROUNDS} writes, each followed by a question`);
});
