/** The state machine behind the log engine, and proposals as commands instead of octets. */
import { decode, encode, isReadable, type Command } from "../cluster/command.ts";
import type { Engine, Outcome, Snapshot, StateMachine } from "../cluster/engine.ts";
import type { Topic } from "../cluster/model.ts";
import type { State } from "../cluster/state.ts";
import { inSlices, type Rest } from "../cluster/time-slices.ts";
import type { Clock } from "../ports.ts";

/** The engine's view of the state, and the image that a user takes away: without the epoch of this log. */
export type Machine = StateMachine & { save(): Snapshot };

/**
 * `touched` hears what each entry touched before its proposer is answered; `replaced` that a
 * snapshot took the place of everything.
 */
export type MachineEvents = { touched(topics: readonly Topic[]): void; replaced(): void };

/**
 * The engine's view of `state`. An entry that cannot be read was written by a newer version: it
 * throws, because to leave it out would be to diverge. Images are drawn and built in slices; between
 * them `rest` is asked.
 */
export function createMachine(
  state: State,
  on: MachineEvents,
  rest: Rest = () => undefined,
): Machine {
  let term = 0;
  return {
    apply(entry) {
      const decoded = decode(entry.command);
      if (!decoded.ok) throw new Error(`log entry ${entry.index}: ${decoded.error}`);
      const { command, timeMs } = decoded.value;
      term = entry.term;
      const { result, topics } = state.apply(entry.index, command, timeMs);
      if (topics.length > 0) on.touched(topics);
      return result;
    },
    snapshot() {
      const { index, chunks } = state.snapshot();
      return { index, term, chunks: inSlices(chunks, rest) };
    },
    save() {
      const { index, chunks } = state.snapshot("portable");
      return { index, term, chunks: inSlices(chunks, rest) };
    },
    async prepare({ index, term: newTerm, chunks }) {
      const prepared = await state.prepare(chunks, { index, rest });
      if (!prepared.ok) throw new Error(prepared.error);
      return () => {
        prepared.value.put();
        term = newTerm;
        on.replaced();
      };
    },
  };
}

/** Log time on a leader: milliseconds since 1970, integers, never going back. */
export type LogTime = {
  /** Takes the wall clock once, at the start of an epoch; what the log has seen is never undercut. */
  begin(): number;
  nowMs(): number;
};

/**
 * Log time for what this server proposes. Between two starts it follows the monotonic clock: a wall
 * clock that jumps neither shortens nor prolongs a lock delay.
 */
export function createLogTime(clock: Clock, state: Pick<State, "timeMs">): LogTime {
  let aheadMs = clock.wallMs() - clock.monotonicMs();
  function nowMs(): number {
    // A restored snapshot may come from a clock that was ahead of ours: time goes on from there.
    const behindMs = state.timeMs - (clock.monotonicMs() + aheadMs);
    if (behindMs > 0) aheadMs += behindMs;
    return Math.floor(clock.monotonicMs() + aheadMs);
  }
  return {
    begin() {
      aheadMs = clock.wallMs() - clock.monotonicMs();
      return nowMs();
    },
    nowMs,
  };
}

/** Proposes commands, each with the log time of now; one that could not be read back is refused and never reaches the log. */
export function createPropose(
  engine: () => Pick<Engine, "propose">,
  logTime: Pick<LogTime, "nowMs">,
): (command: Command) => Promise<Outcome> {
  return (command) =>
    isReadable(command)
      ? engine().propose(encode(command, logTime.nowMs()))
      : Promise.resolve({
          outcome: "refused",
          reason: `${command.type} command has a wrong member`,
        });
}
