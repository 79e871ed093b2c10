/** Lists leave out what the caller may not read: how an answer knows that something was. */
import type { Authorizer } from "../cluster/acl.ts";

/** The same rights; `onRefused` is called whenever one to read a thing that lists hold is missing. */
export function noteRefusals(rights: Authorizer, onRefused: () => void): Authorizer {
  const note = (isAllowed: boolean): boolean => {
    if (!isAllowed) onRefused();
    return isAllowed;
  };
  return {
    ...rights,
    keyRead: (key) => note(rights.keyRead(key)),
    nodeRead: (node) => note(rights.nodeRead(node)),
    serviceRead: (service) => note(rights.serviceRead(service)),
    sessionRead: (node) => note(rights.sessionRead(node)),
    queryRead: (name) => note(rights.queryRead(name)),
    eventRead: (name) => note(rights.eventRead(name)),
  };
}
