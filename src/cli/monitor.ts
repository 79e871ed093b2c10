import { noArguments } from "./arguments.ts";
import { attempt, httpCommand } from "./command.ts";
import { flag } from "./flags.ts";

const ENDED =
  "\nRemote side ended the monitor! This usually means that the\nremote side has exited or crashed.\n";

/** `monitor`: the agent's log as it is written, until a signal (0) or the agent's end (1). */
export const monitor = httpCommand({
  doc: "Shows the agent's log as it is written.",
  usage: "[options]",
  detail: "Runs until it is interrupted; ends with 1 if the agent goes away.",
  flags: {
    "log-level": flag.text("Least level to show: trace, debug, info, warn or err. Default: info.", {
      placeholder: "level",
    }),
    "log-json": flag.boolean("Show lines as JSON."),
  },
  async run({ flags, args, http, world }) {
    noArguments(args);
    const stop = new AbortController();
    const cancels = (["SIGINT", "SIGTERM"] as const).map((signal) =>
      world.onSignal(signal, () => stop.abort()),
    );
    try {
      const { body } = await attempt(
        "Error starting monitor",
        http.stream("GET", "/v1/agent/monitor", {
          query: {
            loglevel: flags["log-level"] || "info",
            logjson: flags["log-json"] ? "true" : undefined,
          },
          signal: stop.signal,
        }),
      );
      await copied(body, (octets) => world.out(octets));
      if (stop.signal.aborted) return 0;
      await world.out(ENDED);
      return 1;
    } catch (error) {
      if (stop.signal.aborted) return 0;
      throw error;
    } finally {
      cancels.forEach((cancel) => cancel());
    }
  },
});

/** Hands over all octets that come; an agent that dies breaks off without an end. */
async function copied(
  body: AsyncIterable<Uint8Array>,
  write: (octets: Uint8Array) => Promise<void>,
): Promise<void> {
  const octets = body[Symbol.asyncIterator]();
  for (;;) {
    const next = await octets.next().catch(() => ({ done: true }) as const);
    if (next.done === true) return;
    await write(next.value);
  }
}
