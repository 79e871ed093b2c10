/** The loop of a DNS worker: receive a batch, answer what the table holds, hand over the rest. */
import {
  COUNTER_BATCHES,
  COUNTER_MISSES_DROPPED,
  countDurations,
  durationBucket,
  ORIGIN_DROPPED,
  SHED_QUEUE,
  TALLY_CELLS,
} from "./cells.ts";
import type { SharedClock } from "./answer.ts";
import {
  commitMiss,
  countUnlogged,
  isCrowded,
  MARK_SAMPLED,
  MARK_SERVED,
  type MissRing,
  sampleOf,
  storeMiss,
} from "./misses.ts";
import { type Gate, LOOKS_AT_LOOPBACK } from "./gate.ts";
import { respondAtGate } from "./gate-respond.ts";
import {
  countAnswer,
  drawSample,
  endRow,
  MISS,
  REPLY_ROOM_OCTETS,
  type Responder,
  respond,
} from "./respond.ts";
import { RCODE_SERVFAIL, writeEmpty } from "./wire.ts";

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
  /** Was datagram i sent from 127.0.0.0/8 or ::1? */
  isLoopback(i: number): boolean;
  /** Where in the counters the block begins in which datagram i is counted. */
  blockOf(i: number): number;
  /** Writes the sender's address, four words as in a packet, IPv4 as ::ffff:a.b.c.d. */
  readSource(i: number, source: Int32Array): void;
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
  gate: Gate;
  misses: MissRing;
  clock: SharedClock;
  /** Seconds since 1970. */
  wallSeconds(): number;
  /** Tells the main thread that there are misses. */
  ring(): void;
};

/** Serves one batch of a socket; returns the number of datagrams received. */
export function serveBatch(serving: Serving, batch: DatagramBatch): number {
  const count = batch.receive();
  if (count === 0) return 0;
  const { responder, gate, clock } = serving;
  const { counters } = responder;
  const nowMs = clock();
  responder.sampleBound = sampleOf(serving.misses);
  let out = 0;
  let handedOver = 0;
  for (let i = 0; i < count; i++) {
    if (out + REPLY_ROOM_OCTETS > OUTPUT_OCTETS) {
      batch.flush();
      out = 0;
    }
    const start = i * INPUT_SLOT_OCTETS;
    const length = batch.length(i);
    drawSample(responder);
    responder.block = batch.blockOf(i);
    let octets: number;
    if (batch.isLoopback(i) && gate.words[LOOKS_AT_LOOPBACK] === 0)
      octets = respond(responder, start, length, out, nowMs);
    else {
      batch.readSource(i, gate.source);
      octets = respondAtGate(responder, gate, start, length, out, nowMs, serving.wallSeconds());
    }
    if (octets === MISS) {
      if (handOver(serving, batch, i, nowMs)) {
        handedOver++;
        continue;
      }
      counters[COUNTER_MISSES_DROPPED]!++;
      const { input, scan, output } = responder;
      octets = writeEmpty(input, start, scan, output, out, RCODE_SERVFAIL, false);
      counters[responder.block + ORIGIN_DROPPED * TALLY_CELLS + SHED_QUEUE]!++;
      countAnswer(responder, ORIGIN_DROPPED, length, RCODE_SERVFAIL, octets);
    }
    if (octets === 0) continue;
    batch.reply(i, out, octets);
    if (responder.isSampled) tellServed(serving, batch, i, out, octets, nowMs);
    out += (octets + 3) & ~3;
  }
  if (responder.timedCount > 0) {
    batch.flush();
    countTimes(responder, clock() - nowMs);
  }
  counters[COUNTER_BATCHES]!++;
  if (handedOver > 0) serving.ring();
  return count;
}

/** Counts that everything answered since the last time took so long. */
export function countTimes(responder: Responder, ms: number): void {
  endRow(responder);
  const { counters, timed } = responder;
  const seconds = ms / 1000;
  const bucket = durationBucket(seconds);
  const end = Math.min(2 * responder.timedCount, timed.length);
  for (let i = 0; i < end; i += 2)
    countDurations(counters, timed[i]!, bucket, timed[i + 1]!, seconds);
  responder.timedCount = 0;
}

function handOver(serving: Serving, batch: DatagramBatch, i: number, nowMs: number): boolean {
  const { misses, responder } = serving;
  const start = i * INPUT_SLOT_OCTETS;
  const { inputWords, isSampled } = responder;
  const mark = isSampled ? MARK_SAMPLED : 0;
  const at = storeMiss(misses, inputWords, start, batch.length(i), nowMs, mark);
  if (at < 0) return false;
  batch.storeReturn(i, misses.words, at);
  commitMiss(misses);
  return true;
}

/** Leaves the reply for the log. Not urgent: the main thread comes by, and is woken only if much waits. */
function tellServed(
  serving: Serving,
  batch: DatagramBatch,
  i: number,
  out: number,
  octets: number,
  nowMs: number,
): void {
  const { misses, responder } = serving;
  const at = storeMiss(misses, responder.outputWords, out, octets, nowMs, MARK_SERVED);
  if (at < 0) {
    countUnlogged(misses);
    return;
  }
  batch.storeReturn(i, misses.words, at);
  commitMiss(misses);
  if (isCrowded(misses)) serving.ring();
}
