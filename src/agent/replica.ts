/** The state machine behind the log engine, and proposals as commands instead of octets. */
import { decode, encode, isReadable, type Command } from "../cluster/command.ts";
import type { Engine, Outcome, StateMachine } from "../cluster/engine.ts";
import type { Topic } from "../cluster/model.ts";
import type { State } from "../cluster/state.ts";

/**
 * The engine's view of `state`. `touched` hears what each entry touched before its proposer is
 * answered; `replaced` that a snapshot took the place of everything. An entry that cannot be read
 * was written by a newer version: it throws, because to leave it out would be to diverge.
 */
export function createMachine(
  state: State,
  on: { touched(topics: readonly Topic[]): void; replaced(): void },
): StateMachine {
  let term = 0;
  return {
    apply(entry) {
      const command = decode(entry.command);
      if (!command.ok) throw new Error(`log entry ${entry.index}: ${command.error}`);
      term = entry.term;
      const { result, topics } = state.apply(entry.index, command.value);
      if (topics.length > 0) on.touched(topics);
      return result;
    },
    snapshot: () => ({ ...state.snapshot(), term }),
    async install(snapshot) {
      const installed = await state.install(snapshot.chunks, snapshot.index);
      if (!installed.ok) throw new Error(installed.error);
      term = snapshot.term;
      on.replaced();
    },
  };
}

/** Proposes commands; one that could not be read back is refused and never reaches the log. */
export function createPropose(
  engine: () => Pick<Engine, "propose">,
): (command: Command) => Promise<Outcome> {
  return (command) =>
    isReadable(command)
      ? engine().propose(encode(command))
      : Promise.resolve({
          outcome: "refused",
          reason: `${command.type} command has a wrong member`,
        });
}
