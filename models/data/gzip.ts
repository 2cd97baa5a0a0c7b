import { DataError } from "./error.ts";

/** No deflate stream gives more than this many bytes per byte: a match of 258 for two bits. */
const MAX_RATIO = 1032;

/** Whether these bytes begin as a gzip file does. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes.length >= 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/**
 * Decompresses one gzip member (RFC 1952) that fills `bytes` exactly; messages begin with `name`. The length that its
 * last four bytes declare is checked before anything is allocated, and no more than that is ever kept. It must also
 * hold: engines differ in what they let pass after the end of a member, and so none of it does. DataError `gzip-limit`
 * where more than `limit` bytes are declared, `gzip-damaged` for everything else.
 */
export async function gunzip(name: string, bytes: Uint8Array, limit: number): Promise<Uint8Array> {
  const damaged = () =>
    new DataError("gzip-damaged", `${name}: the gzip data is damaged, cut short or followed by other bytes`);
  const trailer = bytes.length - 4;
  if (trailer < 0) throw damaged();
  const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(trailer, true);
  if (size > MAX_RATIO * bytes.length) throw damaged();
  if (size > limit) {
    throw new DataError("gzip-limit", `${name}: the gzip data holds ${size} bytes, the limit is ${limit}`, trailer);
  }

  const out = new Uint8Array(size);
  let filled = 0;
  const stream = new Blob([new Uint8Array(bytes)]).stream().pipeThrough(new DecompressionStream("gzip"));
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw damaged();
    });
    if (done) break;
    if (filled + value.length > size) {
      // Whether the rest can be read no longer matters.
      await reader.cancel().catch(() => undefined);
      throw damaged();
    }
    out.set(value, filled);
    filled += value.length;
  }
  if (filled < size) throw damaged();
  return out;
}
