/**
 * CRC-32C (Castagnoli; RFC 3720 appendix B.4): the checksum that a PROXY header of version 2 may carry.
 */

/** The checksum of `bytes`, as if those from `from` to `to` were zero. */
export function crc32c(bytes: Uint8Array, from = 0, to = 0): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) {
    const byte = i >= from && i < to ? 0 : bytes[i] ?? 0;
    crc = (TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** The generator polynomial, its bits reversed. */
const POLYNOMIAL = 0x82f63b78;
/** The checksum's change for each value of an octet. */
const TABLE = Uint32Array.from({ length: 256 }, (_, octet) => {
  let crc = octet;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ POLYNOMIAL;
  return crc;
});
