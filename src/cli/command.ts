/** The shape of a command and of a group of commands, and how one is run: flags, help, exit code. */
import { parseFlags, parseFlagsAnywhere, type Flags, type FlagValues } from "./flags.ts";
import { commandHelp, groupHelp } from "./help.ts";
import { HttpFailure, type HttpClient } from "./client.ts";
import { createClient, httpFlags, type HttpFlags } from "./connection.ts";
import type { World } from "./world.ts";

/** Ends a command with this text on standard error and this exit code. */
export class CommandFailure extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The command was called in a way that it does not understand: its help follows the text. Exit code 1. */
export class UsageFailure extends CommandFailure {}

/** What a running command has. */
export type Call<F extends Flags> = {
  flags: FlagValues<F>;
  /** Words after the flags. */
  args: readonly string[];
  world: World;
};

/** What a command that talks to an agent has besides. */
export type HttpCall<F extends Flags> = Call<F & HttpFlags> & { http: HttpClient };

/** A command as the table of commands sees it. */
export type Command = {
  kind: "command";
  /** One sentence for lists. */
  doc: string;
  /** What follows the name in its usage line, for example `[options] KEY`. */
  usage: string;
  /** Paragraphs and examples below the usage line; "" for none. */
  detail: string;
  flags: Flags;
  run(args: readonly string[], path: string, world: World): Promise<number>;
};

/** Commands behind a common word. */
export type CommandGroup = {
  kind: "group";
  doc: string;
  detail: string;
  children: Readonly<Record<string, Command | CommandGroup>>;
  /** Older spelling, not listed: takes the flags of a call without a subcommand. */
  otherwise?: Command;
};

type About<F extends Flags> = {
  doc: string;
  usage: string;
  detail?: string;
  flags: F;
  /** Its arguments are a program's command line: `-h` there is the program's. */
  runsProgram?: true;
  /** Flags may also stand behind arguments. Consul's commands end them at the first argument. */
  flagsAnywhere?: true;
};

/** A command that needs no agent. `run` resolves with the exit code. */
export function command<const F extends Flags>(
  about: About<F> & { run(call: Call<F>): Promise<number> },
): Command {
  const { doc, usage, detail = "", flags } = about;
  const self: Command = {
    kind: "command",
    doc,
    usage,
    detail,
    flags,
    run: (args, path, world) =>
      guarded(world, commandHelp(path, self), async () => {
        if (isHelp(args)) return printed(world, commandHelp(path, self), 0);
        const parsed = (about.flagsAnywhere === true ? parseFlagsAnywhere : parseFlags)(
          flags,
          args,
        );
        if (!parsed.ok) throw new UsageFailure(parsed.error);
        const { rest } = parsed.value;
        const words = wordsBefore("--", args, args.length - rest.length);
        if ((about.runsProgram === true ? words.slice(0, 1) : words).some(isHelpWord))
          return printed(world, commandHelp(path, self), 0);
        return about.run({ flags: parsed.value.values, args: rest, world });
      }),
  };
  return self;
}

/** A command that talks to an agent: has the flags of `httpFlags` besides its own. */
export function httpCommand<const F extends Flags>(
  about: About<F> & { run(call: HttpCall<F>): Promise<number> },
): Command {
  const flags: F & HttpFlags = { ...about.flags, ...httpFlags };
  return command({
    ...about,
    flags,
    async run(call: Call<F & HttpFlags>) {
      return about.run({ ...call, http: createClient(call.flags, call.world) });
    },
  });
}

/** Runs the command or group that `args` select below `node`. `path` is what was typed so far. */
export async function runNode(
  node: Command | CommandGroup,
  args: readonly string[],
  path: string,
  world: World,
): Promise<number> {
  if (node.kind === "command") return node.run(args, path, world);
  const [word, ...rest] = args;
  const child =
    word !== undefined && Object.hasOwn(node.children, word) ? node.children[word] : undefined;
  if (child !== undefined) return runNode(child, rest, `${path} ${word}`, world);
  const help = groupHelp(path, node);
  if (isHelp(args)) return printed(world, help, 0);
  if (node.otherwise !== undefined && word?.startsWith("-") === true)
    return node.otherwise.run(args, path, world);
  const problem = word === undefined ? "" : `unknown command "${path} ${word}"\n\n`;
  await world.err(problem + help);
  return 1;
}

/** A request whose failure ends the command with `what` in front of the reason. */
export async function attempt<T>(what: string, request: Promise<T>): Promise<T> {
  try {
    return await request;
  } catch (error) {
    if (error instanceof HttpFailure) throw new CommandFailure(`${what}: ${error.message}`);
    throw error;
  }
}

function wordsBefore(end: string, args: readonly string[], from: number): readonly string[] {
  const at = args.indexOf(end);
  return args.slice(from, at < 0 ? undefined : at);
}

function isHelp(args: readonly string[]): boolean {
  return isHelpWord(args[0] ?? "");
}

function isHelpWord(word: string): boolean {
  return /^--?h(elp)?$/.test(word);
}

async function printed(world: World, text: string, code: number): Promise<number> {
  await world.out(text);
  return code;
}

async function guarded(world: World, help: string, run: () => Promise<number>): Promise<number> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof CommandFailure) && !(error instanceof HttpFailure)) throw error;
    await world.err(`${error.message}\n${error instanceof UsageFailure ? `\n${help}` : ""}`);
    return error instanceof CommandFailure ? error.exitCode : 1;
  }
}
