import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { absentCommands } from "./cli/absent.ts";
import { runNode } from "./cli/command.ts";
import { cliCommands } from "./cli/commands.ts";
import { commandLines } from "./cli/help.ts";
import { completeLine } from "./cli/completion/line.ts";
import { installCompletion } from "./cli/completion/install.ts";
import { versionText } from "./cli/version.ts";
import type { World } from "./cli/world.ts";
import { parseAgentFlags, agentFlagHelp, type AgentArguments } from "./config/flags.ts";
import { readMachine } from "./config/machine.ts";
import {
  followedDnsAddresses,
  loadConfig,
  resolvConfServers,
  type LoadedConfig,
} from "./config.ts";
import type { AgentStart } from "./agent/start.ts";
import { fail, ok, type Result } from "./base.ts";
import { openLogFile } from "./log-file.ts";
import { createLog } from "./log.ts";
import type { Clock, LogLevel } from "./ports.ts";
import type { Pace } from "./slices.ts";

/** What the commands may do to the outside. */
export type Terminal = {
  /** Name the program was started under: waypost or consul. */
  name: string;
  out(text: string): void;
  err(text: string): void;
  clock: Clock;
  processId: number;
  /** Set when a shell asks what may come next: the command line up to the cursor. */
  completionLine?: string | undefined;
  /** For the commands of src/cli. */
  world(): World;
};

/** Runs an agent until it stops; resolves with the exit code. */
export type RunAgent = (start: AgentStart) => Promise<number>;

type Command = {
  doc: string;
  run(args: readonly string[], terminal: Terminal, runAgent: RunAgent): Promise<number>;
};

/** What runs here; the other commands are rows of src/cli/commands.ts. */
const commands: Readonly<Record<string, Command>> = {
  agent: { doc: "Runs the agent.", run: agent },
  help: { doc: "Prints this list.", run: printHelp },
};

/** Exit code for a command that does not exist, as Consul's. */
const unknownCommand = 127;

/**
 * Runs one command line (without the program's name) and resolves with the exit code: 0 done,
 * 1 failed, 127 no such command.
 */
export async function main(
  argv: readonly string[],
  terminal: Terminal,
  runAgent: RunAgent,
): Promise<number> {
  const [name, ...args] = argv;
  const line = terminal.completionLine;
  if (line !== undefined) return completeLine(line, terminal.world());
  const installing = /^--?autocomplete-(install|uninstall)$/.exec(name ?? "")?.[1];
  if (installing !== undefined)
    return installCompletion(installing as "install" | "uninstall", terminal.world());
  if (name === undefined) return (await printHelp([], terminal)) || unknownCommand;
  if (/^--?(version|v)$/.test(name)) return printVersion(terminal);
  if (/^(help|--?help|--?h)$/.test(name) && /^[^-]/.test(args[0] ?? ""))
    return main([...args, "-help"], terminal, runAgent);
  if (/^--?(help|h)$/.test(name)) return printHelp([], terminal);
  if (name.startsWith("-") && args.some((word) => isCommand(word))) {
    terminal.err("Invalid flags before the subcommand. Put them behind it, please.\n");
    return 1;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  const other = Object.hasOwn(cliCommands, name) ? cliCommands[name] : undefined;
  if (other !== undefined)
    return runNode(await other.load(), args, `${terminal.name} ${name}`, terminal.world());
  if (command === undefined && Object.hasOwn(absentCommands, name)) {
    terminal.err(`${terminal.name} ${name} is not available: ${absentCommands[name]}.\n`);
    return unknownCommand;
  }
  if (command === undefined) {
    terminal.err(`${terminal.name}: unknown command "${name}"\n\n${usage(terminal.name)}`);
    return unknownCommand;
  }
  return command.run(args, terminal, runAgent);
}

function isCommand(word: string): boolean {
  return Object.hasOwn(commands, word) || Object.hasOwn(cliCommands, word);
}

async function agent(
  args: readonly string[],
  terminal: Terminal,
  runAgent: RunAgent,
): Promise<number> {
  const parsed = parseAgentFlags(args);
  if (!parsed.ok) return refuse(terminal, [parsed.error]);
  if (parsed.value.version) return printVersion(terminal);
  if (parsed.value.help) {
    terminal.out(`Usage: ${terminal.name} agent [options]\n\n${agentFlagHelp()}`);
    return 0;
  }
  const { sources, takeOver } = parsed.value;
  const loaded = await loadConfig(sources, readMachine());
  if (!loaded.ok) return refuse(terminal, loaded.error);
  return runConfigured(loaded.value, { sources, takeOver }, terminal, runAgent);
}

async function runConfigured(
  loaded: LoadedConfig,
  { sources, takeOver }: Pick<AgentArguments, "sources" | "takeOver">,
  terminal: Terminal,
  runAgent: RunAgent,
): Promise<number> {
  const { config } = loaded;
  const write = openOutput(loaded, terminal);
  if (!write.ok) return refuse(terminal, [write.error]);
  const { log, setLevel, follow } = createLog({
    level: config.log_level as LogLevel, // one of the words of its row
    json: config.log_json,
    write: write.value,
    clock: terminal.clock,
  });
  for (const warning of loaded.warnings) log("warn", warning);
  let removePidFile = (): void => {};
  function claimPidFile(): Result<void, string> {
    const written = writePidFile(config.pid_file, terminal.processId);
    if (!written.ok) return written;
    removePidFile = written.value;
    return ok(undefined);
  }
  const pace: Pace = { nowMs: () => terminal.clock.monotonicMs(), turn: nextTurn };
  // Until it has taken over, the file is that of the agent that runs.
  const pidFile = takeOver ? ok(undefined) : claimPidFile();
  if (!pidFile.ok) return refuse(terminal, [pidFile.error]);
  try {
    return await runAgent({
      loaded,
      log,
      setLogLevel: setLevel,
      takeOver,
      takenOver() {
        const claimed = claimPidFile();
        if (!claimed.ok) log("error", claimed.error);
      },
      followLog: follow,
      pace,
      reload: () => loadConfig(sources, readMachine(), pace),
      followedDnsAddresses: (config) => followedDnsAddresses(config, readMachine()),
      serversOf: (conf, addresses) => resolvConfServers(conf, addresses, readMachine()),
    });
  } finally {
    removePidFile();
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Standard error, and the log file if there is one. */
function openOutput(
  { config }: LoadedConfig,
  terminal: Terminal,
): Result<(line: string) => void, string> {
  if (config.log_file === "") return ok((line) => terminal.err(line));
  try {
    const file = openLogFile({
      path: config.log_file,
      rotateBytes: config.log_rotate_bytes,
      rotateDurationMs: config.log_rotate_duration,
      maxFiles: config.log_rotate_max_files,
      wallMs: () => terminal.clock.wallMs(),
    });
    return ok((line) => {
      terminal.err(line);
      try {
        file.write(line);
      } catch (error) {
        terminal.err(`log_file: ${String(error)}\n`); // a full disk must not stop DNS
      }
    });
  } catch (error) {
    return fail(`log_file: ${String(error)}`);
  }
}

function readPidFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // somebody has removed it
  }
}

/** Writes the process id; the function on the good side removes the file again. */
function writePidFile(path: string, processId: number): Result<() => void, string> {
  if (path === "") return ok(() => {});
  try {
    writeFileSync(path, String(processId));
    return ok(() => {
      // A successor has written its own.
      if (readPidFile(path) === String(processId)) rmSync(path, { force: true });
    });
  } catch (error) {
    return fail(`pid_file: ${String(error)}`);
  }
}

function printVersion(terminal: Terminal): number {
  terminal.out(versionText(terminal.name));
  return 0;
}

function printHelp(_: readonly string[], terminal: Terminal): Promise<number> {
  terminal.out(usage(terminal.name));
  return Promise.resolve(0);
}

function usage(name: string): string {
  const rows = Object.entries({ ...commands, ...cliCommands }).map(
    ([each, { doc }]) => [each, doc] as const,
  );
  return `Usage: ${name} <command> [options]\n\nCommands:\n\n${commandLines(rows)}`;
}

function refuse(terminal: Terminal, problems: readonly string[]): number {
  terminal.err(problems.map((problem) => `${terminal.name}: ${problem}\n`).join(""));
  return 1;
}
