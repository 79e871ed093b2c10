/** Where domain names sit in the RDATA of the types that have them. */

/**
 * `prefixOctets` fixed octets, then `stringCount` character-strings, then `nameCount` names, then
 * `suffixOctets` fixed octets and nothing else. `compress`: the names may be sent compressed, which
 * RFC 3597 section 4 leaves to the types of RFC 1035. `-1` suffix octets: any number.
 */
export type NameLayout = {
  prefixOctets: number;
  stringCount: number;
  nameCount: number;
  suffixOctets: number;
  compress: boolean;
};

const layout = (
  prefixOctets: number,
  nameCount: number,
  suffixOctets = 0,
  compress = false,
  stringCount = 0,
): NameLayout => ({ prefixOctets, stringCount, nameCount, suffixOctets, compress });

const one = layout(0, 1, 0, true);
const preferenceAndName = layout(2, 1);

/** Types that RFC 1035 defines, and those that RFC 3597 section 4 wants decompressed on receipt. */
const LAYOUTS: (NameLayout | undefined)[] = [];
for (const type of [2, 3, 4, 5, 7, 8, 9, 12]) LAYOUTS[type] = one; // NS MD MF CNAME MB MG MR PTR
LAYOUTS[6] = layout(0, 2, 20, true); // SOA
LAYOUTS[14] = layout(0, 2, 0, true); // MINFO
LAYOUTS[15] = layout(2, 1, 0, true); // MX
LAYOUTS[17] = layout(0, 2); // RP
LAYOUTS[18] = preferenceAndName; // AFSDB
LAYOUTS[21] = preferenceAndName; // RT
LAYOUTS[26] = layout(2, 2); // PX
LAYOUTS[30] = layout(0, 1, -1); // NXT
LAYOUTS[33] = layout(6, 1); // SRV
LAYOUTS[35] = layout(4, 1, 0, false, 3); // NAPTR
LAYOUTS[36] = preferenceAndName; // KX
LAYOUTS[39] = layout(0, 1); // DNAME
for (let type = 0; type < 64; type++) LAYOUTS[type] ??= undefined;

/** Layout of a type with names in its RDATA; undefined for all others. */
export function nameLayout(type: number): NameLayout | undefined {
  return type < 64 ? LAYOUTS[type] : undefined;
}
