/** What happens to upstream servers, for logs: types only. */
import type { Server } from "./upstreams.ts";

/** `group`: name of the group that was asked, "" for names without a zone. */
export type UpstreamEvent =
  /** It is not waited for any more. `reason`: "timeout" or the error of the transport. */
  | { type: "down"; server: Server; group: string; reason: string; elapsedMs: number }
  /** It has answered again, `downMs` after it went down. */
  | { type: "up"; server: Server; group: string; downMs: number }
  /** Most of its replies are errors, such as the one named, so others are asked first. */
  | { type: "demoted"; server: Server; group: string; reason: string }
  | { type: "restored"; server: Server; group: string }
  /** It changes the case of names, so they go to it in lower case. */
  | { type: "case"; server: Server; group: string }
  /** 80 % of what may be sent to it in a second was sent. */
  | { type: "busy"; server: Server; group: string; perSecond: number }
  /** What it is asked comes back to us: it is not asked any more. */
  | { type: "loop"; server: Server; group: string }
  /** It does not any more. */
  | { type: "loop over"; server: Server; group: string }
  /** All its places are taken, so that the oldest question was given up for that of `client`. */
  | { type: "full"; group: string; client: string; places: number }
  /** About one question: the first says that the name does not exist, the second has records of it. */
  | { type: "disagree"; denying: Server; knowing: Server; group: string; qname: Uint8Array }
  /** No server of the group is left that answers. */
  | { type: "all down"; group: string; reason: string };
