import { decodeShape } from "../cluster/decode.ts";
import { loosely, understood } from "./answer.ts";
import { noArguments } from "./arguments.ts";
import { attempt, CommandFailure, httpCommand } from "./command.ts";

const selfShape = { struct: { Stats: { map: { map: "string" } } } } as const;

/** `info`: figures of the agent, by part. */
export const info = httpCommand({
  doc: "Prints figures of the agent for operators.",
  usage: "[options]",
  flags: {},
  async run({ args, http, world }) {
    noArguments(args);
    const answer = await attempt("Error querying agent", http.request("GET", "/v1/agent/self"));
    const { Stats: stats } = understood(decodeShape(selfShape, answer.json(), loosely));
    if (stats === null) throw new CommandFailure("Agent response did not contain 'Stats' key");
    const lines = Object.keys(stats)
      .toSorted()
      .flatMap((part) => [`${part}:\n`, ...figuresOf(stats[part] ?? {})]);
    await world.out(lines.join(""));
    return 0;
  },
});

function figuresOf(figures: Readonly<Record<string, string>>): string[] {
  return Object.keys(figures)
    .toSorted()
    .map((name) => `\t${name} = ${figures[name]!}\n`);
}
