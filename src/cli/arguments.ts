/** The words after the flags, and what they stand for. */
import { readFileSync } from "node:fs";
import { CommandFailure } from "./command.ts";
import { fileReason } from "../file-reason.ts";
import type { World } from "./world.ts";

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

/** The only argument, "" if there is none. */
export function optionalArgument(args: readonly string[]): string {
  return args.length === 0 ? "" : oneArgument(args, "");
}

/**
 * What an argument that may stand for data means: `@path` is the content of a file, `-` standard
 * input, anything else is the data itself. `prefix` begins the sentence of a failure.
 */
export async function readData(
  argument: string,
  world: Pick<World, "readInput">,
  prefix: string,
): Promise<Uint8Array> {
  if (argument === "-")
    return attemptRead(`${prefix}Failed to read stdin`, () => world.readInput());
  if (!argument.startsWith("@")) return Buffer.from(argument);
  const path = argument.slice(1);
  return attemptRead(`${prefix}Failed to read file`, () => readFileSync(path), path);
}

/** The same as text. */
export async function readText(
  argument: string,
  world: Pick<World, "readInput">,
  prefix: string,
): Promise<string> {
  return new TextDecoder().decode(await readData(argument, world, prefix));
}

async function attemptRead(
  what: string,
  read: () => Uint8Array | Promise<Uint8Array>,
  path?: string,
): Promise<Uint8Array> {
  try {
    return await read();
  } catch (error) {
    throw new CommandFailure(`${what}: ${fileReason(error, path)}`);
  }
}

/** Texts `name=value` of a flag that may be repeated → values by name, the last one wins. */
export function keyValues(flag: string, texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf("=");
      if (at < 0)
        throw new CommandFailure(
          `invalid value "${text}" for flag -${flag}: Missing "=" value in argument: ${text}`,
        );
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}
