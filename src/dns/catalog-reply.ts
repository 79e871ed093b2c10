/** The reply to a question that the catalog answers: header, what fits, OPT. */
import { EDE, replyOpt, withErrors } from "./edns.ts";
import { encodeMessage } from "./encode.ts";
import type { Answer } from "./reading.ts";
import type { Request } from "./request.ts";
import { FLAG, RCODE, type Message } from "./rr.ts";
import type { Prepared } from "./settings.ts";
import { effectivePayload, fitTcp, fitUdp, mostOctets } from "./size.ts";

/** `whole`: all that there is to say; `sent`: what is in the reply. `isCut`: something had to be left out. */
export type CatalogReply = { wire: Uint8Array; whole: Message; sent: Message; isCut: boolean };

/** `isStale`: some of it has outlived its TTL, which clients with EDNS are told. */
export function catalogReply(
  request: Request,
  answer: Answer,
  { settings, isStream, isStale }: { settings: Prepared; isStream: boolean; isStale: boolean },
): CatalogReply {
  const { disableCompression, enableTruncate, recursorsConfigured, udpAnswerLimit } = settings;
  const whole: Message = {
    id: request.id,
    flags:
      FLAG.QR |
      FLAG.AA |
      (request.opcode << 11) |
      request.flags |
      (recursorsConfigured ? FLAG.RA : 0) |
      answer.rcode,
    question: request.question,
    answers: answer.answers,
    authority: answer.authority,
    additional: answer.additional,
  };
  const scoped = answer.dependsOnClient && answer.rcode === RCODE.NOERROR;
  const opt = replyOpt(request, scoped);
  if (isStale && opt !== null)
    opt.options = withErrors(opt.options, [{ code: EDE.STALE_ANSWER, text: "" }]);
  const compress = !disableCompression;
  const payload = effectivePayload(request.opt);
  const limited =
    answer.answerLimit > 0 && answer.answers.length > answer.answerLimit
      ? { ...whole, answers: answer.answers.slice(0, answer.answerLimit) }
      : whole;
  const fitted = isStream
    ? fitTcp(limited, opt, request.qtype, compress)
    : fitUdp(limited, opt, payload, {
        udpAnswerLimit,
        compress,
        mostOctets: mostOctets(request, payload),
      });
  const { cut: isCut } = fitted;
  const sent =
    isCut && (enableTruncate || !fitted.isLeft)
      ? { ...fitted.message, flags: whole.flags | FLAG.TC }
      : fitted.message;
  return { wire: encodeMessage(sent, { compress, opt: fitted.opt }), whole, sent, isCut };
}
