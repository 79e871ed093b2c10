/**
 * What the store says when it will not start. Every message names the file, what was found there
 * and what an operator can do; `name` is "StartRefused", so that `main` prints it without a stack.
 */
import { basename, dirname } from "node:path";

/** The operator's word for "go on with less than was acknowledged": an empty file of this name. */
export const ACCEPT_LOSS = "accept-loss";

/** A start that cannot go on, for a reason outside the program. */
export function refusal(message: string): Error {
  const error = new Error(message);
  error.name = "StartRefused";
  return error;
}

/** `file` holds something that was not written there. */
export function damaged(file: string, finding: string): Error {
  return refusal(`${file}: ${finding}. ${remedy(dirname(file))}`);
}

/** The files are sound, but hold less than was acknowledged; the operator may accept that. */
export function rolledBack(file: string, finding: string): Error {
  const dir = dirname(file);
  const accept = `To go on with what is left, create the empty file ${dir}/${ACCEPT_LOSS} and start again.`;
  return refusal(`${file}: ${finding}. ${remedy(dir)} ${accept}`);
}

function remedy(dir: string): string {
  const aside = `mv ${dir} ${dirname(dir)}/${basename(dir)}.damaged`;
  return `Nothing is served from a damaged log: restore ${dir} from a backup, or move it aside (${aside}) to start empty.`;
}
