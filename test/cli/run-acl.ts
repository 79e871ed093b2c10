/** `waypost acl` with a token, and what it prints without what differs each time. */
import { runCli, type RunOptions } from "./run.ts";

/** One command; times, hashes and indexes are replaced. */
export async function runAcl(
  httpPort: number,
  token: string,
  line: string | string[],
  options: RunOptions = {},
) {
  const words = typeof line === "string" ? line.split(" ") : line;
  const { code, out, err } = await runCli(httpPort, ["acl", ...words], {
    ...options,
    env: { CONSUL_HTTP_TOKEN: token, ...options.env },
  });
  const shown = out
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? \+0000 UTC/g, "TIME")
    .replaceAll(/Hash: ( +)[0-9a-f]{64}/g, "Hash: $1HASH")
    .replaceAll(/(Create|Modify) Index: ( *)\d+/g, "$1 Index: $2N");
  return { code, out: shown, err };
}
