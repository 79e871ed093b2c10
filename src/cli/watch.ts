import { randomBytes } from "node:crypto";
import {
  endProgram,
  exitProblem,
  shellArgs,
  startProgram,
  within,
  type Program,
} from "../cluster/program/driver.ts";
import { parseBoolean } from "../boolean.ts";
import { formatDuration } from "../duration.ts";
import { indented, type WatchData } from "../watch/answer.ts";
import { followPlan } from "../watch/follow.ts";
import { parsePlan, type WatchPlan } from "../watch/plan.ts";
import type { HttpClient } from "./client.ts";
import { attempt, CommandFailure, httpCommand, UsageFailure } from "./command.ts";
import { flag } from "./flags.ts";
import type { World } from "./world.ts";

/** The agent holds a query for ten minutes at most, and a sixteenth more; after that it is not there any more. */
const ANSWER_LIMIT_MS = 11 * 60_000;
/** A child that was passed a signal has this long to end. */
const GRACE_MS = 5_000;

/** `watch`: prints the data, or runs a command for each new value. */
export const watch = httpCommand({
  doc: "Waits for changes: prints the data, or runs a command for each.",
  usage: "[options] [COMMAND...]",
  detail: `Without a command the data is printed as JSON once it is there. With one, it runs for the
first value and for each new one, with the data as JSON on its standard input and the index in
the variable CONSUL_INDEX; when it fails, the watch ends with exit code 1.

    waypost watch -type=key -key=config/port
    waypost watch -type=service -service=web -passingonly=true ./reload-proxy`,
  runsProgram: true,
  flags: {
    type: flag.text("What to watch: key, keyprefix, services, nodes, service, checks or event."),
    key: flag.text("Key, for the type key."),
    prefix: flag.text("Begin of keys, for the type keyprefix."),
    service: flag.text("Service, for the types service and checks."),
    tag: flag.texts("Tag that instances must have, for the type service. May be repeated."),
    passingonly: flag.text("true: only instances whose checks all pass, for the type service."),
    state: flag.text("State of checks, for the type checks."),
    name: flag.text("Name of events, for the type event."),
    filter: flag.text("Expression that entries must match, for lists."),
    shell: flag.maybe("Run the command by $SHELL, or /bin/sh. Default: true."),
  },
  async run({ flags, args, http, world }) {
    if (flags.type === "") throw new UsageFailure("Watch type must be specified");
    if (/^(connect|agent)_/.test(flags.type))
      throw new CommandFailure(`Type ${flags.type} is not supported in the CLI tool`);
    const { type, key, prefix, service, tag, state, name, filter } = flags;
    const given = Object.entries({ type, key, prefix, service, state, name, filter });
    const plan = parsePlan({
      ...Object.fromEntries(given.filter(([, text]) => text !== "")),
      ...(tag.length === 0 ? {} : { tag }),
      ...(flags.passingonly === "" ? {} : { passingonly: parsePassing(flags.passingonly) }),
    });
    if (!plan.ok) throw new CommandFailure(plan.error);
    await attempt("Error querying Consul agent", http.request("GET", "/v1/status/leader"));
    if (args.length === 0) return runWatch(plan.value, http, world, (data) => print(data, world));
    const command = flags.shell === false ? args : shellArgs(args.join(" "));
    return runWatch(plan.value, http, world, (data, running) =>
      runChild(command, data, world, running),
    );
  },
});

function parsePassing(word: string): boolean {
  const value = parseBoolean(word);
  if (value === undefined)
    throw new CommandFailure(
      `Failed to parse passingonly flag: strconv.ParseBool: parsing ${JSON.stringify(word)}: invalid syntax`,
    );
  return value;
}

/** Tells of a value; resolves with the exit code if that ends the watch. `running` is to be called with a child. */
type Tell = (
  data: WatchData,
  running: (child: Program | undefined) => void,
) => Promise<number | undefined>;

/** Resolves with the exit code: that of `tell`, or 0 after a signal, which the child gets too. */
async function runWatch(
  plan: WatchPlan,
  http: HttpClient,
  world: World,
  tell: Tell,
): Promise<number> {
  let child: Program | undefined;
  let isOver = false;
  let end: (code: number) => void = () => {};
  const ended = new Promise<number>((resolve) => (end = resolve));
  const cancels = (["SIGINT", "SIGTERM", "SIGHUP"] as const).map((signal) =>
    world.onSignal(signal, () => {
      isOver = true;
      child?.signal(signal);
      end(0);
    }),
  );
  const stop = followPlan(plan, {
    async fetch({ path, query }, { parameter, value }, signal) {
      const answer = await http.requestAny("GET", path, {
        query: { ...query, [parameter]: value === "" ? undefined : value },
        signal,
        timeoutMs: ANSWER_LIMIT_MS,
      });
      const header = (name: string) => {
        const text = answer.headers[name.toLowerCase()];
        return typeof text === "string" ? text : null;
      };
      return { status: answer.status, header, text: answer.text };
    },
    timers: world.timers,
    random: { uint32: () => randomBytes(4).readUInt32BE() },
    async handle(data) {
      const code = await tell(data, (started) => {
        child = started;
        if (isOver) started?.signal("SIGTERM"); // the signal came while it was started
      });
      if (code !== undefined) end(code);
    },
    failed: (problem, retryMs) =>
      void world.err(
        `Watch (type: ${plan.type}) errored: ${problem}, retry in ${formatDuration(retryMs)}\n`,
      ),
    missed: () => void world.err("Events may have been missed while the command ran\n"),
  });
  const code = await ended;
  stop();
  if (child !== undefined) await ending(child);
  cancels.forEach((cancel) => cancel());
  return code;
}

async function print({ json }: WatchData, world: World): Promise<number> {
  await world.out(`${indented(json)}\n`);
  return 0;
}

async function runChild(
  args: readonly string[],
  { json, index }: WatchData,
  world: World,
  running: (child: Program | undefined) => void,
): Promise<number | undefined> {
  const child = startProgram(
    { args, env: { CONSUL_INDEX: index }, input: { text: `${json}\n` }, output: "inherit" },
    {},
  );
  if ("failed" in child) {
    await world.err(`Error starting handler: ${child.failed}\n`);
    return 1;
  }
  running(child);
  const exit = await child.exited;
  running(undefined);
  const problem = exitProblem(exit);
  if (problem === undefined) return undefined;
  await world.err(`Error ${"failed" in exit ? "starting" : "executing"} handler: ${problem}\n`);
  return 1;
}

/** It has been passed a signal; who does not listen is killed. */
async function ending(child: Program): Promise<void> {
  await within(GRACE_MS, child.exited);
  if (!child.hasExited()) await endProgram(child, 0);
}
