/** What the upstream servers of the comparison with dnsmasq say: the same for each name, with the server's number in it. */
import dnsPacket, { type Answer } from "dns-packet";
import { a, cname, replyTo, soa, type Got, type Says } from "../upstream.ts";

const TTL = 600;
const CLASS = "IN" as const;

const RCODES: Readonly<Record<string, number>> = { servfail: 2, notimp: 4, refused: 5 };
const AD = 0x20;
const DO = 0x8000;

/** With AD and, for who wants them, signatures: as a server that validates answers (RFC 6840 section 5.7). */
function signed(got: Got, addresses: (v4: string, v6: string) => Buffer[]): Buffer {
  const opt = (got.packet.additionals ?? []).find((each) => each.type === "OPT");
  const wantsAll = opt?.type === "OPT" && (opt.flags & DO) !== 0;
  const asksAd = ((got.packet.flags ?? 0) & AD) !== 0;
  const [reply] = addresses("9.9.9.99", "2620:fe::99");
  const parsed = dnsPacket.decode(reply!);
  const { name, type } = got;
  const answers = [...(parsed.answers ?? [])];
  if (wantsAll && answers.length > 0)
    answers.push({
      type: "RRSIG",
      name,
      ttl: TTL,
      class: CLASS,
      data: {
        typeCovered: type,
        algorithm: 13,
        labels: name.split(".").length,
        originalTTL: TTL,
        expiration: 4_000_000_000,
        inception: 1_700_000_000,
        keyTag: 1,
        signersName: "example",
        signature: Buffer.alloc(64, 1),
      },
    });
  const authorities = parsed.authorities ?? [];
  const flags = wantsAll || asksAd ? AD : 0;
  return replyTo(got, { answers, authorities, flags });
}

/** By the first label of the name; every other name has records of the usual types. */
export const sayings = (number: number): Says => {
  const says = plainly(number);
  return async (got) => {
    const opt = (got.packet.additionals ?? []).find((each) => each.type === "OPT");
    const isDo = opt?.type === "OPT" && (opt.flags & DO) !== 0;
    const replies = await says(got);
    // The OPT is the last record and empty; its DO is that of the question (RFC 3225 section 3).
    return replies.map((reply) => {
      const wire = Buffer.from(reply);
      if (isDo) wire.writeUInt16BE(DO, wire.length - 4);
      return wire;
    });
  };
};

const plainly =
  (number: number): Says =>
  (got) => {
    const { name, type } = got;
    const label = name.split(".")[0]!.toLowerCase();
    const rest = name.slice(label.length + 1);
    // Zones are two labels deep, and what is not there is no zone.
    const labels = name.split(".");
    const isAbsent = /^(nx|nosoa)/.test(label);
    const zone = labels.slice(isAbsent && labels.length <= 2 ? -1 : -2).join(".");
    const denial = [soa(zone, 120, 100)];
    const empty = [replyTo(got, { authorities: denial })];
    const aaaa = (data: string, ttl = TTL): Answer => ({
      type: "AAAA",
      name,
      data,
      ttl,
      class: CLASS,
    });
    const addresses = (v4: string | undefined, v6: string | undefined, ttl = TTL): Buffer[] => {
      const answers: Answer[] = [];
      if (v4 !== undefined && (type === "A" || type === "ANY")) answers.push(a(name, v4, ttl));
      if (v6 !== undefined && (type === "AAAA" || type === "ANY")) answers.push(aaaa(v6, ttl));
      return answers.length === 0 ? empty : [replyTo(got, { answers })];
    };
    const own4 = `9.9.9.${number}`;
    const own6 = `2620:fe::${number}`;
    if (label.startsWith("nx")) return [replyTo(got, { rcode: 3, authorities: denial })];
    if (label.startsWith("nosoa")) return [replyTo(got, { rcode: 3 })];
    // With the number of a server: it alone has no answer.
    const failure = /^(servfail|refused|notimp)(\d?)$/.exec(label);
    if (failure !== null && (failure[2] === "" || failure[2] === `${number}`))
      return [replyTo(got, { rcode: RCODES[failure[1]!]! })];
    if (label === "signed") return [signed(got, addresses)];
    if (type === "SOA") return zone === name ? [replyTo(got, { answers: denial })] : empty;
    if (label.startsWith("nodata")) return empty;
    if (label === "bogus") return addresses("192.0.2.66", own6);
    if (label === "doctor") return addresses("1.2.3.56", own6);
    if (label === "range") return addresses("198.18.0.5", own6);
    if (label === "private") return addresses("10.9.8.7", "fd00::7");
    if (label === "loopback") return addresses("127.0.0.1", "::1");
    if (label === "v4") return addresses(own4, undefined);
    if (label === "v6") return addresses(undefined, own6);
    if (label === "short") return addresses(own4, own6, 5);
    if (label === "long") return addresses(own4, own6, 100_000);
    if (label === "alias") {
      const target = `target.${rest}`;
      const chain = [cname(name, target, TTL)];
      if (type === "A") chain.push(a(target, own4, TTL));
      if (type === "AAAA") chain.push({ ...aaaa(own6), name: target });
      return type === "A" || type === "AAAA" || type === "CNAME" || type === "ANY"
        ? [replyTo(got, { answers: chain })]
        : [replyTo(got, { answers: chain, authorities: denial })];
    }
    if ((label === "big" || label === "huge") && type === "TXT") {
      const count = label === "big" ? 5 : 20;
      const data = Array.from({ length: count }, (_, i) => String(i % 10).repeat(200));
      const full = replyTo(got, { answers: [{ type: "TXT", name, data, ttl: TTL, class: CLASS }] });
      const opt = (got.packet.additionals ?? []).find((each) => each.type === "OPT");
      const size = opt?.type === "OPT" ? opt.udpPayloadSize : 512;
      if (got.transport === "tcp" || full.length <= size) return [full];
      return [replyTo(got, { flags: 0x200 })];
    }
    switch (type) {
      case "A":
      case "AAAA":
      case "ANY":
        return addresses(own4, own6);
      case "TXT":
        return [
          replyTo(got, {
            answers: [{ type, name, data: [`server ${number}`], ttl: TTL, class: CLASS }],
          }),
        ];
      case "MX":
        return [
          replyTo(got, {
            answers: [
              {
                type,
                name,
                data: { preference: 10, exchange: `mx${number}.example` },
                ttl: TTL,
                class: CLASS,
              },
            ],
          }),
        ];
      case "SRV":
        return [
          replyTo(got, {
            answers: [
              {
                type,
                name,
                data: { priority: 1, weight: 2, port: number, target: "srv.example" },
                ttl: TTL,
                class: CLASS,
              },
            ],
          }),
        ];
      case "PTR":
        return [
          replyTo(got, {
            answers: [{ type, name, data: `host${number}.example`, ttl: TTL, class: CLASS }],
          }),
        ];
      default:
        return empty;
    }
  };
