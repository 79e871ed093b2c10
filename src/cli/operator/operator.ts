import type { CommandGroup } from "../command.ts";
import { absent } from "../absent.ts";
import { autopilot } from "./autopilot.ts";
import { raft } from "./raft.ts";

/** `operator`. */
export const operator: CommandGroup = {
  kind: "group",
  doc: "Looks after the servers: Raft and autopilot.",
  detail: "",
  children: {
    raft,
    autopilot,
    usage: absent(
      "nothing is counted for a bill",
      "`catalog services` lists services, and /metrics has their numbers.",
    ),
  },
};
