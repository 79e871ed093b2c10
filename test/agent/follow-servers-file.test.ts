// servers-file of dnsmasq's configuration: which file is followed, and what counts as a change.
import t from "tap";
import { followServersFile } from "../../src/agent/follow-servers-file.ts";

/** Files are there at once: a few turns of promises are enough. */
const readAgain = () => new Promise((resolve) => void setImmediate(resolve));

t.test("a changed file is a reload, the same text and an absent file are not", async (t) => {
  const texts = new Map([["/a", "server=/x/192.0.2.1"]]);
  const watched = new Map<string, () => void>();
  let reloads = 0;
  const file = followServersFile({
    watch([path = ""], on) {
      watched.set(path, () => on.look());
      return () => watched.delete(path);
    },
    read: (path) => Promise.resolve(texts.get(path)),
    changed: () => reloads++,
    problem: (problem) => t.fail(problem),
  });
  const look = async (path: string, text?: string) => {
    if (text === undefined) texts.delete(path);
    else texts.set(path, text);
    watched.get(path)?.();
    await readAgain();
    return reloads;
  };
  file.follow(undefined);
  t.same([...watched.keys()], []);
  file.follow("/a");
  file.follow("/a");
  await readAgain();
  t.same([...watched.keys()], ["/a"]);
  t.equal(await look("/a", "server=/x/192.0.2.1"), 0, "the same");
  t.equal(await look("/a"), 0, "absent: while it is replaced");
  t.equal(await look("/a", "server=/x/192.0.2.2"), 1);
  t.equal(await look("/a", "server=/x/192.0.2.2"), 1);
  file.follow("/b");
  await readAgain();
  t.same([...watched.keys()], ["/b"]);
  t.equal(await look("/b", "server=/x/192.0.2.3"), 2, "it came later");
  file.stop();
  t.same([...watched.keys()], []);
});
