/** An HTTP/2 connection for one run of a check. */
import { connect, type ClientHttp2Session } from "node:http2";
import { dialStream } from "../dial/driver.ts";

/**
 * Dials and opens a session. `failed` gets the reason in Go's words, and whether the connection stood
 * by then; it may be called more than once. The function given back ends everything.
 */
export function dialHttp2(
  to: Parameters<typeof dialStream>[0],
  on: {
    connected(session: ClientHttp2Session): void;
    failed(text: string, wasConnected: boolean): void;
  },
): () => void {
  let session: ClientHttp2Session | undefined;
  const failed = (text: string) => on.failed(text, session !== undefined);
  const socket = dialStream(to, {
    connected(connection) {
      const scheme = to.tls === undefined ? "http" : "https";
      session = connect(`${scheme}://${to.address}`, { createConnection: () => connection });
      session.on("error", (error: Error) => failed(error.message));
      session.on("close", () => failed("connection closed"));
      on.connected(session);
    },
    failed,
  });
  return () => {
    session?.destroy();
    socket?.destroy();
  };
}
