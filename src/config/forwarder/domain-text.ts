/** Domain names as people write them in configurations and hosts files. */
import { domainToASCII } from "node:url";

/**
 * The name with labels of other scripts in the form that questions have (`bücher` is `xn--bcher-kva`,
 * RFC 5890); a label with a wildcard in it, and one that has no such form, stays as it is.
 */
export function asciiDomain(text: string): string {
  if (!hasOtherScript(text)) return text;
  return text
    .split(".")
    .map((label) =>
      hasOtherScript(label) && !label.includes("*") ? domainToASCII(label) || label : label,
    )
    .join(".");
}

function hasOtherScript(text: string): boolean {
  return /[^\0-\x7f]/u.test(text);
}
