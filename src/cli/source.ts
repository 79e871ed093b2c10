/** Texts that are given on the command line, in a file or on standard input. */
import { readFileSync } from "node:fs";
import type { World } from "./world.ts";
import { CommandFailure } from "./command.ts";

/** `@PATH` → that file, `-` → standard input, any other text itself. Throws CommandFailure. */
export async function readSource(text: string, world: World): Promise<string> {
  if (text === "-") return new TextDecoder().decode(await world.readInput());
  return text.startsWith("@") ? readTextFile(text.slice(1)) : text;
}

/** A file's text. Throws CommandFailure that says why it cannot be read. */
export function readTextFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new CommandFailure(
      `Failed to read file: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
