import { parametersOf } from "../lib/architectures.ts";
import { sizeOf } from "../lib/shape.ts";
import { type Mark, Trace } from "./bytes.ts";
import type { Limits } from "./codec.ts";
import { type Coded, valuesOf } from "./coded.ts";
import { read, type Unpacked } from "./container.ts";

/** A run of bytes and what it is for. */
export interface ByteRange {
  /** The first byte, and the one after the last. */
  readonly start: number;
  readonly end: number;
  /** From the whole to the part, as ["section 2", "indices", "code lengths"]. */
  readonly path: readonly string[];
  /** The value in words, where there is one. */
  readonly note?: string | undefined;
}

/** A field to the bit: those of a row of bits may share a byte, which `ByteRange` gives to the earlier one. */
export interface Field {
  /** The first bit, counted from the highest of the first byte, and the one after the last. */
  readonly start: number;
  readonly end: number;
  /** As in `ByteRange`. */
  readonly path: readonly string[];
  readonly note?: string | undefined;
}

/** A part of the file (the head, the graph, a section, the metadata, the checksum) and the bytes it takes. */
export interface PartReport {
  readonly name: string;
  readonly bytes: number;
  /** The bytes of each of its fields, largest first. */
  readonly fields: readonly { readonly name: string; readonly bytes: number }[];
}

export interface TensorReport {
  readonly name: string;
  readonly shape: readonly number[];
  /** Numbers in the tensor, and how many of them are not zero. */
  readonly count: number;
  readonly nonzero: number;
  /** The section that holds it, from 1; its bytes may be shared with other tensors. */
  readonly section: number;
  readonly method: Coded["method"];
  /** Its share of the section's bytes by count of numbers, in bits per number. */
  readonly bitsPerNumber: number;
}

export interface Inspection {
  readonly file: Unpacked;
  readonly bytes: number;
  /** Every byte of the file once, in order. */
  readonly ranges: readonly ByteRange[];
  /** Every bit of the file once, in order. */
  readonly fields: readonly Field[];
  /** The same bytes, added up. */
  readonly parts: readonly PartReport[];
  readonly tensors: readonly TensorReport[];
}

/** What every byte of a file is for, as the reader itself saw it. Throws FormatError as `unpack` does. */
export function inspect(bytes: Uint8Array, limits: Partial<Limits> = {}): Inspection {
  const trace = new Trace();
  const file = read(bytes, limits, trace);
  const ranges = extents(trace.marks, ({ offset }) => offset, bytes.length);
  const fields = extents(trace.marks, ({ offset, early = 0 }) => 8 * offset - early, 8 * bytes.length);
  const parts = partsOf(ranges);
  return { file, bytes: bytes.length, ranges, fields, parts, tensors: tensorsOf(file, parts) };
}

/** A field lasts until the next one begins; one that takes nothing is left out. */
function extents(marks: readonly Mark[], startOf: (mark: Mark) => number, size: number): Field[] {
  return marks
    .map((mark, i) => {
      const next = marks[i + 1];
      return {
        start: startOf(mark),
        end: next === undefined ? size : startOf(next),
        path: mark.path,
        note: mark.note,
      };
    })
    .filter(({ start, end }) => end > start);
}

/** Text of a file is somebody else's: characters that a terminal or a page would obey are spelled out. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}

/** The name under which `inspect` shows a section. Counts from 1. */
export function sectionName(number: number): string {
  return `section ${number}`;
}

function partsOf(ranges: readonly ByteRange[]): PartReport[] {
  const parts = new Map<string, Map<string, number>>();
  for (const { start, end, path } of ranges) {
    // What stands at the top by itself is the container's own.
    const [part, field] = path.length === 1 ? ["container", path[0]!] : [path[0]!, path.slice(1).join(", ")];
    const fields = parts.get(part) ?? new Map<string, number>();
    fields.set(field, (fields.get(field) ?? 0) + end - start);
    parts.set(part, fields);
  }
  return [...parts].map(([name, fields]) => ({
    name,
    bytes: [...fields.values()].reduce((sum, bytes) => sum + bytes, 0),
    fields: [...fields].map(([name, bytes]) => ({ name, bytes })).sort((a, b) => b.bytes - a.bytes),
  }));
}

function tensorsOf({ network, sections }: Unpacked, parts: readonly PartReport[]): TensorReport[] {
  const parameters = parametersOf(network);
  const reports = new Map<string, TensorReport>();
  sections.forEach(({ tensors, coded }, i) => {
    const values = valuesOf(coded);
    const bytes = parts.find(({ name }) => name === sectionName(i + 1))!.bytes;
    let at = 0;
    for (const { name, shape } of parameters.filter((parameter) => tensors.includes(parameter.name))) {
      const count = sizeOf(shape);
      const nonzero = values.subarray(at, at + count).reduce((sum, value) => sum + (value === 0 ? 0 : 1), 0);
      const bitsPerNumber = (8 * bytes) / values.length;
      reports.set(name, { name, shape, count, nonzero, section: i + 1, method: coded.method, bitsPerNumber });
      at += count;
    }
  });
  return parameters.map(({ name }) => reports.get(name)!);
}
