// The client's network in questions (RFC 7871): what Debian's dnsmasq sends to servers, and what waypost does.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { query, udpClient } from "../dns-client.ts";
import { freePort } from "../free-port.mjs";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { a, replyTo, startUpstream, type Got } from "../upstream.ts";
import { hasPeer, startDnsPeer } from "./peer.ts";

const skip = hasPeer("dnsmasq") ? false : "dnsmasq is not installed";

/** The client's own option: 203.0.113.0/24. */
const given = Buffer.from("0008000700011800cb0071", "hex");

function withOption(id: number, name: string): Buffer {
  const wire = Buffer.from(query(id, name));
  wire.writeUInt16BE(1, 10);
  const opt = Buffer.from([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, given.length]);
  return Buffer.concat([wire, opt, given]);
}

/** The option with its head, out of an OPT that holds nothing else. */
function subnetIn({ name, wire }: Got): Buffer | undefined {
  const opt = 12 + name.length + 2 + 4;
  const octets = wire.length > opt ? wire.readUInt16BE(opt + 9) : 0;
  return octets === 0 ? undefined : Buffer.from(wire.subarray(opt + 11, opt + 11 + octets));
}

/** Networks in the questions that each of both sends: twice from 127.0.0.1, then from ::1, then with a network given. */
async function sentBy(t: Test, lines: string): Promise<{ dnsmasq: string[]; waypost: string[] }> {
  const upstream = await startUpstream(t, (got) => {
    const reply = Buffer.from(replyTo(got, { answers: [a(got.name, "192.0.2.1", 600)] }));
    const option = subnetIn(got);
    if (option === undefined) return [reply];
    // The answer is for this network alone.
    option[7] = option[6]!;
    // The OPT is the last record, and empty.
    reply.writeUInt16BE(option.length, reply.length - 2);
    return [Buffer.concat([reply, option])];
  });
  const conf = join(temporaryDirectory(t), "main.conf");
  const addresses = "listen-address=127.0.0.1,::1";
  writeFileSync(
    conf,
    `no-resolv\nno-hosts\n${addresses}\nserver=127.0.0.1#${upstream.port}\n${lines}\n`,
  );
  const port = await freePort();
  await startDnsPeer(
    t,
    "dnsmasq",
    [
      "--keep-in-foreground",
      "--pid-file=",
      "--user=",
      "--bind-interfaces",
      `--port=${port}`,
      `--conf-file=${conf}`,
    ],
    { port, name: "ready.example" },
  );
  const program = await startProgram(t, { forwarder: { dnsmasq_conf: conf } });
  const sent: string[][] = [];
  for (const [i, at] of [port, program.dnsPort].entries()) {
    const clients = [await udpClient(at), await udpClient(at, "::1")];
    t.teardown(() => clients.forEach((client) => client.close()));
    const before = upstream.got.length;
    const name = `${["dnsmasq", "waypost"][i]!}.example`;
    const [v4, v6] = clients;
    const asked: [client: typeof v4, wire: Buffer][] = [
      [v4, query(1, `a.${name}`)],
      [v4, query(2, `a.${name}`)],
      [v6, query(3, `b.${name}`)],
      [v4, withOption(4, `c.${name}`)],
    ];
    for (const [client, wire] of asked) {
      // dnsmasq drops the answer for a network that its client has given: it compares with its own.
      const mayBeSilent = i === 0 && wire.readUInt16BE(10) > 0;
      const reply = await client!.ask(wire, mayBeSilent ? 300 : undefined);
      t.ok(reply !== undefined || mayBeSilent, "an answer");
    }
    sent.push(
      upstream.got.slice(before).flatMap((got) => {
        const { name: asked } = got;
        if (!asked.endsWith(name)) return [];
        const option = subnetIn(got);
        return [`${asked[0]} ${option?.subarray(4).toString("hex") ?? "none"}`];
      }),
    );
  }
  return { dnsmasq: sent[0]!, waypost: sent[1]! };
}

const rows: string[] = [
  "add-subnet",
  "add-subnet=24,56",
  "add-subnet=25",
  "add-subnet=192.0.2.0/24,2001:db8::/33",
  "add-subnet=24,56\nstrip-subnet",
  "strip-subnet",
];
for (const lines of rows)
  t.test(lines.replace("\n", ", "), { skip }, async (t) => {
    const { dnsmasq, waypost } = await sentBy(t, lines);
    t.comment(dnsmasq.join(", "), "|", waypost.join(", "));
    t.same(waypost, dnsmasq);
  });
