/** One JSON object for each question, written when it is answered. */
import { formatData, rcodeName, typeName } from "./presentation.ts";
import type { ExtendedError } from "./answer.ts";
import { originOf, shownName, type Narrate } from "./query-log-story.ts";

/** Records and servers that are named; `answer_count` tells of all. */
const LISTED_MAX = 16;

/** Members: see README. Times are milliseconds, `time` is when the question came. */
export const jsonLines: Narrate = ({ qname, qtype, client }, { time }, line) => {
  let origin = "reply";
  let isShared = false;
  const servers: string[] = [];
  let errors: readonly ExtendedError[] = [];
  return {
    noted(note) {
      origin = originOf(note) ?? origin;
      if (note.step === "sent" && servers.length < LISTED_MAX) servers.push(note.server);
      else if (note.step === "joined") isShared = true;
      else if (note.step === "local") origin = note.source;
      else if (note.step === "filtered") origin = note.filter;
      else if (note.step === "forwarded") ({ errors } = note);
    },
    ended(reply, elapsedMs) {
      const answers = reply?.answers ?? [];
      line(
        JSON.stringify({
          time,
          client: client.address,
          port: client.port,
          transport: client.transport,
          name: shownName(qname),
          type: typeName(qtype),
          rcode: reply === null ? null : rcodeName(reply.rcode),
          source: origin,
          servers,
          shared: isShared,
          answer_count: answers.length,
          answers: answers
            .slice(0, LISTED_MAX)
            .map((record) => `${typeName(record.type)} ${formatData(record)}`),
          errors: errors.map(({ code, text }) => `${code} ${text}`.trimEnd()),
          elapsed_ms: Math.round(elapsedMs * 1000) / 1000,
        }),
      );
    },
  };
};
