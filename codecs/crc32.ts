/** Remainders of all bytes, for the reflected polynomial 0xEDB88320. */
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = remainder & 1 ? (remainder >>> 1) ^ 0xedb88320 : remainder >>> 1;
  return remainder;
});

/**
 * CRC-32 as in zlib, PNG and Ethernet, of the bytes from `start` up to `end`. Format: section 1.4.
 * Finds accidents, not intent: it is no signature.
 */
export function crc32(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  let remainder = 0xffffffff;
  for (let i = start; i < end; i++) remainder = table[(remainder ^ bytes[i]!) & 255]! ^ (remainder >>> 8);
  return ~remainder >>> 0;
}
