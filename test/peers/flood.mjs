// Sends one query over and over from many addresses of 203.0.113.0/24 and prints, as JSON, the octets and
// replies of each second: node flood.mjs SERVER PORT QUERY(hex) PER_SECOND SECONDS
import { createSocket } from "node:dgram";

const [server, port, hex, perSecond, seconds] = process.argv.slice(2);
const query = Buffer.from(hex, "hex");
const SOCKETS = 64;
const TICK_MS = 10;
/** How long replies are waited for after the last question. */
const LATE_MS = 2000;

const totals = Array.from({ length: Number(seconds) + 1 }, () => ({
  sent: 0,
  octetsIn: 0,
  replies: 0,
  octetsOut: 0,
  truncated: 0,
}));
const startMs = performance.now();
const now = () =>
  totals[Math.min(totals.length - 1, Math.floor((performance.now() - startMs) / 1000))];
const sockets = await Promise.all(
  Array.from({ length: SOCKETS }, (_, i) => {
    const socket = createSocket({ type: "udp4", recvBufferSize: 4 << 20 });
    socket.on("message", (reply) => {
      const total = now();
      total.replies++;
      total.octetsOut += reply.length;
      if ((reply[2] & 2) !== 0) total.truncated++;
    });
    return new Promise((bound) => socket.bind(0, `203.0.113.${i + 1}`, () => bound(socket)));
  }),
);
let sent = 0;
const timer = setInterval(() => {
  const elapsedMs = performance.now() - startMs;
  if (elapsedMs >= Number(seconds) * 1000) {
    clearInterval(timer);
    setTimeout(() => {
      for (const socket of sockets) socket.close();
      console.log(JSON.stringify(totals));
    }, LATE_MS);
    return;
  }
  for (const due = (elapsedMs * Number(perSecond)) / 1000; sent < due; sent++) {
    sockets[sent % SOCKETS].send(query, Number(port), server);
    const total = now();
    total.sent++;
    total.octetsIn += query.length;
  }
}, TICK_MS);
