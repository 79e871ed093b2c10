/** A keep-alive HTTP/1.1 connection with as little of its own as possible: what it measures is the server. */
import { connect, type Socket } from "node:net";

/** What the bench needs of an answer; `index` is X-Consul-Index, 0 if there is none. */
export type Answer = { status: number; index: number };

/** One connection; one request at a time. */
export type Connection = {
  /** Rejects when the connection ends before the whole answer has come. */
  ask(method: string, path: string, body?: string): Promise<Answer>;
  close(): void;
};

/** Connects to a port of the loopback address; rejects when nobody listens. */
export async function openConnection(port: number): Promise<Connection> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  return overSocket(socket);
}

function overSocket(socket: Socket): Connection {
  let received = "";
  let pending: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined;
  socket.setEncoding("latin1");
  socket.on("data", (text: string) => {
    received += text;
    const answer = takeAnswer();
    if (answer === undefined) return;
    const { resolve } = pending!;
    pending = undefined;
    resolve(answer);
  });
  socket.on("error", (error) => pending?.reject(error));
  socket.on("close", () => pending?.reject(new Error("connection closed")));

  /** Answers of waypost carry a Content-Length. */
  function takeAnswer(): Answer | undefined {
    const end = received.indexOf("\r\n\r\n");
    if (end < 0) return undefined;
    const head = received.slice(0, end);
    const header = (name: RegExp) => Number(name.exec(head)?.[1] ?? 0);
    const whole = end + 4 + header(/content-length: (\d+)/i);
    if (received.length < whole) return undefined;
    received = received.slice(whole);
    return { status: Number(head.slice(9, 12)), index: header(/x-consul-index: (\d+)/i) };
  }

  return {
    ask(method, path, body = "") {
      const head = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n`;
      const length = method === "GET" ? "" : `Content-Length: ${body.length}\r\n`;
      return new Promise((resolve, reject) => {
        pending = { resolve, reject };
        socket.write(`${head}${length}\r\n${body}`);
      });
    },
    close: () => socket.destroy(),
  };
}
