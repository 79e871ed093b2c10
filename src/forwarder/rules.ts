/**
 * Which names a rule is for, and the table that finds the rule of a name: the longest match wins, as in
 * dnsmasq's `--server` and `--address`. Names are wire names in lower case.
 */

/**
 * `suffix`: the name itself and everything below it (the root: every name). `below`: what is below it
 * only. `text`: names whose text ends so, also inside a label: `google.com` for www.google.com and
 * supergoogle.com. `single label`: names without a dot. `reverse`: names of addresses in this network,
 * whose prefix may have any length; `address` has 4 or 16 octets, and no bit set behind the first `bits`.
 */
export type NameMatch =
  | { readonly kind: "suffix" | "below" | "text"; readonly name: Uint8Array }
  | { readonly kind: "single label" }
  | { readonly kind: "reverse"; readonly address: Uint8Array; readonly bits: number };
