import { crc32 } from "../../codecs/crc32.ts";
import { inspect } from "../../codecs/inspect.ts";

/** The bytes of one field of a file, as the reader saw them. */
export interface Piece {
  readonly bytes: Uint8Array;
  /** What it is called, the last name of its path. */
  readonly name: string;
  /** Its section, told apart from those of other files too; 0 for what stands outside of sections. */
  readonly section: number;
}

let sections = 0;

/** A file, field by field. */
export function takeApart(bytes: Uint8Array): Piece[] {
  const numbers = new Map<string, number>();
  return inspect(bytes).ranges.map(({ start, end, path }) => {
    const inSection = path.length > 1 && path[0]!.startsWith("section ");
    if (inSection && !numbers.has(path[0]!)) numbers.set(path[0]!, (sections += 1));
    return {
      bytes: bytes.slice(start, end),
      name: path.at(-1)!,
      section: inSection ? numbers.get(path[0]!)! : 0,
    };
  });
}

/**
 * The file that these fields are, with every checksum made right: that of a section over what stands before it in the
 * section, any other over all that stands before it. So a change is seen by the rule it breaks, and not by a CRC alone.
 * With `lengths`, the lengths of sections are made right too.
 */
export function putTogether(pieces: readonly Piece[], { lengths }: { readonly lengths: boolean }): Uint8Array {
  const fields = pieces.map(({ bytes }) => bytes);
  if (lengths) {
    pieces.forEach(({ name, section }, i) => {
      if (name !== "length" || section === 0) return;
      let size = 0;
      for (let k = i + 1; pieces[k]?.section === section && pieces[k]!.name !== "checksum"; k++) {
        size += pieces[k]!.bytes.length;
      }
      fields[i] = varint(size);
    });
  }
  const file = new Uint8Array(fields.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  let sectionStart = 0;
  pieces.forEach(({ name, section, bytes }, i) => {
    if (section !== pieces[i - 1]?.section) sectionStart = at;
    file.set(fields[i]!, at);
    if (name === "checksum" && bytes.length === 4) {
      const sum = crc32(file, section === 0 ? 0 : sectionStart, at);
      new DataView(file.buffer).setUint32(at, sum, true);
    }
    at += fields[i]!.length;
  });
  return file;
}

/** The one spelling of a whole number, or with `extra` bytes more than it needs. */
export function varint(value: number, extra = 0): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  bytes.push(rest);
  for (let i = 0; i < extra; i++) {
    bytes[bytes.length - 1]! += 128;
    bytes.push(0);
  }
  return Uint8Array.from(bytes);
}

/** The number that a field begins with, and how many bytes it takes; undefined if it begins with none. */
export function leadingVarint(bytes: Uint8Array): { readonly value: number; readonly length: number } | undefined {
  let value = 0;
  for (let i = 0; i < Math.min(bytes.length, 7); i++) {
    value += (bytes[i]! & 127) * 128 ** i;
    if (bytes[i]! < 128) return { value, length: i + 1 };
  }
  return undefined;
}
