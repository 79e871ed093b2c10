/**
 * Names that are answered here, or not: a configuration as a file has it, the pipeline and forwarder that
 * it makes, and servers in virtual time that tell by their answers which of them was asked.
 */
import type { Test } from "tap";
import { formatAddress, parseAddress } from "../../../src/address.ts";
import { forwarderSettings } from "../../../src/agent/forwarder-settings.ts";
import { localDataSettings } from "../../../src/agent/local-data.ts";
import type { LoadedConfig } from "../../../src/config.ts";
import type { ForwardAnswer, ForwardRequest } from "../../../src/dns/answer.ts";
import { formatName } from "../../../src/dns/name.ts";
import { formatData, parseType, rcodeName, typeName } from "../../../src/dns/presentation.ts";
import { createFilter } from "../../../src/forwarder/filter/filter.ts";
import { createFilterCounts } from "../../../src/forwarder/filter/settings.ts";
import { createPipeline, type Pipeline } from "../../../src/forwarder/pipeline.ts";
import { load, writeFiles } from "../../config/world.ts";
import {
  createWorld,
  reply,
  seededRandom,
  soa,
  wireName,
  type Question,
  type World,
} from "../world.ts";

/** Servers 192.0.2.1 to 192.0.2.9; server 9 denies every name. */
const SERVERS = 9;

export type Scene = {
  pipeline: Pipeline;
  world: World;
  loaded: LoadedConfig;
  /** Record of an answer in one line each, or its RCODE; `@` and a number for those of a server. */
  ask(question: string, client?: string): string;
  /** The whole answer. */
  answer(question: string, client?: string): ForwardAnswer;
  /** Answers of a server for one name, as zone file lines `owner type data`. */
  tells(server: number, name: string, records: readonly string[]): void;
};

/** The scene of this `forwarder` block, with server 1 as recursor unless it says otherwise. */
export async function createScene(
  t: Test,
  forwarder: Record<string, unknown>,
  over: Record<string, unknown> = {},
): Promise<Scene> {
  const file = { data_dir: "unused", recursors: ["192.0.2.1"], forwarder, ...over };
  const directory = writeFiles(t, { "a.json": file });
  const read = await load([`${directory}/a.json`]);
  if (!read.ok) throw new Error(read.error.join("\n"));
  const loaded = read.value;
  const world = createWorld(SERVERS, { probeName: "" });
  const settings = forwarderSettings(loaded);
  const [first, ...groups] = settings.groups;
  const plain = { mixedCase: false, packetsPerSecond: 0 };
  world.forwarder.reload({
    ...settings,
    groups: [{ ...first, ...plain }, ...groups.map((group) => ({ ...group, ...plain }))],
    probeName: "",
    loopDetection: false,
  });
  const told = new Map<string, readonly string[]>();
  for (let number = 1; number <= SERVERS; number++)
    world.server(number, (question) => [{ wire: answerOf(number, question, told) }]);
  const pipeline = createPipeline({
    forwarder: world.forwarder,
    settings: localDataSettings(loaded),
    filter: loaded.filter.rebind === null ? null : protection(loaded, world),
    random: seededRandom(7),
  });
  const scene: Scene = {
    pipeline,
    world,
    loaded,
    tells: (server, name, records) => void told.set(`${server} ${name}`, records),
    answer(question, client = "127.0.0.1") {
      let given: ForwardAnswer | undefined;
      pipeline.forward(requestOf(question, client), (answer) => (given = answer));
      world.settle();
      if (given === undefined) throw new Error(`${question}: no answer`);
      return given;
    },
    ask: (question, client) => inWords(scene.answer(question, client)),
  };
  return scene;
}

function protection({ filter }: LoadedConfig, { nowMs }: World) {
  const clock = { monotonicMs: nowMs };
  return createFilter(filter, { log: () => {}, clock, counts: createFilterCounts() });
}

/** `name type` */
export function requestOf(question: string, client: string): ForwardRequest {
  const [name = "", type = "A"] = question.split(" ");
  return {
    qname: wireName(name),
    qtype: parseType(type)!,
    qclass: 1,
    rd: true,
    cd: false,
    ad: false,
    do: false,
    edns: { payload: 1232, options: new Uint8Array() },
    client: { address: client, port: 5000, transport: "udp" },
  };
}

/** By number: A 198.51.100.<n>, AAAA 2001:db8::<n>, and `server<n>` in names and texts. */
function answerOf(
  number: number,
  question: Question,
  told: ReadonlyMap<string, readonly string[]>,
): Buffer {
  const { name, type } = question;
  const records = told.get(`${number} ${name.toLowerCase()}`);
  if (records !== undefined) {
    const answers = records.map((line) => {
      const [owner = "", kind = "A", data = ""] = line.split(" ");
      return { type: kind as "A", class: "IN" as const, name: owner, ttl: 60, data };
    });
    return reply(question, { answers });
  }
  const denied = { authorities: [soa(name.split(".").at(-1)!, 60, 60)] };
  if (number === 9) return reply(question, { rcode: 3, ...denied });
  const data: Record<string, string> = {
    A: `198.51.100.${number}`,
    AAAA: `2001:db8::${number}`,
    TXT: `server${number}`,
    PTR: `server${number}`,
    CNAME: `server${number}`,
  };
  if (data[type] === undefined) return reply(question, denied);
  return reply(question, {
    answers: [{ type: type as "A", class: "IN", name, ttl: 60, data: data[type] }],
  });
}

/** `A 192.0.2.1`, `NXDOMAIN`, `NODATA`, `failed`; several with commas; `@2` alone for what server 2 says of itself. */
export function inWords(answer: ForwardAnswer): string {
  if (!answer.ok) return answer.reason;
  if (answer.answers.length === 0) return answer.rcode === 0 ? "NODATA" : rcodeName(answer.rcode);
  const records = answer.answers.map((rr) => {
    const data = formatData(rr);
    const server =
      /^198\.51\.100\.(\d)$/.exec(data) ??
      /^2001:db8::(\d)$/.exec(data) ??
      /^"?server(\d)"?\.?$/.exec(data);
    return server === null ? `${typeName(rr.type)} ${data}` : `@${server[1]}`;
  });
  return records.join(", ") + (answer.rcode === 0 ? "" : ` ${rcodeName(answer.rcode)}`);
}

/** Owner names of an answer's records in presentation form. */
export function owners(answer: ForwardAnswer): string[] {
  return answer.ok ? answer.answers.map(({ owner }) => formatName(owner)) : [];
}

/** Rows of a table: a question, and what it is answered. */
export function expectAll(t: Test, scene: Scene, rows: readonly [string, string][]): void {
  for (const [question, expected] of rows) t.equal(scene.ask(question), expected, question);
}

/** Canonical text of an address literal. */
export function canonical(literal: string): string {
  return formatAddress(parseAddress(literal)!);
}
