import type { Result } from "../base.ts";
import type { LocalAgent } from "../cluster/local-agent.ts";
import type { AnswerTable } from "../dns/answer.ts";
import type { Resolver } from "../dns/resolve.ts";
import type { HttpListeners } from "../http/listen.ts";
import type { CoordinateUpdates } from "./coordinate-updates.ts";
import type { External } from "./external.ts";
import type { Health } from "./health.ts";
import type { SessionTimer } from "./session-timer.ts";

/** What others call back into; absent until it stands. */
export type Parts = {
  resolver?: Resolver;
  table?: Pick<AnswerTable, "hitsOf">;
  sessions?: SessionTimer;
  coordinates?: CoordinateUpdates;
  local?: LocalAgent;
  external?: External;
  reload?: () => Promise<Result<void, string>>;
  reopen?: () => void;
  http?: HttpListeners;
  health?: Health;
  hasLeader?: () => boolean;
  /** A signal has come, maybe while the start is still under way. */
  isStopping?: boolean;
  announceEnd?: () => void;
};
