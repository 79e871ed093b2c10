/** The commands that talk to an agent or need none, by their first word. Loaded when they are used. */
import type { Command, CommandGroup } from "./command.ts";

/** Another command is another row; `doc` is the node's own. */
export const cliCommands: Readonly<
  Record<string, { doc: string; load(): Promise<Command | CommandGroup> }>
> = {
  services: {
    doc: "Registers and deregisters services of the agent.",
    load: async () => (await import("./services.ts")).services,
  },
  snapshot: {
    doc: "Saves, restores and inspects the state of the servers.",
    load: async () => (await import("./snapshot.ts")).snapshot,
  },
  catalog: {
    doc: "Lists datacenters, nodes and services.",
    load: async () => (await import("./catalog.ts")).catalog,
  },
  completion: {
    doc: "Prints a script for completion by the shell.",
    load: async () => (await import("./completion.ts")).completion,
  },
  dns: {
    doc: "Explains DNS answers, shows cache and upstream servers.",
    load: async () => (await import("./dns.ts")).dns,
  },
  event: {
    doc: "Fires a user event.",
    load: async () => (await import("./event.ts")).event,
  },
  import: {
    doc: "Turns configuration of other programs into ours.",
    load: async () => (await import("./import.ts")).importConfig,
  },
  info: {
    doc: "Prints figures of the agent for operators.",
    load: async () => (await import("./info.ts")).info,
  },
  maint: {
    doc: "Takes the node or a service out of service and back.",
    load: async () => (await import("./maint.ts")).maint,
  },
  kv: {
    doc: "Reads and writes the key/value store.",
    load: async () => (await import("./kv.ts")).kv,
  },
  exec: {
    doc: "Runs a command on nodes whose agents allow it.",
    load: async () => (await import("./exec.ts")).exec,
  },
  lock: {
    doc: "Runs a command while it holds a lock.",
    load: async () => (await import("./lock.ts")).lock,
  },
  watch: {
    doc: "Waits for changes: prints the data, or runs a command for each.",
    load: async () => (await import("./watch.ts")).watch,
  },
  reload: {
    doc: "Lets the agent read its configuration again.",
    load: async () => (await import("./reload.ts")).reload,
  },
  acl: {
    doc: "Manages tokens, policies and roles.",
    load: async () => (await import("./acl/acl.ts")).acl,
  },
  "force-leave": {
    doc: 'Puts a member of the cluster into the state "left".',
    load: async () => (await import("./force-leave.ts")).forceLeave,
  },
  join: {
    doc: "Tells the agent to join a cluster.",
    load: async () => (await import("./join.ts")).join,
  },
  keygen: {
    doc: "Makes a key for the encryption of gossip.",
    load: async () => (await import("./keygen.ts")).keygen,
  },
  keyring: {
    doc: "Lists and changes the keys that gossip is encrypted with.",
    load: async () => (await import("./keyring.ts")).keyring,
  },
  leave: {
    doc: "Lets the agent leave the cluster and end.",
    load: async () => (await import("./leave.ts")).leave,
  },
  login: {
    doc: "Not available: there are no auth methods.",
    load: async () => (await import("./acl/acl.ts")).login,
  },
  logout: {
    doc: "Not available: there are no auth methods.",
    load: async () => (await import("./acl/acl.ts")).login,
  },
  members: {
    doc: "Lists the members of the cluster.",
    load: async () => (await import("./members.ts")).members,
  },
  monitor: {
    doc: "Shows the agent's log as it is written.",
    load: async () => (await import("./monitor.ts")).monitor,
  },
  operator: {
    doc: "Looks after the servers: Raft, autopilot, counts.",
    load: async () => (await import("./operator/operator.ts")).operator,
  },
  rtt: {
    doc: "Estimates the round trip time between two nodes.",
    load: async () => (await import("./rtt.ts")).rtt,
  },
  setup: {
    doc: "Points the host's resolver to this agent, and back.",
    load: async () => (await import("./setup.ts")).setup,
  },
  validate: {
    doc: "Checks configuration files and directories.",
    load: async () => (await import("./validate.ts")).validate,
  },
  version: {
    doc: "Prints the version.",
    load: async () => (await import("./version.ts")).version,
  },
};
