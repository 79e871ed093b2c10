/** What a check wrote: its end, in little memory, however long it is. */
import { formatDuration } from "../../duration.ts";
import { lastOctets, type ProbeResult } from "./check.ts";

/** Collects an output. */
export type OutputEnd = {
  /** Keeps nothing of `octets` that is not needed. */
  add(octets: Uint8Array): void;
  /** Octets given so far. */
  readonly totalOctets: number;
  /** The end as text: a broken character at its start is left out, other wrong UTF-8 is replaced. */
  text(): string;
};

/** An output whose last `maxOctets` octets are kept. */
export function createOutputEnd(maxOctets: number): OutputEnd {
  const chunks: Uint8Array[] = [];
  let kept = 0;
  let totalOctets = 0;
  return {
    add(octets) {
      totalOctets += octets.length;
      // A copy: a short view would hold the whole buffer of the read. One octet more than is kept
      // tells that the text does not begin with the output.
      chunks.push(octets.slice(Math.max(0, octets.length - maxOctets - 1)));
      kept += chunks.at(-1)!.length;
      while (kept - chunks[0]!.length > maxOctets) kept -= chunks.shift()!.length;
    },
    get totalOctets() {
      return totalOctets;
    },
    text: () => lastOctets(joined(chunks, kept), maxOctets),
  };
}

function joined(chunks: readonly Uint8Array[], octets: number): Uint8Array {
  const whole = new Uint8Array(octets);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** Output of a program, with Consul's remark where its start is missing. */
export function programOutput(output: OutputEnd, maxOctets: number): string {
  const text = output.text();
  return output.totalOctets <= maxOctets
    ? text
    : `Captured ${maxOctets} of ${output.totalOctets} bytes\n...\n${text}`;
}

/** Status of a program's exit code, as Nagios plugins have it: 0 passing, 1 warning, else critical. */
export function statusOfExit(code: number | null): "passing" | "warning" | "critical" {
  if (code === 0) return "passing";
  return code === 1 ? "warning" : "critical";
}

/** Result of a program that was not done after `timeoutMs`, with what it wrote until then. */
export function timedOutResult(timeoutMs: number, output: string): ProbeResult {
  const text = `Timed out (${formatDuration(timeoutMs)}) running check`;
  return { status: "critical", output: output === "" ? text : `${text}\n\n${output}` };
}
