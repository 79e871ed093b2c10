import t from "tap";
import { nodeTxt, txtOf } from "../../src/dns/node-txt.ts";

t.test("metadata as RFC 1464 attributes", async (t) => {
  const rows: [key: string, value: string, text: string][] = [
    ["rack", "r7", "rack=r7"],
    ["empty", "", "empty="],
    ["a=b", "c=d", "a`=b=c=d"],
    ["a`b", "c`d", "a``b=c``d"],
    ["  lead", "x", "` ` lead=x"],
    ["trail ", "x", "trail` =x"],
    ["in side", " x ", "in side= x "],
    ["   ", "x", "` ` ` =x"],
    ["rfc1035-txt", "v=spf1 `-all`", "v=spf1 `-all`"],
    ["RFC1035-x", "as it is", "as it is"],
    ["rfc1035", "x", "rfc1035=x"],
  ];
  for (const [key, value, text] of rows) t.equal(txtOf(key, value), text, key);
});

t.test("long values are split into character-strings of 255 octets (RFC 1035 3.3)", async (t) => {
  const strings = (value: string): number[] => {
    const meta = { "rfc1035-x": value };
    const node = {
      node: "n",
      id: "",
      address: "",
      taggedAddresses: null,
      meta,
      createIndex: 1,
      modifyIndex: 1,
    };
    const { data } = nodeTxt(node, Uint8Array.of(0), 0)[0]!;
    const lengths: number[] = [];
    for (let at = 0; at < data.length; at += data[at]! + 1) lengths.push(data[at]!);
    return lengths;
  };
  t.same(strings(""), [0]);
  t.same(strings("x".repeat(255)), [255]);
  t.same(strings("x".repeat(256)), [255, 1]);
  t.same(strings("é".repeat(255)), [255, 255]);
});
