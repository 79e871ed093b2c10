const TABLE = Uint32Array.from({ length: 256 }, (_, octet) => {
  let crc = octet;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

/** CRC-32 as in ISO 3309 and zlib; `from` continues the value of earlier octets. */
export function crc32(octets: Uint8Array, from = 0): number {
  let crc = ~from;
  for (let i = 0; i < octets.length; i++) crc = TABLE[(crc ^ octets[i]!) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
