/** Pipes for the output of programs: one for standard output and error together, as a shell's `2>&1`. */
import { closeSync } from "node:fs";
import type { OpenPipe } from "../ports.ts";
import { errnoOf, errorName, openLibc, pinned } from "./libc.ts";

/** Not inherited by programs that are started meanwhile. */
const O_CLOEXEC = 0o2000000;

/** null where this system has no such call. */
export function createOpenPipe(): OpenPipe | null {
  const libc = openLibc();
  if (libc === null) return null;
  const ends = pinned(8);
  return () => {
    if (libc.pipe2(ends.octets, O_CLOEXEC) !== 0) return { error: errorName(errnoOf(libc)) };
    const reader = ends.words[0]!;
    const writer = ends.words[1]!;
    const stream = Bun.file(reader).stream().getReader();
    let isClosed = false;
    return {
      writer,
      closeWriter: () => closeSync(writer),
      octets: readAll(stream),
      close() {
        if (isClosed) return;
        isClosed = true;
        // Bun reads from a duplicate and closes that one itself.
        void stream.cancel().catch(() => {});
        closeSync(reader);
      },
    };
  };
}

type Reader = { read(): Promise<{ value?: Uint8Array | undefined }> };

async function* readAll(stream: Reader): AsyncGenerator<Uint8Array> {
  for (;;) {
    const { value } = await stream.read();
    if (value === undefined) return;
    yield value;
  }
}
