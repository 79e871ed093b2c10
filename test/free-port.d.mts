/** See free-port.mjs, which the replay scripts use without a loader. */
export function freePort(): Promise<number>;
