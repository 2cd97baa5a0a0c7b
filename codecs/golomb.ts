import type { BitReader, BitWriter } from "./bits.ts";

/**
 * Elias gamma and exp-Golomb codes, and rows of small numbers coded by their steps. Format: section 7.5.
 * Every prefix is bounded by the largest value that the place allows, so that no input runs for ever.
 */

/** Bits of `value` from its highest one down: 1 for 1, 2 for 2 and 3, 3 for 4 to 7. */
export function width(value: number): number {
  return 32 - Math.clz32(value);
}

/** Elias gamma: width - 1 zeros, then the value itself. For 1 to 2^31 - 1. */
export function writeGamma(value: number, to: BitWriter): void {
  if (!(Number.isInteger(value) && value >= 1 && value < 2 ** 31)) {
    throw new RangeError(`gamma: must be a whole number from 1 to ${2 ** 31 - 1}, got ${value}`);
  }
  to.bits(0, width(value) - 1);
  to.bits(value, width(value));
}

/**
 * Refuses a value above `most` (code `golomb-range`); a prefix too long for `most` is refused before its end. `start`
 * is the byte where the integer begins that this is a part of.
 */
export function readGamma(from: BitReader, most: number, start: number = from.position): number {
  // Bits beyond the end look like zeros here; `skip` and `bits` below refuse to pass them.
  const zeros = Math.clz32(from.peek(32));
  if (zeros >= width(most)) {
    if (from.remaining < width(most)) from.skip(width(most));
    from.fail("golomb-range", `gamma: ${zeros} zeros or more before a value of at most ${most}`, start);
  }
  from.skip(zeros);
  const value = from.bits(zeros + 1);
  if (value > most) from.fail("golomb-range", `gamma: must be from 1 to ${most}, got ${value}`, start);
  return value;
}

export function gammaBits(value: number): number {
  return 2 * width(value) - 1;
}

/** Exp-Golomb of an order: the value without its lowest `order` bits, plus one, as Elias gamma; then those bits. */
export function writeExpGolomb(value: number, order: number, to: BitWriter): void {
  writeGamma((value >>> order) + 1, to);
  to.bits(value & (2 ** order - 1), order);
}

export function readExpGolomb(from: BitReader, order: number, most: number): number {
  const start = from.position;
  const value = (readGamma(from, (most >>> order) + 1, start) - 1) * 2 ** order + from.bits(order);
  if (value > most) from.fail("golomb-range", `exp-Golomb: must be from 0 to ${most}, got ${value}`, start);
  return value;
}

export function expGolombBits(value: number, order: number): number {
  return gammaBits((value >>> order) + 1) + order;
}

/** 0, 1, -1, 2, -2, … as 0, 1, 2, 3, 4, … */
function fold(step: number): number {
  return step > 0 ? 2 * step - 1 : -2 * step;
}

function unfold(folded: number): number {
  return folded % 2 === 1 ? (folded + 1) / 2 : -folded / 2;
}

/**
 * Writes a row of small numbers (code lengths, widths of frequencies), most of which differ little from the one
 * before; 0 stands for an absent entry. The end of the row is for the caller to know.
 */
export class StepWriter {
  readonly #to: BitWriter;
  readonly #field: number;
  #before = -1;
  #absent = 0;

  /** The first number takes `field` bits. */
  constructor(to: BitWriter, field: number) {
    this.#to = to;
    this.#field = field;
  }

  absent(): void {
    this.#absent += 1;
  }

  /** A number that is present. The first may be 0. */
  present(value: number): void {
    if (this.#before < 0) {
      writeGamma(this.#absent + 1, this.#to);
      this.#to.bits(value, this.#field);
    } else if (this.#absent > 0) {
      writeGamma(4, this.#to);
      writeGamma(this.#absent, this.#to);
      writeGamma(fold(value - this.#before) + 1, this.#to);
    } else {
      // 1, 2, 3: no step, one up, one down. 4 is taken by the absent entries, and larger steps come after it.
      const code = fold(value - this.#before) + 1;
      writeGamma(code < 4 ? code : code + 1, this.#to);
    }
    this.#before = value;
    this.#absent = 0;
  }
}

/** Undoes `StepWriter`. */
export class StepReader {
  readonly #from: BitReader;
  readonly #field: number;
  #before = -1;

  constructor(from: BitReader, field: number) {
    this.#from = from;
    this.#field = field;
  }

  /** How many absent entries come next (up to `mostAbsent`), and the number after them (`least` to `most`). */
  next(mostAbsent: number, least: number, most: number): { absent: number; value: number } {
    const start = this.#from.position;
    let absent = 0;
    let value: number;
    if (this.#before < 0) {
      absent = readGamma(this.#from, mostAbsent + 1) - 1;
      value = this.#from.bits(this.#field);
    } else {
      let code = readGamma(this.#from, 2 * most + 2);
      if (code === 4) {
        if (mostAbsent === 0) this.#from.fail("step-absent", "steps: absent entries reach past the last place", start);
        absent = readGamma(this.#from, mostAbsent);
        code = readGamma(this.#from, 2 * most + 1);
      } else if (code > 4) {
        code -= 1;
      }
      value = this.#before + unfold(code - 1);
    }
    if (!(value >= least && value <= most)) {
      this.#from.fail("step-range", `steps: must be from ${least} to ${most}, got ${value}`, start);
    }
    this.#before = value;
    return { absent, value };
  }
}
