import { open, type FileHandle } from "node:fs/promises";
import { oneArgument } from "../arguments.ts";
import { attempt, CommandFailure, httpCommand } from "../command.ts";
import { fileReason } from "../../file-reason.ts";
import { createProgress, type Progress } from "../progress.ts";

/** `snapshot restore`: the servers take the state of the file, all of it or nothing. */
export const restore = httpCommand({
  doc: "Puts the state of a file in the place of the servers' own.",
  usage: "[options] FILE",
  detail: `What is there now is lost. The file is checked before anything changes. With ACLs on a
management token is needed, and afterwards the tokens of the file are the ones that count:

    waypost snapshot restore backup.snap`,
  flags: {},
  async run({ args, http, world }) {
    const path = oneArgument(args, "Missing FILE argument");
    const file = await open(path, "r").catch((error: unknown) => {
      throw new CommandFailure(`Error opening snapshot file: ${fileReason(error)}`);
    });
    const progress = createProgress(world);
    try {
      const { size } = await file.stat();
      await attempt(
        "Error restoring snapshot",
        http.request("PUT", "/v1/snapshot", {
          body: contentOf(file, size, progress),
          headers: { "Content-Length": String(size) },
        }),
      );
    } finally {
      await progress.done();
      await file.close();
    }
    await world.out("Restored snapshot\n");
    return 0;
  },
});

const READ_OCTETS = 64 * 1024;

async function* contentOf(
  file: FileHandle,
  size: number,
  progress: Progress,
): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < size;) {
    const buffer = new Uint8Array(Math.min(READ_OCTETS, size - at));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) throw new Error("the file became shorter");
    at += bytesRead;
    progress.show(
      at < size ? `Sent ${Math.floor((100 * at) / size)} %` : "Sent, waiting for the servers",
    );
    yield buffer.subarray(0, bytesRead);
  }
}
