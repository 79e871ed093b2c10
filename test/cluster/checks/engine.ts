/** An engine in the words of the Docker Engine API, for tests: a real server on a Unix socket. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { once } from "node:events";
import { join } from "node:path";
import { temporaryDirectory } from "../../temporary-directory.ts";

/** What a container does with a program. */
export type Script = {
  /** Pieces of the output stream as they go over the wire. */
  wire?: Uint8Array[];
  exitCode?: number;
  /** Answers "still running" to this many questions first. */
  runningFor?: number;
  /** Status of one of the three calls instead of its own. */
  fail?: { call: "create" | "start" | "inspect"; status: number; body?: string };
  /** This call is never answered. */
  hang?: "create" | "start" | "inspect";
  /** The answer with the output breaks off after it: in chunks, without the last one. */
  isCut?: boolean;
};

/** One frame of the stream: 1 is standard output, 2 standard error. */
export function frame(stream: 0 | 1 | 2, text: string | Uint8Array): Uint8Array {
  const content = Buffer.from(text);
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(content.length, 4);
  return Buffer.concat([header, content]);
}

/** Every octet on its own. */
export function singly(octets: Uint8Array): Uint8Array[] {
  return Array.from(octets, (octet) => Uint8Array.of(octet));
}

/** Starts it; `containers` says what each one plays. */
export async function startEngine(t: { teardown(run: () => void): void }) {
  const socketPath = join(temporaryDirectory(t), "docker.sock");
  const containers = new Map<string, Script>();
  const execs = new Map<string, { script: Script; asked: number; cmd: unknown }>();
  const seen: { line: string; host: string | undefined; body: unknown }[] = [];
  const refuse = (response: ServerResponse, status: number, message: string) =>
    response
      .writeHead(status, { "content-type": "application/json" })
      .end(JSON.stringify({ message }));

  const stream = async (response: ServerResponse, { wire = [], isCut = false }: Script) => {
    // as the engine does it: hijacked, without length, ended by the end of the connection
    const socket = response.socket!;
    socket.write("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n");
    socket.write(isCut ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
    for (const piece of wire) {
      if (isCut) socket.write(`${piece.length.toString(16)}\r\n`);
      socket.write(piece);
      if (isCut) socket.write("\r\n");
      // oxlint-disable-next-line no-await-in-loop -- each piece on its own
      await new Promise((resolve) => setImmediate(resolve));
    }
    socket.end();
  };

  const answer = (request: IncomingMessage, response: ServerResponse, body: string) => {
    const path = request.url ?? "";
    seen.push({
      line: `${request.method} ${path}`,
      host: request.headers.host,
      body: body === "" ? undefined : JSON.parse(body),
    });
    const create = /^\/containers\/([^/]+)\/exec$/.exec(path)?.[1];
    const [, id = "", call] = /^\/exec\/([^/]+)\/(start|json)$/.exec(path) ?? [];
    const known = execs.get(id);
    const script =
      create === undefined ? known?.script : containers.get(decodeURIComponent(create));
    const name = create === undefined ? (call === "start" ? "start" : "inspect") : "create";
    if (script === undefined)
      return refuse(response, 404, `No such ${name === "create" ? "container" : "exec instance"}`);
    if (script.hang === name) return undefined;
    if (script.fail?.call === name)
      return refuse(response, script.fail.status, script.fail.body ?? "something");
    if (create !== undefined) {
      const fresh = `e${execs.size + 1}`;
      execs.set(fresh, { script, asked: 0, cmd: JSON.parse(body).Cmd });
      response.writeHead(201, { "content-type": "application/json" });
      return response.end(JSON.stringify({ Id: fresh }));
    }
    if (call === "start") return void stream(response, script);
    const isRunning = known!.asked++ < (script.runningFor ?? 0);
    response.writeHead(200, { "content-type": "application/json" });
    return response.end(
      JSON.stringify({
        ID: id,
        Running: isRunning,
        ExitCode: isRunning ? null : (script.exitCode ?? 0),
        Pid: 4242,
      }),
    );
  };

  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += chunk));
    request.on("end", () => void answer(request, response, body));
  });
  server.listen(socketPath);
  await once(server, "listening");
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { host: `unix://${socketPath}`, containers, seen, server };
}
