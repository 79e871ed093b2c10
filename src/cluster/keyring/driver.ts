/** Keyrings of the gossip pools in their files, which Consul and Serf read too. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fail, ok, type Result } from "../../base.ts";
import { absent, writeAtomically } from "../local/driver.ts";
import { applyKey, formatKeyring, parseKeyring, type Keyring } from "../keyring.ts";
import type { KeyringOperation } from "../keyring.ts";

/** The keyring of one pool. */
export type PoolKeyring = {
  readonly pool: "lan" | "wan";
  /** Empty: no encryption. */
  ring: () => Keyring;
  /** Resolves when the change is on the disk, if there is one; an error has changed nothing. */
  apply(operation: KeyringOperation, key: string): Promise<Result<void, string>>;
};

const FOLDER = "serf";
const FILES = { lan: "local.keyring", wan: "remote.keyring" };

/**
 * The keyrings of the pools. A file in `dataDir` counts, else `encrypt` ("": none) begins one;
 * without `dataDir` they are kept in memory only. Rejects when a file holds something else.
 */
export function loadKeyrings(options: {
  dataDir: string | undefined;
  encrypt: string;
  pools: readonly PoolKeyring["pool"][];
  warn: (message: string) => void;
}): Promise<PoolKeyring[]> {
  return Promise.all(options.pools.map((pool) => load(pool, options)));
}

async function load(
  pool: PoolKeyring["pool"],
  { dataDir, encrypt, warn }: Parameters<typeof loadKeyrings>[0],
): Promise<PoolKeyring> {
  if (dataDir === undefined) return createPoolKeyring(pool, encrypt === "" ? [] : [encrypt]);
  const folder = join(dataDir, FOLDER);
  const path = join(folder, FILES[pool]);
  const text = await readFile(path, "utf8").catch(absent(undefined));
  const save = (ring: Keyring) => writeAtomically(folder, path, formatKeyring(ring));
  if (text === undefined) {
    const ring = encrypt === "" ? [] : [encrypt];
    if (ring.length > 0) await save(ring);
    return createPoolKeyring(pool, ring, save);
  }
  const parsed = parseKeyring(text);
  if (!parsed.ok)
    throw new Error(
      `${path} is no keyring: ${parsed.error}; restore it, or remove it to start anew`,
    );
  if (encrypt !== "" && !parsed.value.includes(encrypt))
    warn(`${pool.toUpperCase()} keyring doesn't include key provided with -encrypt, using keyring`);
  return createPoolKeyring(pool, parsed.value, save);
}

function createPoolKeyring(
  pool: PoolKeyring["pool"],
  initial: Keyring,
  save: (ring: Keyring) => Promise<void> = () => Promise.resolve(),
): PoolKeyring {
  let ring = initial;
  let busy: Promise<unknown> = Promise.resolve();

  async function change(operation: KeyringOperation, key: string): Promise<Result<void, string>> {
    const changed = applyKey(ring, operation, key);
    if (!changed.ok) return changed;
    if (changed.value === ring) return ok(undefined);
    try {
      await save(changed.value);
    } catch (error) {
      return fail(error instanceof Error ? error.message : String(error));
    }
    ring = changed.value;
    return ok(undefined);
  }

  return {
    pool,
    ring: () => ring,
    // One at a time: each begins with what the last one left.
    apply: (operation, key) => {
      const done = busy.then(() => change(operation, key));
      busy = done;
      return done;
    },
  };
}
