import type { ByteReader, ByteWriter } from "./bytes.ts";

/**
 * What no text of a file may hold, as it could change what a terminal or a page shows around it: control characters,
 * line and paragraph separators, marks and overrides of direction, the byte order mark. Format: section 1.5.
 */
const forbidden = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/;
const loneSurrogate = /\p{Surrogate}/u;

/** Throws RangeError for text that the format cannot hold: `most` counts bytes of UTF-8. */
export function writeText(text: string, most: number, to: ByteWriter, name: string): void {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length === 0 || bytes.length > most) {
    throw new RangeError(`${name}: must be 1 to ${most} bytes of text, got ${bytes.length}`);
  }
  if (forbidden.test(text) || loneSurrogate.test(text)) {
    throw new RangeError(`${name}: must not hold control characters, got ${JSON.stringify(text)}`);
  }
  to.varint(bytes.length);
  to.bytes(bytes);
}

/** "The number of bytes, then as many bytes of UTF-8." */
export function readText(from: ByteReader, most: number, name: string): string {
  const length = from.varint({ min: 1, max: most, name });
  const start = from.position;
  const bytes = from.bytes(length);
  let text: string;
  try {
    // A copy: TextDecoder refuses shared memory in some browsers.
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.slice());
  } catch {
    return from.fail("text-utf8", `${name}: is not UTF-8`, start);
  }
  if (forbidden.test(text)) from.fail("text-control", `${name}: holds a control character`, start);
  from.note(JSON.stringify(text));
  return text;
}
