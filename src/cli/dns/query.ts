import { isIP } from "node:net";
import { decodeShape, type Decoded } from "../../cluster/decode.ts";
import { checkFormat, formatFlag, jsonText, loosely, understood } from "../answer.ts";
import { attempt, CommandFailure, httpCommand } from "../command.ts";
import { flag } from "../flags.ts";
import { paint } from "../table.ts";
import type { World } from "../world.ts";
import { reverseName } from "./reverse-name.ts";

/** `dns query`: the agent's answer to one question as dig prints it, and how it came about. */
export const query = httpCommand({
  doc: "Asks the agent a DNS question and explains the answer.",
  usage: "[options] NAME [TYPE]",
  flagsAnywhere: true,
  detail: `Prints the records as dig does, and below them where they came from: the answer table, the
catalog (with what was left out and why), the forwarder's cache or an upstream server. The agent
answers as it answers any client: a question that is forwarded really is sent.

    waypost dns query web.service.consul
    waypost dns query _web._tcp.service.consul SRV
    waypost dns query 10.1.0.7

An address as NAME asks for its name.`,
  flags: {
    type: flag.text("Type of the question: A, AAAA, SRV, TXT, PTR, ANY, TYPE65, … Default: A."),
    tcp: flag.boolean("Answer as over TCP."),
    bufsize: flag.integer(1232, "EDNS payload in octets; 0: without EDNS."),
    norecurse: flag.boolean("Leave the RD bit out."),
    dnssec: flag.boolean("Ask for DNSSEC records (the DO bit)."),
    format: formatFlag,
  },
  async run({ flags, args, http, world }) {
    const [asked, type = flags.type, ...more] = args;
    if (asked === undefined) throw new CommandFailure("Must specify the name to ask for");
    if (more.length > 0)
      throw new CommandFailure(`Too many arguments (expected 1 or 2, got ${args.length})`);
    const format = checkFormat(flags.format);
    const isAddress = isIP(asked) !== 0 && type === "";
    const parameters = {
      name: isAddress ? reverseName(asked) : asked,
      type: type || (isAddress ? "PTR" : "A"),
      transport: flags.tcp ? "tcp" : "udp",
      payload: flags.bufsize,
      norecurse: flags.norecurse ? "" : undefined,
      dnssec: flags.dnssec ? "" : undefined,
    };
    const path = "/v1/waypost/dns/query";
    const answer = await attempt("Error asking", http.request("GET", path, { query: parameters }));
    const value = answer.json();
    if (format === "json") await world.out(jsonText(value));
    else await world.out(digText(understood(decodeShape(shape, value, loosely)), world));
    return 0;
  },
});

const records = {
  list: { struct: { Name: "string", TTL: "int", Class: "string", Type: "string", Data: "string" } },
} as const;

const shape = {
  struct: {
    Name: "string",
    Type: "string",
    Transport: "string",
    Source: "string",
    ElapsedMs: "float",
    Rcode: "string",
    Flags: { list: "string" },
    Octets: "int",
    Answer: records,
    Authority: records,
    Additional: records,
    Steps: { list: { struct: { Text: "string" } } },
    StepsLeftOut: "int",
  },
} as const;

function digText(answer: Decoded<typeof shape>, world: World): string {
  const { Rcode, Flags, Source, Transport, ElapsedMs, Octets, Steps, StepsLeftOut } = answer;
  const colour = Rcode === "NOERROR" ? "green" : Rcode === "NXDOMAIN" ? "yellow" : "red";
  const sections = [
    ["ANSWER", answer.Answer ?? []],
    ["AUTHORITY", answer.Authority ?? []],
    ["ADDITIONAL", answer.Additional ?? []],
  ] as const;
  const steps = (Steps ?? []).map(({ Text }) => Text);
  if (StepsLeftOut > 0) steps.push(`${StepsLeftOut} more steps`);
  return [
    `;; ${answer.Name} ${answer.Type}\n`,
    `;; status: ${paint(world, colour, Rcode)}, flags: ${(Flags ?? []).join(" ")}\n`,
    ...sections.map(([title, list]) => sectionText(title, list)),
    `\n;; source: ${paint(world, "bold", Source)}\n`,
    ...steps.map((text) => `;; source: ${text}\n`),
    `;; ${ElapsedMs} ms, ${Octets} octets, ${Transport}\n`,
  ].join("");
}

type Records = readonly Decoded<(typeof records)["list"]>[];

function sectionText(title: string, list: Records): string {
  if (list.length === 0) return "";
  const lines = list.map(
    ({ Name, TTL, Class, Type, Data }) => `${Name}\t${TTL}\t${Class}\t${Type}\t${Data}\n`,
  );
  return `\n;; ${title} SECTION:\n${lines.join("")}`;
}
