/**
 * Regular expressions of RE2's syntax, matched in time linear in the text. The runtime's own engine
 * backtracks: one crafted expression in a query would stop the main thread, DNS misses included.
 * The method is Pike's: all places in the program at once, the one that a backtracking matcher would
 * have tried first leading. https://swtch.com/~rsc/regexp/regexp2.html
 */
import { fail, ok, type Result } from "../base.ts";
import { isWord, parseRegexp, type Assertion, type Node, type Test } from "./regexp-parse.ts";

/** A compiled expression; matching takes time linear in the text. */
export type Regexp = {
  /** Steps that each character of a text costs at most. */
  readonly size: number;
  /** Does it match anywhere in the text? */
  test(text: string): boolean;
  /** Leftmost match: whole, then the groups ("" for one without a part in it); undefined if none. */
  match(text: string): string[] | undefined;
};

type Instruction =
  | { op: "one"; test: Test }
  | { op: "assert"; assertion: Assertion }
  /** The first way is preferred. */
  | { op: "split"; to: readonly [number, number] }
  | { op: "jump"; to: number }
  | { op: "save"; slot: number }
  | { op: "match" };

/** Size of a compiled expression; each character of the text costs at most this many steps. */
const INSTRUCTIONS_MAX = 2000;

/** The error says what is wrong with the expression. */
export function compileRegexp(expression: string): Result<Regexp, string> {
  const parsed = parseRegexp(expression);
  if (!parsed.ok) return parsed;
  const program: Instruction[] = [];
  if (!emit(parsed.value.tree, program))
    return fail("error parsing regexp: expression is too large");
  program.push({ op: "match" });
  const slotCount = 2 * parsed.value.groups;
  return ok({
    size: program.length,
    test: (text) => matches(program, pointsOf(text)),
    match(text) {
      const points = pointsOf(text);
      const found = run(program, points, slotCount);
      if (found === undefined) return undefined;
      const part = (from: number, to: number) =>
        from < 0 || to < 0 ? "" : String.fromCodePoint(...points.slice(from, to));
      const groups = [part(found.start, found.end)];
      for (let slot = 0; slot < slotCount; slot += 2)
        groups.push(part(found.slots[slot]!, found.slots[slot + 1]!));
      return groups;
    },
  });
}

const pointsOf = (text: string) => Array.from(text, (character) => character.codePointAt(0)!);

/** false: the program grows beyond its bound. */
function emit(node: Node, program: Instruction[]): boolean {
  if (program.length > INSTRUCTIONS_MAX) return false;
  switch (node.type) {
    case "one":
      program.push({ op: "one", test: node.test });
      return true;
    case "assert":
      program.push({ op: "assert", assertion: node.assertion });
      return true;
    case "all":
      return node.nodes.every((inner) => emit(inner, program));
    case "any":
      return emitAny(node.nodes, program);
    case "group": {
      const slot = 2 * (node.group - 1);
      program.push({ op: "save", slot });
      if (!emit(node.node, program)) return false;
      program.push({ op: "save", slot: slot + 1 });
      return true;
    }
    case "repeat":
      return emitRepeat(node, program);
  }
}

function emitAny(nodes: readonly Node[], program: Instruction[]): boolean {
  const ends: number[] = [];
  for (const [i, node] of nodes.entries()) {
    if (i === nodes.length - 1) {
      if (!emit(node, program)) return false;
      break;
    }
    const split = program.push({ op: "jump", to: 0 }) - 1;
    if (!emit(node, program)) return false;
    ends.push(program.push({ op: "jump", to: 0 }) - 1);
    program[split] = { op: "split", to: [split + 1, program.length] };
  }
  for (const end of ends) program[end] = { op: "jump", to: program.length };
  return true;
}

type Repeat = Extract<Node, { type: "repeat" }>;

function emitRepeat({ node, min, max, greedy }: Repeat, program: Instruction[]): boolean {
  const splitAt = (at: number): Instruction => {
    const [into, past] = [at + 1, program.length];
    return { op: "split", to: greedy ? [into, past] : [past, into] };
  };
  for (let i = 0; i < min; i++) {
    const before = program.length;
    if (!emit(node, program)) return false;
    // Nothing, a thousand times nothing and so on would never reach the bound of the program.
    if (program.length === before) break;
  }
  if (max === Infinity) {
    const split = program.push({ op: "jump", to: 0 }) - 1;
    if (!emit(node, program)) return false;
    program.push({ op: "jump", to: split });
    program[split] = splitAt(split);
    return true;
  }
  const splits: number[] = [];
  for (let i = min; i < max; i++) {
    splits.push(program.push({ op: "jump", to: 0 }) - 1);
    if (!emit(node, program)) return false;
  }
  for (const split of splits) program[split] = splitAt(split);
  return true;
}

type Thread = { pc: number; start: number; slots: readonly number[] };
type Found = { start: number; end: number; slots: readonly number[] };

/**
 * Yes or no: the places alone, without their history. Over 4096 characters with 982 instructions,
 * all of them busy (`(?:a?){490}b`), 35 ms instead of the 144 ms of `run`.
 */
function matches(program: readonly Instruction[], points: readonly number[]): boolean {
  const size = program.length;
  const seenAt = new Int32Array(size).fill(-1);
  let places = new Int32Array(size + 1);
  let next = new Int32Array(size + 1);
  // Each instruction is looked at once per character and leads to two others at most.
  const open = new Int32Array(3 * size + 1);
  let count = 0;
  for (let at = 0; at <= points.length; at++) {
    let top = 0;
    for (let i = 0; i < count; i++) open[top++] = places[i]!;
    open[top++] = 0; // unanchored
    count = 0;
    while (top > 0) {
      const pc = open[--top]!;
      if (seenAt[pc] === at) continue;
      seenAt[pc] = at;
      const instruction = program[pc]!;
      switch (instruction.op) {
        case "match":
          return true;
        case "one":
          if (at < points.length && instruction.test(points[at]!)) next[count++] = pc + 1;
          break;
        case "jump":
          open[top++] = instruction.to;
          break;
        case "split":
          open[top++] = instruction.to[1];
          open[top++] = instruction.to[0];
          break;
        case "save":
          open[top++] = pc + 1;
          break;
        case "assert":
          if (holds(instruction.assertion, points, at)) open[top++] = pc + 1;
          break;
      }
    }
    [places, next] = [next, places];
  }
  return false;
}

/** Leftmost match. */
function run(
  program: readonly Instruction[],
  points: readonly number[],
  slotCount: number,
): Found | undefined {
  const seenAt = new Int32Array(program.length).fill(-1);
  const noSlots: readonly number[] = Array.from({ length: slotCount }, () => -1);
  let threads: Thread[] = [];
  let found: Found | undefined;
  for (let at = 0; at <= points.length; at++) {
    // Unanchored: until something matched, one more match may begin at every place.
    if (found === undefined) threads.push({ pc: 0, start: at, slots: noSlots });
    else if (threads.length === 0) break;
    const next: Thread[] = [];
    for (const thread of threads) {
      const end = follow(program, points, at, thread, seenAt, next);
      if (end === undefined) continue;
      found = { start: thread.start, end: at, slots: end.slots };
      break; // what follows is less preferred
    }
    threads = next;
  }
  return found;
}

/**
 * Goes from a thread through all that takes no character, puts the threads that can take the next
 * one into `next`, one step on, and gives the thread that reached the end if one did.
 */
function follow(
  program: readonly Instruction[],
  points: readonly number[],
  at: number,
  from: Thread,
  seenAt: Int32Array,
  next: Thread[],
): Thread | undefined {
  const open: Thread[] = [from];
  for (let thread = open.pop(); thread !== undefined; thread = open.pop()) {
    const { pc, start, slots } = thread;
    if (seenAt[pc] === at) continue;
    seenAt[pc] = at;
    const instruction = program[pc]!;
    switch (instruction.op) {
      case "match":
        return thread;
      case "one":
        if (at < points.length && instruction.test(points[at]!))
          next.push({ pc: pc + 1, start, slots });
        break;
      case "jump":
        open.push({ pc: instruction.to, start, slots });
        break;
      case "split":
        open.push({ pc: instruction.to[1], start, slots }, { pc: instruction.to[0], start, slots });
        break;
      case "save":
        open.push({
          pc: pc + 1,
          start,
          slots: slots.with(instruction.slot, at),
        });
        break;
      case "assert":
        if (holds(instruction.assertion, points, at)) open.push({ pc: pc + 1, start, slots });
        break;
    }
  }
  return undefined;
}

function holds(assertion: Assertion, points: readonly number[], at: number): boolean {
  const before = points[at - 1];
  const after = points[at];
  switch (assertion) {
    case "start":
      return before === undefined;
    case "end":
      return after === undefined;
    case "lineStart":
      return before === undefined || before === 10;
    case "lineEnd":
      return after === undefined || after === 10;
    case "boundary":
      return isWord(before ?? -1) !== isWord(after ?? -1);
    case "noBoundary":
      return isWord(before ?? -1) === isWord(after ?? -1);
  }
}
