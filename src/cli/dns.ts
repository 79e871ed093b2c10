import type { CommandGroup } from "./command.ts";
import { dump } from "./dns/dump.ts";
import { flush } from "./dns/flush.ts";
import { query } from "./dns/query.ts";
import { upstreams } from "./dns/upstreams.ts";

/** `dns`: waypost's own commands about answers, cache and upstream servers. */
export const dns: CommandGroup = {
  kind: "group",
  doc: "Explains DNS answers, shows cache and upstream servers.",
  detail: `For example:

    waypost dns query web.service.consul
    waypost dns cache dump -name=example.com -subtree
    waypost dns upstreams

With ACLs query and upstreams need agent "read" on the agent's node, cache dump needs operator
"read" and cache flush operator "write".`,
  children: {
    query,
    cache: {
      kind: "group",
      doc: "Shows or empties the cache of forwarded answers.",
      detail: "",
      children: { dump, flush },
    },
    upstreams,
  },
};
