import { randomBytes } from "node:crypto";
import { noArguments } from "./arguments.ts";
import { command } from "./command.ts";

/** AES-256. */
const KEY_OCTETS = 32;

/** `keygen`: a key for `encrypt` and for the keyring. */
export const keygen = command({
  doc: "Makes a key for the encryption of gossip.",
  usage: "",
  detail: "32 random octets in base64, the form that the option `encrypt` and `keyring` take.",
  flags: {},
  async run({ args, world }) {
    noArguments(args);
    await world.out(`${randomBytes(KEY_OCTETS).toString("base64")}\n`);
    return 0;
  },
});
