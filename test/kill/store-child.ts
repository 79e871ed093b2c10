/** Under Bun: the real store in the folder given, driven over IPC (remote-store.ts). */
import type { LogRow } from "../../src/ports.ts";
import { openStore } from "../../src/platform/store.ts";
import { type Answer, type Call, fromWire, toWire } from "./remote-protocol.ts";

const store = openStore(process.argv[2]!, (warning) => send({ warning }));
let entries: AsyncIterator<readonly LogRow[]> | undefined;

const send = (answer: Answer): void => void process.send!(answer);

async function perform(call: Call): Promise<unknown> {
  switch (call.call) {
    case "load": {
      const { entries: source, ...loaded } = await store.load();
      entries = source[Symbol.asyncIterator]();
      return loaded;
    }
    case "next-rows": {
      const next = await entries!.next();
      return next.done === true ? null : next.value.map(toWire);
    }
    case "append":
      return store.append(call.rows.map(fromWire));
    case "write":
      return store.writeSnapshot(
        call.at,
        call.chunks.map((chunk) => new Uint8Array(Buffer.from(chunk, "base64"))),
      );
    case "read": {
      const chunks: string[] = [];
      for await (const chunk of store.readSnapshot(call.file))
        chunks.push(Buffer.from(chunk).toString("base64"));
      return chunks;
    }
    case "record":
      return store.recordSnapshot(
        call.file,
        call.restored === null ? null : fromWire(call.restored),
      );
    case "discard":
      return store.discardSnapshot(call.file);
    case "trim":
      return store.trim(call.keepFrom);
    case "close":
      return store.close();
  }
}

process.on("message", ({ id, call }: { id: number; call: Call }) => {
  perform(call).then(
    (value) => send({ id, value: value ?? null, stats: store.stats() }),
    ({ name, message }: Error) => send({ id, error: { name, message } }),
  );
});
process.on("disconnect", () => process.exit(0));
store.onSpace((space) => send({ space }));
store.onFailure((failure) => send({ failure }));
