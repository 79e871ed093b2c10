/** Eight tables of 256: what an octet does to the value, and what it does k octets further on. */
const TABLES = createTables();

/** CRC-32 as in ISO 3309 and zlib; `from` continues the value of earlier octets. */
export function crc32(octets: Uint8Array, from = 0): number {
  let crc = ~from;
  let i = 0;
  // Eight octets a time ("slicing by 8"): four times as fast as one by one.
  for (const end = octets.length - 7; i < end; i += 8) {
    const low =
      crc ^ (octets[i]! | (octets[i + 1]! << 8) | (octets[i + 2]! << 16) | (octets[i + 3]! << 24));
    crc =
      TABLES[1792 + (low & 255)]! ^
      TABLES[1536 + ((low >>> 8) & 255)]! ^
      TABLES[1280 + ((low >>> 16) & 255)]! ^
      TABLES[1024 + (low >>> 24)]! ^
      TABLES[768 + octets[i + 4]!]! ^
      TABLES[512 + octets[i + 5]!]! ^
      TABLES[256 + octets[i + 6]!]! ^
      TABLES[octets[i + 7]!]!;
  }
  for (; i < octets.length; i++) crc = TABLES[(crc ^ octets[i]!) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

function createTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let octet = 0; octet < 256; octet++) {
    let crc = octet;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    tables[octet] = crc;
  }
  for (let i = 256; i < tables.length; i++) {
    const before = tables[i - 256]!;
    tables[i] = tables[before & 255]! ^ (before >>> 8);
  }
  return tables;
}
