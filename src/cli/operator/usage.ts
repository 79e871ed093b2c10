/** `operator usage`: how many services there are. Layout: Consul 1.16. */
import { decodeShape, type Decoded } from "../../cluster/decode.ts";
import { loosely, understood } from "../answer.ts";
import { noArguments } from "../arguments.ts";
import { attempt, CommandFailure, httpCommand, type CommandGroup } from "../command.ts";
import { flag } from "../flags.ts";
import { table } from "../table.ts";
import type { World } from "../world.ts";

const usageShape = {
  struct: {
    Usage: {
      map: {
        struct: {
          Services: "int",
          BillableServiceInstances: "int",
          ConnectServiceInstances: { map: "int" },
        },
      },
    },
  },
} as const;

type Usage = [datacenter: string, counts: NonNullable<Decoded<typeof usageShape>["Usage"]>[string]];

/** Blanks between columns. */
const GAP = 6;

const instances = httpCommand({
  doc: "Counts services and their instances.",
  usage: "[options]",
  detail:
    "Billable are all instances but the servers' own and those of Connect's kinds, which are\n" +
    "services that were registered with such a kind.",
  flags: {
    billable: flag.boolean("Only the services that are called billable."),
    connect: flag.boolean("Only Connect's."),
    "all-datacenters": flag.boolean("Name the datacenter of each line, and add a total."),
  },
  async run({ flags, args, http, world }) {
    noArguments(args);
    if (flags.billable && flags.connect)
      throw new CommandFailure("Cannot specify both -billable and -connect flags");
    const answer = await attempt(
      "Error fetching usage information",
      http.request("GET", "/v1/operator/usage", {
        query: { global: flags["all-datacenters"] ? "" : undefined },
      }),
    );
    const { Usage } = understood(decodeShape(usageShape, answer.json(), loosely));
    const all = Object.entries(Usage ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
    const isWide = flags["all-datacenters"];
    if (!flags.connect) await world.out(billableText(all, isWide, world));
    if (!flags.billable) await world.out(connectText(all, isWide, world));
    return 0;
  },
});

function billableText(all: readonly Usage[], isWide: boolean, world: World): string {
  const total = sum(all.map(([, counts]) => counts.BillableServiceInstances));
  const lines = all.map(
    ([name, counts]) => `${name} Billable Service Instances: ${counts.BillableServiceInstances}\n`,
  );
  const rows = all.map(([name, counts]) => [
    name,
    String(counts.Services),
    String(counts.BillableServiceInstances),
  ]);
  const services = String(sum(all.map(([, counts]) => counts.Services)));
  return (
    `Billable Service Instances Total: ${total}\n${lines.join("")}\nBillable Services\n` +
    `${grid("Services", rows, ["Total", services, String(total)], isWide, world)}\n\n`
  );
}

function connectText(all: readonly Usage[], isWide: boolean, world: World): string {
  const rows = all.flatMap(([name, { ConnectServiceInstances: kinds }]) =>
    Object.entries(kinds ?? {})
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([kind, count]) => [name, kind, String(count)]),
  );
  const total = sum(rows.map(([, , count]) => Number(count)));
  return `Connect Services\n${grid("Type", rows, ["Total", "", String(total)], isWide, world)}`;
}

function grid(
  second: string,
  rows: readonly string[][],
  total: string[],
  isWide: boolean,
  world: World,
): string {
  const header = ["Datacenter", second, "Service instances"];
  if (isWide) return table([header, ...rows, [""], total], world, GAP);
  return table(
    [header, ...rows].map((row) => row.slice(1)),
    world,
    GAP,
  );
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}

/** `operator usage`. */
export const usage: CommandGroup = {
  kind: "group",
  doc: "Counts what is registered.",
  detail: "",
  children: { instances },
};
