/** The loop of a DNS worker: receive a batch, answer what the table holds, hand over the rest. */
import { COUNTER_BATCHES, COUNTER_MISSES_DROPPED, countDurations, countResponse } from "./cells.ts";
import type { SharedClock } from "./answer.ts";
import { commitMiss, type MissRing, storeMiss } from "./misses.ts";
import { MISS, REPLY_ROOM_OCTETS, type Responder, respond } from "./respond.ts";
import { writeServfail } from "./wire.ts";

/** Place of one query in the input; what is longer arrives cut, so as malformed. */
export const INPUT_SLOT_OCTETS = 2048;
/** Datagrams of one system call. */
export const BATCH_DATAGRAMS = 64;
/** Replies of one batch; when they are longer than this together, they leave in several calls. */
export const OUTPUT_OCTETS = 4 * 65536;

/** One socket as the loop sees it. Datagram i lies at i * INPUT_SLOT_OCTETS of the input. */
export type DatagramBatch = {
  /** Takes what is there (waiting or not is the owner's business): number of datagrams. */
  receive(): number;
  /** Octets of datagram i. */
  length(i: number): number;
  /** Queues octets of the output as reply to datagram i. */
  reply(i: number, out: number, octets: number): void;
  /** Writes RETURN_WORDS words about the sender of datagram i. */
  storeReturn(i: number, words: Int32Array, at: number): void;
  /** Sends what is queued; the output may be used again. */
  flush(): void;
};

/** What a worker thread holds while it serves. */
export type Serving = {
  responder: Responder;
  misses: MissRing;
  clock: SharedClock;
  /** Tells the main thread that there are misses. */
  ring(): void;
};

/** Serves one batch of a socket; returns the number of datagrams received. */
export function serveBatch(serving: Serving, batch: DatagramBatch): number {
  const count = batch.receive();
  if (count === 0) return 0;
  const { responder, clock } = serving;
  const { counters } = responder;
  const nowMs = clock();
  let out = 0;
  let replies = 0;
  let handedOver = 0;
  for (let i = 0; i < count; i++) {
    if (out + REPLY_ROOM_OCTETS > OUTPUT_OCTETS) {
      batch.flush();
      out = 0;
    }
    const start = i * INPUT_SLOT_OCTETS;
    let octets = respond(responder, start, batch.length(i), out, nowMs);
    if (octets === MISS) {
      if (handOver(serving, batch, i, nowMs)) {
        handedOver++;
        continue;
      }
      counters[COUNTER_MISSES_DROPPED]!++;
      const { input, scan, output } = responder;
      octets = writeServfail(input, start, scan, output, out);
      countResponse(counters, 2);
    }
    if (octets === 0) continue;
    batch.reply(i, out, octets);
    out += (octets + 3) & ~3;
    replies++;
  }
  if (replies > 0) {
    batch.flush();
    countDurations(counters, replies, clock() - nowMs);
  }
  counters[COUNTER_BATCHES]!++;
  if (handedOver > 0) serving.ring();
  return count;
}

function handOver(serving: Serving, batch: DatagramBatch, i: number, nowMs: number): boolean {
  const { misses, responder } = serving;
  const start = i * INPUT_SLOT_OCTETS;
  const at = storeMiss(misses, responder.inputWords, start, batch.length(i), nowMs);
  if (at < 0) return false;
  batch.storeReturn(i, misses.words, at);
  commitMiss(misses);
  return true;
}
