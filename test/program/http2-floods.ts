/** What clients send over HTTP/2 that is allowed and that nobody wants, made by hand (RFC 9113). */
import { setTimeout as sleep } from "node:timers/promises";
import { query } from "../dns-client.ts";
import {
  END_HEADERS,
  END_STREAM,
  field,
  FRAME,
  frame,
  requestFields,
  uint32,
  type RawHttp2,
} from "./http2-client.ts";

const CANCEL = 8;

/** A question for www.test in a GET, and as fields of a request. */
export const path = `/dns-query?dns=${query(0, "www.test").toString("base64url")}`;
export const get = requestFields("GET", path);
export const post = requestFields("POST");
const times = (count: number, one: (i: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, i) => one(i)));

/** The same octets again and again, until the connection is over or so many have been written. */
async function again(raw: RawHttp2, octets: Buffer, count: number): Promise<void> {
  for (let i = 0; i < count; i++) if (!(await raw.write(octets))) return;
}

/** The same frame again and again, so many thousand times at most. */
const thousands = (raw: RawHttp2, one: Buffer, count: number): Promise<void> =>
  again(
    raw,
    times(1_000, () => one),
    count,
  );

/** `run` sends as much of it as the server takes. */
export type Flood = {
  what: string;
  run: (raw: RawHttp2) => Promise<void>;
  /** It is not the connection's error. */
  stays?: true;
  /** After so long at the latest. */
  withinMs: number;
};

/** One connection each. */
export const floods: readonly Flood[] = [
  {
    what: "rapid reset (CVE-2023-44487)",
    async run(raw) {
      const stream = (i: number): number => 2 * i + 1;
      for (let from = 0; from < 20_000; from += 100) {
        const octets = times(100, (i) =>
          Buffer.concat([
            frame(FRAME.HEADERS, END_HEADERS | END_STREAM, stream(from + i), get),
            frame(FRAME.RST_STREAM, 0, stream(from + i), uint32(CANCEL)),
          ]),
        );
        if (!(await raw.write(octets))) return;
      }
    },
    withinMs: 2_000,
  },
  {
    what: "streams that the server is made to reset (CVE-2025-8671)",
    async run(raw) {
      for (let from = 0; from < 20_000; from += 100) {
        const octets = times(100, (i) =>
          Buffer.concat([
            frame(FRAME.HEADERS, END_HEADERS, 2 * (from + i) + 1, post),
            frame(FRAME.WINDOW_UPDATE, 0, 2 * (from + i) + 1, uint32(0)),
          ]),
        );
        if (!(await raw.write(octets))) return;
      }
    },
    withinMs: 2_000,
  },
  {
    what: "CONTINUATION without end (CVE-2024-27316)",
    async run(raw) {
      await raw.write(frame(FRAME.HEADERS, END_STREAM, 1, get));
      const octets = times(100, (i) =>
        frame(FRAME.CONTINUATION, 0, 1, field(`x-${i}`, "y".repeat(100))),
      );
      await again(raw, octets, 3_000);
    },
    withinMs: 1_000,
  },
  {
    what: "empty CONTINUATION without end",
    async run(raw) {
      await raw.write(frame(FRAME.HEADERS, END_STREAM, 1, get));
      await thousands(raw, frame(FRAME.CONTINUATION, 0, 1), 500);
    },
    withinMs: 1_000,
  },
  {
    what: "SETTINGS (CVE-2019-9515)",
    run: (raw) => thousands(raw, frame(FRAME.SETTINGS, 0, 0), 500),
    withinMs: 1_000,
  },
  {
    what: "PING (CVE-2019-9512)",
    run: (raw) => thousands(raw, frame(FRAME.PING, 0, 0, Buffer.alloc(8)), 500),
    withinMs: 1_000,
  },
  {
    what: "PING whose answers are not read",
    async run(raw) {
      raw.socket.pause();
      const octets = times(1_000, () => frame(FRAME.PING, 0, 0, Buffer.alloc(8)));
      for (let i = 0; i < 500 && raw.socket.writableLength < 4e6; i++) {
        raw.socket.write(octets);
        await sleep(1);
      }
      raw.socket.resume();
    },
    withinMs: 3_000,
  },
  {
    what: "empty DATA (CVE-2019-9518)",
    async run(raw) {
      await raw.write(frame(FRAME.HEADERS, END_HEADERS, 1, post));
      await thousands(raw, frame(FRAME.DATA, 0, 1), 500);
    },
    withinMs: 1_000,
  },
  {
    what: "a small block of headers that unpacks to 46 MB (CVE-2016-6581)",
    async run(raw) {
      const value = Buffer.alloc(3_900, 0x78);
      const length = Buffer.from([0x7f, 0x80 | ((3_900 - 127) & 127), (3_900 - 127) >> 7]);
      const added = Buffer.concat([Buffer.from([0x40, 1, 0x61]), length, value]);
      for (let i = 0; i < 300; i++) {
        const fields = Buffer.concat([
          get,
          i === 0 ? added : Buffer.alloc(0),
          Buffer.alloc(12_000, 0xbe),
        ]);
        if (!(await raw.write(frame(FRAME.HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, fields))))
          return;
      }
    },
    withinMs: 1_000,
  },
  {
    what: "five thousand streams without a body",
    run: async (raw) =>
      void (await raw.write(
        times(5_000, (i) => frame(FRAME.HEADERS, END_HEADERS, 2 * i + 1, post)),
      )),
    withinMs: 1_000,
  },
  {
    what: "WINDOW_UPDATE, and a question before it",
    async run(raw) {
      await raw.write(frame(FRAME.HEADERS, END_HEADERS | END_STREAM, 1, get));
      await thousands(raw, frame(FRAME.WINDOW_UPDATE, 0, 0, uint32(1)), 1_500);
    },
    withinMs: 1_000,
  },
  {
    what: "frames of a type that nobody knows",
    async run(raw) {
      await raw.write(frame(FRAME.HEADERS, END_HEADERS | END_STREAM, 1, get));
      await thousands(raw, frame(0xfa, 0, 0, Buffer.alloc(5)), 1_500);
    },
    withinMs: 1_000,
  },
  {
    what: "fields that may not be, CONNECT, no path: each a stream's error",
    async run(raw) {
      const bad = [
        Buffer.concat([field(":method", "CONNECT"), field(":authority", "x:1")]),
        Buffer.concat([field(":method", "GET"), field(":scheme", "https")]),
        Buffer.concat([get, field("content-length", "1"), field("content-length", "2")]),
        Buffer.concat([get, field("connection", "close")]),
        Buffer.concat([get, field("Upper", "case")]),
      ];
      await raw.write(
        times(bad.length, (i) =>
          frame(FRAME.HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, bad[i]!),
        ),
      );
    },
    stays: true,
    withinMs: 300,
  },
];
