/** The words after the flags. */
import { CommandFailure } from "./command.ts";

/** Refuses any argument, with Consul's sentence. */
export function noArguments(args: readonly string[]): void {
  if (args.length > 0)
    throw new CommandFailure(`Too many arguments (expected 0, got ${args.length})`);
}

/** The only argument. `missing` is the sentence for none. */
export function oneArgument(args: readonly string[], missing: string): string {
  const [first] = args;
  if (first === undefined) throw new CommandFailure(missing);
  if (args.length > 1)
    throw new CommandFailure(`Too many arguments (expected 1, got ${args.length})`);
  return first;
}
