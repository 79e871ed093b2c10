/** `setup`: the host's resolver is pointed to this agent, and back. */
import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { command, CommandFailure, UsageFailure, type Command } from "./command.ts";
import { flag } from "./flags.ts";
import { isSame, makeChanges, readState, recordedChanges, showChanges } from "./setup/change.ts";
import { undoChanges } from "./setup/change.ts";
import { planDocker } from "./setup/docker.ts";
import type { Host, MakePlan, Plan } from "./setup/plan.ts";
import { planResolvconf } from "./setup/resolvconf.ts";
import { planResolved } from "./setup/resolved.ts";
import type { World } from "./world.ts";

/** A program of the host may take so long. */
const COMMAND_MS = 30_000;
/** A resolv.conf is smaller. */
const MAX_TEXT_OCTETS = 1 << 20;

const flags = {
  apply: flag.boolean("Make the change. Without it the change is only shown."),
  undo: flag.boolean("Take back what -apply did."),
  address: flag.optionalText(
    "Address of waypost's DNS listener; 127.0.0.1, for docker its bridge.",
    {
      placeholder: "address",
    },
  ),
  port: flag.integer(53, "Port of waypost's DNS listener."),
  domain: flag.texts("With resolved: only names below this domain; may be repeated.", {
    placeholder: "domain",
  }),
  root: flag.textWithDefault("/", "Change the files below this directory and run no programs."),
};

const targets = ["resolved", "resolvconf", "docker"] as const;
type Target = (typeof targets)[number];

/** Shows, makes or takes back a change of the host's configuration. */
export const setup: Command = command({
  doc: "Points the host's resolver to this agent, and back.",
  usage: `[options] ${targets.join("|")}`,
  detail: `Shows what would be changed: files, programs that are run, and what is left to do by hand.
Nothing is touched without -apply, and -undo takes it back.

  resolved     systemd-resolved asks waypost (a drop-in of resolved.conf)
  resolvconf   /etc/resolv.conf, or the settings of openresolv
  docker       containers ask waypost on Docker's bridge (daemon.json)`,
  flags,
  flagsAnywhere: true,
  async run({ flags: given, args, world }) {
    const [word, ...more] = args;
    const target = targets.find((each) => each === word);
    if (target === undefined || more.length > 0)
      throw new UsageFailure(`Expected one of ${targets.join(", ")}, got "${args.join(" ")}"`);
    if (given.apply && given.undo) throw new UsageFailure("-apply and -undo exclude each other");
    if (given.domain.length > 0 && target !== "resolved")
      throw new UsageFailure("-domain is for resolved only");
    const root = given.root;
    if (!statSync(root, { throwIfNoEntry: false })?.isDirectory())
      throw new CommandFailure(`-root: ${root} is not a directory`);
    const runs = root === "/";
    if (given.undo) return undo(target, root, runs, world);
    const listener = { address: given.address ?? "127.0.0.1", port: given.port };
    if (isIP(listener.address) === 0)
      throw new UsageFailure(`-address: "${listener.address}" is not an IP address`);
    if (!(listener.port >= 1 && listener.port <= 65535))
      throw new UsageFailure(`-port: expected 1 to 65535, got ${listener.port}`);
    const planned = makers(given.domain, given.address !== undefined)[target](
      hostBelow(root),
      listener,
    );
    if (isInForce(target, root, planned.ok ? planned.value : undefined)) {
      await world.out("This is done already; -undo takes it back.\n");
      return 0;
    }
    if (!planned.ok) throw new CommandFailure(planned.error);
    return given.apply
      ? apply(target, root, runs, planned.value, world)
      : show(root, planned.value, world);
  },
});

function makers(domains: readonly string[], hasAddress: boolean): Record<Target, MakePlan> {
  return {
    resolved: planResolved(domains),
    resolvconf: planResolvconf,
    docker: planDocker(hasAddress),
  };
}

function hostBelow(root: string): Host {
  return {
    read: (path) => readState(root, path),
    follow(path) {
      try {
        const full = join(root, path);
        return statSync(full).size > MAX_TEXT_OCTETS ? undefined : readFileSync(full, "utf8");
      } catch {
        return undefined;
      }
    },
    interfaceAddress: (name) =>
      networkInterfaces()[name]?.find(({ family }) => family === "IPv4")?.address,
  };
}

/** Was this plan carried out, and does it still stand? Another one in force is a failure. */
function isInForce(target: Target, root: string, plan: Plan | undefined): boolean {
  const recorded = recordedChanges(root, target);
  if (!recorded.ok) throw new CommandFailure(recorded.error);
  const done = recorded.value;
  if (done === undefined) return false;
  const stands = done.every(({ path, after }) => {
    const now = readState(root, path);
    return now.ok && isSame(now.value, after);
  });
  // Once resolv.conf names this agent alone, nothing can be planned from it.
  const isWanted =
    plan === undefined ||
    plan.changes.every(({ path, after }) =>
      done.some((change) => change.path === path && isSame(change.after, after)),
    );
  if (stands && isWanted) return true;
  throw new CommandFailure(
    `An earlier setup of ${target} is ${stands ? "in force" : "half undone by somebody else"}: -undo it first`,
  );
}

async function show(root: string, plan: Plan, world: World): Promise<number> {
  const commands = plan.commands.map((words) => `  ${words.join(" ")}\n`);
  await world.out(
    showChanges(root, plan.changes) +
      (commands.length > 0 ? `\nthen:\n${commands.join("")}` : "") +
      notesOf(plan) +
      "\nNothing was changed; -apply does it.\n",
  );
  return 0;
}

const notesOf = ({ notes }: Plan): string =>
  `\nTo see to:\n${notes.map((note) => `  * ${note}\n`).join("")}`;

async function apply(
  target: Target,
  root: string,
  runs: boolean,
  plan: Plan,
  world: World,
): Promise<number> {
  const made = makeChanges(root, target, plan.changes);
  if (!made.ok) throw new CommandFailure(made.error);
  await world.out(showChanges(root, plan.changes));
  await runAll(runs ? plan.commands : [], world);
  await world.out(notesOf(plan));
  return 0;
}

async function undo(target: Target, root: string, runs: boolean, world: World): Promise<number> {
  const recorded = recordedChanges(root, target);
  if (!recorded.ok) throw new CommandFailure(recorded.error);
  if (recorded.value === undefined) {
    await world.out("There is nothing to undo.\n");
    return 0;
  }
  const undone = undoChanges(root, target, recorded.value);
  if (!undone.ok) throw new CommandFailure(undone.error);
  for (const { path } of recorded.value)
    // oxlint-disable-next-line no-await-in-loop -- a line after each
    await world.out(`${join(root, path)} is as it was\n`);
  await runAll(
    runs
      ? commandsOf(
          target,
          recorded.value.map(({ path }) => path),
        )
      : [],
    world,
  );
  return 0;
}

/** What has to notice that the files are as before. */
function commandsOf(target: Target, paths: readonly string[]): string[][] {
  if (target === "resolved") return [["systemctl", "restart", "systemd-resolved"]];
  return paths.includes("/etc/resolvconf.conf") ? [["resolvconf", "-u"]] : [];
}

async function runAll(commands: readonly string[][], world: World): Promise<void> {
  for (const [program = "", ...args] of commands) {
    const shown = [program, ...args].join(" ");
    const ran = spawnSync(program, args, { timeout: COMMAND_MS, encoding: "utf8" });
    if (ran.error !== undefined)
      throw new CommandFailure(
        `The files are changed, but ${shown} could not run: ${ran.error.message}`,
      );
    if (ran.status !== 0)
      throw new CommandFailure(`The files are changed, but ${shown} failed: ${ran.stderr.trim()}`);
    // oxlint-disable-next-line no-await-in-loop -- a line after each
    await world.out(`ran ${shown}\n`);
  }
}
