/** What a request still sends when its answer is made. */

/** How long the answer waits for the rest: Go's server leaves a connection open as long (rstAvoidanceDelay). */
const LINGER_MS = 500;
/** Octets that are read and dropped: what a handler may keep, too. Beyond, the connection is closed. */
const MAX_DROPPED_OCTETS = 64 * 1024 * 1024;

/**
 * Gives back the answer when the rest of the body was read and dropped, or LINGER_MS later. Bun closes a
 * connection whose request was answered before its end, and a client that still writes then sees a
 * broken pipe (3 of 60 uploads of 3 MB) in place of the answer, such as the 413 that refuses the body.
 */
export function afterBody(
  request: Request,
  reply: Response | Promise<Response>,
): Response | Promise<Response> {
  if (request.method === "GET") return reply;
  const { headers } = request;
  const announced = headers.get("Content-Length");
  if (announced === null ? !headers.has("Transfer-Encoding") : announced === "0") return reply;
  return dropped(request, reply);
}

async function dropped(request: Request, reply: Response | Promise<Response>): Promise<Response> {
  const response = await reply;
  const { body } = request;
  if (request.bodyUsed || body === null || body.locked) return response;
  const reader = body.getReader();
  const late = Promise.withResolvers<"late">();
  const timer = setTimeout(() => late.resolve("late"), LINGER_MS);
  try {
    for (let octets = 0; octets < MAX_DROPPED_OCTETS;) {
      const next = await Promise.race([reader.read(), late.promise]);
      if (next === "late" || next.done) break;
      octets += next.value.length;
    }
  } catch {
    // The client has gone, and needs no answer.
  } finally {
    clearTimeout(timer);
  }
  return response;
}
