// Lines of dnsmasq's configuration files: comments, quotes, blanks (compared with dnsmasq 2.90 in test/peers).
import t from "tap";
import { parseLine, shown, splitList } from "../../src/config/dnsmasq/line.ts";

const lines: [line: string, keyword: string | undefined, parts: string[] | undefined][] = [
  ["", undefined, undefined],
  ["   \t", undefined, undefined],
  ["# all of it", undefined, undefined],
  ["  # all of it", undefined, undefined],
  ["bogus-priv", "bogus-priv", undefined],
  ["  bogus-priv\t # why", "bogus-priv", undefined],
  ["server=1.2.3.4#53", "server", ["1.2.3.4#53"]],
  ["server=1.2.3.4 # the usual one", "server", ["1.2.3.4"]],
  ["server = 1.2.3.4", "server", ["1.2.3.4"]],
  ["server=", "server", [""]],
  ["server==x", "server", ["=x"]],
  ["cname=a , b,  c", "cname", ["a", "b", "c"]],
  ['txt-record=a,"b,c",d', "txt-record", ["a", "b,c", "d"]],
  ['txt-record=a," b "', "txt-record", ["a", " b "]],
  ['txt-record=a,"x # y" # z', "txt-record", ["a", "x # y"]],
  ['txt-record=a,"x"#y', "txt-record", ["a", "x#y"]],
  ['txt-record=a,"\\t\\"\\\\\\q"', "txt-record", ["a", '\t"\\\\q']],
  ['port="5"3', "port", ["53"]],
  // The character behind a closing quote is itself, whatever it is.
  ['txt-record=a,"x"" y', "txt-record", ["a", 'x" y']],
  ["\tport\t=\t53\r", "port", ["53"]],
];

t.test("a line", async (t) => {
  for (const [line, keyword, parts] of lines) {
    const parsed = parseLine(line);
    t.ok(parsed.ok, line);
    if (!parsed.ok) continue;
    t.equal(parsed.value?.keyword, keyword, line);
    const { value } = parsed.value ?? {};
    t.same(value === undefined ? undefined : splitList(value).map(shown), parts, line);
  }
});

t.test("a quote without its end is refused", async (t) => {
  for (const line of ['txt-record=a,"b', 'txt-record=a,"b\\"', 'txt-record=a,"b""c"', '"'])
    t.same(parseLine(line), { ok: false, error: 'missing "' }, line);
});
