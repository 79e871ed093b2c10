/** Snapshot files on disk; what is in them: src/cluster/snapshot-archive.ts. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { ok, type Result } from "../../base.ts";
import { ArchiveCheck, openArchive, type ArchiveHead } from "../../cluster/snapshot-archive.ts";

/** Octets of the compressed part if the file is whole; the error says what is wrong with it. */
export async function verifyFile(path: string): Promise<Result<number, string>> {
  const check = new ArchiveCheck(createHash("sha256"));
  const file = await open(path, "r");
  for await (const chunk of file.createReadStream()) {
    const problem = check.add(chunk as Uint8Array); // a stream without an encoding
    if (problem !== undefined) return { ok: false, error: problem };
  }
  return check.finish();
}

/** A file that is whole, with its image unpacked as it is drawn. */
export type OpenSnapshot = { head: ArchiveHead; image: AsyncIterable<Uint8Array> };

/** Opens a snapshot; the caller draws the image to its end. */
export async function openSnapshot(path: string): Promise<Result<OpenSnapshot, string>> {
  const whole = await verifyFile(path);
  if (!whole.ok) return whole;
  const gunzip = createGunzip();
  // An error of the file destroys the decompressor, and with it whoever draws from it.
  pipeline(createReadStream(path, { end: whole.value - 1 }), gunzip, () => {});
  const data = (gunzip as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  // Whatever it unpacks to passes by and is counted; nothing of it is kept.
  const opened = await openArchive(data, Number.MAX_SAFE_INTEGER);
  return opened.ok ? ok(opened.value) : opened;
}
