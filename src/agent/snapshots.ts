/** What /v1/snapshot does with the log engine. */
import { tmpdir } from "node:os";
import type { Engine, Outcome, Snapshot } from "../cluster/engine.ts";
import type { SnapshotDeps } from "../http/snapshot.ts";
import type { Machine } from "./replica.ts";

/**
 * `folder` is the data directory, undefined for a server without one. `asNewLeader` proposes what
 * every leader sees to first: the image may lack it.
 */
export function createSnapshots(deps: {
  machine: Pick<Machine, "save">;
  engine: Pick<Engine, "restore">;
  folder: string | undefined;
  asNewLeader(): Promise<void>;
}): SnapshotDeps {
  return {
    save: () => deps.machine.save(),
    async restore(snapshot: Snapshot): Promise<Outcome> {
      const outcome = await deps.engine.restore(snapshot);
      if (outcome.outcome === "committed") await deps.asNewLeader();
      return outcome;
    },
    folder: deps.folder ?? tmpdir(),
  };
}
