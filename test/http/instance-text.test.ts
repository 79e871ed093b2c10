import t from "tap";
import { createServer, registerService } from "./harness.ts";

type Entry = {
  Node: { Address: string };
  Service: { Port?: number };
  Checks: { Status: string }[];
};

t.test("a kept text never outlives what it shows", async (t) => {
  const server = createServer();
  const put = (body: object) => server.ask("PUT", "/v1/catalog/register", { body });
  const shown = async () => {
    const answer = await server.ask("GET", "/v1/health/service/web");
    const [{ Node, Service, Checks }] = answer.json as [Entry];
    return [Node.Address, Service.Port, ...Checks.map(({ Status }) => Status)];
  };
  await registerService(server, "n1", "web", { Port: 80 });
  t.same(await shown(), ["10.0.0.1", 80]);
  t.same(await shown(), ["10.0.0.1", 80], "again, from the text");
  await put({ Node: "n1", Address: "10.0.0.2" });
  t.same(await shown(), ["10.0.0.2", 80], "the node changed");
  await put({ Node: "n1", Address: "10.0.0.2", Check: { CheckID: "n", Status: "passing" } });
  t.same(await shown(), ["10.0.0.2", 80, "passing"], "a check of the node");
  await put({ Node: "n1", Address: "10.0.0.2", Check: { CheckID: "n", Status: "warning" } });
  t.same(await shown(), ["10.0.0.2", 80, "warning"], "the check changed");
  await registerService(server, "n1", "web", { Port: 81 });
  t.same(await shown(), ["10.0.0.1", 81, "warning"], "node and service changed");
});
