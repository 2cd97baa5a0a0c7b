import { BitReader, BitWriter } from "./bits.ts";
import { type ByteReader, ByteWriter } from "./bytes.ts";
import type { Budget, Codec } from "./codec.ts";
import { expGolombBits, readExpGolomb, writeExpGolomb } from "./golomb.ts";
import { chooseHuffman, huffman } from "./huffman.ts";

/** Which places of a row are taken, and how that is spelled. Format: section 9. */
export interface Sparse {
  form: SparseForm;
  /** Rising. */
  positions: Uint32Array;
}

/**
 * - `plain`: no position is taken, or every one: the count says it all.
 * - `bitmap`: one bit per place.
 * - `relative`: gaps in `width` bits (1 to 15) with fillers (S. Han et al. 2015, section 2).
 * - `golomb`: gaps - 1 in exp-Golomb codes of an order (0 to 15; order 0 is Elias gamma of the gap).
 * - `huffman`: the entries of `relative` (`width` 1 to 11) in Huffman codes of these lengths.
 */
export type SparseForm =
  | { kind: "plain" }
  | { kind: "bitmap" }
  | { kind: "relative"; width: number }
  | { kind: "golomb"; order: number }
  | { kind: "huffman"; width: number; lengths: Uint8Array };

const kinds = ["bitmap", "relative", "golomb", "huffman"] as const;
const ranges = { bitmap: [0, 0], relative: [1, 15], golomb: [0, 15], huffman: [1, 11] } as const;

/** The positions taken in a row of `length` places, at most 2^31 - 1. */
export function sparse({ length }: { length: number }): Codec<Sparse> {
  if (!(Number.isInteger(length) && length >= 0 && length < 2 ** 31)) {
    throw new RangeError(`sparse: length must be a whole number below 2^31, got ${length}`);
  }
  return {
    tag: 0x13,
    name: "sparse",

    write({ form, positions }, to) {
      positions.forEach((position, i) => {
        if (position >= length || (i > 0 && position <= positions[i - 1]!)) {
          throw new RangeError(`sparse: positions must rise and stay below ${length}, got ${position} at ${i}`);
        }
      });
      // "How many positions; if that is neither 0 nor `length`, a byte kind * 16 + parameter, and what it announces."
      to.varint(positions.length);
      const isPlain = positions.length === 0 || positions.length === length;
      if (isPlain !== (form.kind === "plain")) {
        throw new RangeError(
          `sparse: ${positions.length} of ${length} positions do not go with the form "${form.kind}"`,
        );
      }
      if (form.kind === "plain") return;
      const parameter = form.kind === "bitmap" ? 0 : form.kind === "golomb" ? form.order : form.width;
      const [least, most] = ranges[form.kind];
      if (!(Number.isInteger(parameter) && parameter >= least && parameter <= most)) {
        throw new RangeError(`sparse: ${form.kind} takes a whole number from ${least} to ${most}, got ${parameter}`);
      }
      to.u8(kinds.indexOf(form.kind) * 16 + parameter);
      switch (form.kind) {
        case "bitmap":
          return writeBitmap(positions, length, to);
        case "relative":
          return writeRelative(positions, form.width, to);
        case "golomb":
          return writeGolomb(positions, form.order, to);
        case "huffman":
          return writeHuffman(positions, form.width, form.lengths, to);
      }
    },

    read(from, budget) {
      const countAt = from.position;
      const count = from.varint({ max: length, name: "positions taken" });
      const positions = budget.uint32(count);
      if (count === 0 || count === length) {
        return { form: { kind: "plain" }, positions: positions.map((_, i) => i) };
      }
      const start = from.position;
      const byte = from.u8("form");
      const kind = kinds[byte >>> 4];
      const parameter = byte & 15;
      if (kind === undefined) from.fail("sparse-form", `sparse: there is no form ${byte >>> 4}`, start);
      const [least, most] = ranges[kind];
      if (parameter < least || parameter > most) {
        from.fail("sparse-form", `sparse: ${kind} takes a number from ${least} to ${most}, got ${parameter}`, start);
      }
      from.note(kind === "bitmap" ? kind : `${kind}, ${parameter}`);
      from.field("positions");
      switch (kind) {
        case "bitmap":
          readBitmap(from, positions, length, countAt);
          return { form: { kind }, positions };
        case "relative":
          readRelative(from, positions, length, parameter);
          return { form: { kind, width: parameter }, positions };
        case "golomb":
          readGolomb(from, positions, length, parameter);
          return { form: { kind, order: parameter }, positions };
        case "huffman": {
          const lengths = readHuffman(from, positions, length, parameter, budget);
          return { form: { kind, width: parameter, lengths }, positions };
        }
      }
    },
  };
}

/** Spells positions in the form that takes the fewest bytes; of equal ones the first in the order of the format. */
export function chooseSparse(positions: Uint32Array, length: number): Sparse {
  if (positions.length === 0 || positions.length === length) return { form: { kind: "plain" }, positions };
  const gaps = gapsOf(positions);
  let best: { form: SparseForm; bytes: number } = { form: { kind: "bitmap" }, bytes: Math.ceil(length / 8) };
  const offer = (form: SparseForm, bytes: number): void => {
    if (bytes < best.bytes) best = { form, bytes };
  };
  for (let width = 1; width <= 15; width++) {
    let bits = 0;
    for (const gap of gaps) {
      const fillers = Math.floor((gap - 1) / 2 ** width);
      bits += fillers * (width + 1) + width + Number(gap - fillers * 2 ** width === 2 ** width);
    }
    offer({ kind: "relative", width }, Math.ceil(bits / 8));
  }
  for (let order = 0; order <= 15; order++) {
    let bits = 0;
    for (const gap of gaps) bits += expGolombBits(gap - 1, order);
    offer({ kind: "golomb", order }, Math.ceil(bits / 8));
  }
  for (let width = 1; width <= 11; width++) {
    // So many fillers cost more than a wider entry, and could be very many.
    const fillers = gaps.reduce((sum, gap) => sum + Math.floor((gap - 1) / 2 ** width), 0);
    if (fillers > 8 * gaps.length + 64) continue;
    const { lengths } = chooseHuffman(entriesOf(gaps, width), 2 ** width + 1);
    const to = new ByteWriter();
    writeHuffman(positions, width, lengths, to);
    offer({ kind: "huffman", width, lengths }, to.length);
  }
  return { form: best.form, positions };
}

/** The places of the numbers that are not 0. */
export function nonzeroPositions(values: ArrayLike<number>): Uint32Array {
  const positions: number[] = [];
  for (let i = 0; i < values.length; i++) if (values[i] !== 0) positions.push(i);
  return Uint32Array.from(positions);
}

/** Each position minus the one before; the first counts from -1, so that a gap of 1 always means "the next place". */
export function gapsOf(positions: Uint32Array): Uint32Array {
  return positions.map((position, i) => position - (i === 0 ? -1 : positions[i - 1]!));
}

/**
 * Gaps as entries of `width` bits: the entry e < 2^width stands for the gap e + 1, and 2^width is the filler: 2^width
 * places on, and nothing is there. As many fillers as it takes go before the entry of a larger gap.
 */
export function entriesOf(gaps: Uint32Array, width: number): Uint32Array {
  const filler = 2 ** width;
  const entries: number[] = [];
  for (const gap of gaps) {
    let left = gap;
    for (; left > filler; left -= filler) entries.push(filler);
    entries.push(left - 1);
  }
  return Uint32Array.from(entries);
}

/** `previous` + `gap`, which must be in the row; `start` is where the entry begins that says so. */
function advance(
  from: { fail(code: string, message: string, offset: number): never },
  previous: number,
  gap: number,
  length: number,
  start: number,
): number {
  const position = previous + gap;
  if (position >= length) {
    from.fail("sparse-position", `sparse: position ${position} is past the last of ${length}`, start);
  }
  return position;
}

// "bitmap: one bit per place, 1 where it is taken."

function writeBitmap(positions: Uint32Array, length: number, to: ByteWriter): void {
  const bytes = new Uint8Array(Math.ceil(length / 8));
  for (const position of positions) bytes[position >>> 3]! |= 128 >>> (position & 7);
  to.bytes(bytes);
}

function readBitmap(from: ByteReader, positions: Uint32Array, length: number, countAt: number): void {
  const bytes = from.bytes(Math.ceil(length / 8));
  // "In a bitmap, the bits after the last place are zero, and as many are 1 as there are positions."
  if (length % 8 > 0 && (bytes.at(-1)! & (255 >>> (length % 8))) !== 0) {
    from.fail("padding", "sparse: the bits after the last place must be zero", from.position - 1);
  }
  let found = 0;
  for (let position = 0; position < length; position++) {
    if ((bytes[position >>> 3]! & (128 >>> (position & 7))) === 0) continue;
    if (found < positions.length) positions[found] = position;
    found += 1;
  }
  if (found !== positions.length) {
    from.fail("sparse-count", `sparse: expected ${positions.length} positions, the bitmap has ${found}`, countAt);
  }
}

// "relative: per entry `width` bits; after `width` ones, another bit: 1 for the entry 2^width - 1, 0 for the filler."
// In the paper the value that goes with it, a zero, tells a filler; here positions travel alone.

function writeRelative(positions: Uint32Array, width: number, to: ByteWriter): void {
  const bits = new BitWriter(to);
  const last = 2 ** width - 1;
  for (const entry of entriesOf(gapsOf(positions), width)) {
    bits.bits(Math.min(entry, last), width);
    if (entry >= last) bits.bit(entry === last ? 1 : 0);
  }
  bits.finish();
}

function readRelative(from: ByteReader, positions: Uint32Array, length: number, width: number): void {
  const bits = new BitReader(from);
  const last = 2 ** width - 1;
  let previous = -1;
  for (let i = 0; i < positions.length; i++) {
    let start = bits.position;
    let entry = bits.bits(width);
    while (entry === last && bits.bit() === 0) {
      previous = advance(bits, previous, last + 1, length, start);
      start = bits.position;
      entry = bits.bits(width);
    }
    previous = advance(bits, previous, entry + 1, length, start);
    positions[i] = previous;
  }
  bits.finish();
}

// "golomb: gap - 1 in exp-Golomb codes."

function writeGolomb(positions: Uint32Array, order: number, to: ByteWriter): void {
  const bits = new BitWriter(to);
  for (const gap of gapsOf(positions)) writeExpGolomb(gap - 1, order, bits);
  bits.finish();
}

function readGolomb(from: ByteReader, positions: Uint32Array, length: number, order: number): void {
  const bits = new BitReader(from);
  let previous = -1;
  for (let i = 0; i < positions.length; i++) {
    const start = bits.position;
    previous = advance(bits, previous, readExpGolomb(bits, order, length) + 1, length, start);
    positions[i] = previous;
  }
  bits.finish();
}

// "huffman: how many fillers there are, then the entries as section Huffman says, with an alphabet of 2^width + 1."

function writeHuffman(positions: Uint32Array, width: number, lengths: Uint8Array, to: ByteWriter): void {
  const entries = entriesOf(gapsOf(positions), width);
  to.varint(entries.length - positions.length);
  const codec = huffman({ count: entries.length, alphabet: 2 ** width + 1 });
  codec.write({ lengths, symbols: Uint16Array.from(entries) }, to);
}

function readHuffman(
  from: ByteReader,
  positions: Uint32Array,
  length: number,
  width: number,
  budget: Budget,
): Uint8Array {
  const filler = 2 ** width;
  const fillersAt = from.position;
  const fillers = from.varint({ max: Math.floor(length / filler), name: "fillers" });
  const codec = huffman({ count: positions.length + fillers, alphabet: filler + 1 });
  // Codes have no places that a reader of two at once could name: a rule over entries names where they begin.
  const start = from.position;
  const { lengths, symbols } = codec.read(from, budget);
  let previous = -1;
  let found = 0;
  for (const entry of symbols) {
    previous = advance(from, previous, entry === filler ? filler : entry + 1, length, start);
    if (entry === filler) continue;
    if (found < positions.length) positions[found] = previous;
    found += 1;
  }
  if (found !== positions.length) {
    from.fail("sparse-count", `sparse: expected ${fillers} fillers, found ${symbols.length - found}`, fillersAt);
  }
  if (symbols.at(-1) === filler) from.fail("sparse-filler", "sparse: a filler with nothing after it", start);
  return lengths;
}
