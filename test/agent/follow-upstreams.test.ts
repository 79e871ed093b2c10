// Which file gives the upstream servers, through reloads.
import t from "tap";
import { followUpstreams } from "../../src/agent/follow-upstreams.ts";
import { parseResolvConf, type ResolvConf } from "../../src/forwarder/resolvconf.ts";

function world() {
  /** Files that are watched now, and who hears of them. */
  const watched = new Map<string, (conf: ResolvConf) => void>();
  const applied: string[] = [];
  const problems: string[] = [];
  const upstreams = followUpstreams({
    watch(paths, on) {
      const path = paths.join(" ");
      watched.set(path, (conf) => on.changed(conf, path));
      return () => watched.delete(path);
    },
    serversOf: ({ servers }) => ({
      servers: servers.filter(({ address }) => address !== "127.0.0.1"),
      own: servers.filter(({ address }) => address === "127.0.0.1"),
    }),
    onServers: (servers) => applied.push(servers.map(({ address }) => address).join(" ")),
    onProblem: (problem) => problems.push(problem),
  });
  return {
    upstreams,
    applied,
    problems,
    paths: () => [...watched.keys()],
    write: (path: string, text: string) => watched.get(path)?.(parseResolvConf(text)),
    follow: (resolvConf: string, ...recursors: string[]) =>
      upstreams.follow({
        recursors,
        "forwarder.resolv_conf_always": false,
        "forwarder.resolv_conf": resolvConf.split(" ").filter((path) => path !== ""),
      }),
  };
}

t.test("the file of the present configuration is followed, and no other", async (t) => {
  const { follow, paths, write, applied, upstreams } = world();
  follow("");
  t.same(paths(), []);
  follow("/a");
  follow("/a");
  t.same(paths(), ["/a"]);
  write("/a", "nameserver 192.0.2.1");
  follow("/b");
  t.same(paths(), ["/b"]);
  write("/a", "nameserver 192.0.2.2");
  write("/b", "nameserver 192.0.2.3\nnameserver 192.0.2.4");
  t.same(applied, ["192.0.2.1", "192.0.2.3 192.0.2.4"]);
  follow("/b", "192.0.2.9");
  t.same(paths(), [], "recursors win");
  follow("/b");
  t.same(paths(), ["/b"], "and may go again");
  upstreams.stop();
  t.same(paths(), []);
});

t.test("a file that names nobody else changes nothing, and that is said", async (t) => {
  const { follow, write, applied, problems, upstreams } = world();
  follow("/a");
  write("/a", "nameserver 127.0.0.1");
  t.same(applied, []);
  t.same(problems, ["/a names no other DNS server; keeping the servers known so far"]);
  t.same(upstreams.figures(), { generation: 0, ownServers: 1 });
});

t.test("ask 37: own addresses are left out with a warning, the others are taken", async (t) => {
  const { follow, write, applied, problems, upstreams } = world();
  follow("/a /b");
  write("/a /b", "nameserver 127.0.0.1\nnameserver 192.0.2.1");
  t.same(applied, ["192.0.2.1"]);
  t.same(problems, ["/a /b names this agent itself, which is not asked: 127.0.0.1 port 53"]);
  t.same(upstreams.figures(), { generation: 1, ownServers: 1 });
  write("/a /b", "nameserver 192.0.2.1");
  t.same(upstreams.figures(), { generation: 2, ownServers: 0 });
});
