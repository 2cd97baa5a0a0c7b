import type { ByteReader, ByteWriter } from "./bytes.ts";

/**
 * Writes bits into bytes, the most significant bit first. `finish` fills the last byte with zero bits; until then the
 * byte writer underneath must not be used.
 */
export class BitWriter {
  readonly #to: ByteWriter;
  #partial = 0;
  #filled = 0;

  constructor(to: ByteWriter) {
    this.#to = to;
  }

  bit(bit: number): void {
    this.bits(bit, 1);
  }

  /** The lowest `count` bits of `value`, 0 to 32 of them, highest first; `value` must fit. */
  bits(value: number, count: number): void {
    if (!(Number.isInteger(count) && count >= 0 && count <= 32)) {
      throw new RangeError(`bits: count must be a whole number from 0 to 32, got ${count}`);
    }
    if (!(Number.isInteger(value) && value >= 0 && value < 2 ** count)) {
      throw new RangeError(`bits: ${value} does not fit in ${count} bits`);
    }
    let left = count;
    while (left > 0) {
      const room = 8 - this.#filled;
      const now = Math.min(room, left);
      left -= now;
      // The next `now` bits of the value. Shift counts stay below 32 here: left is at most 31 when now is at least 1.
      const piece = (value >>> left) & (2 ** now - 1);
      this.#partial |= piece << (room - now);
      this.#filled += now;
      if (this.#filled === 8) this.#flush();
    }
  }

  finish(): void {
    if (this.#filled > 0) this.#flush();
  }

  #flush(): void {
    this.#to.u8(this.#partial);
    this.#partial = 0;
    this.#filled = 0;
  }
}

/**
 * Reads bits, the most significant bit first. `finish` checks that the unused bits of the last byte are zero; until
 * then the byte reader underneath stands at its old place and must not be used.
 */
export class BitReader {
  readonly #from: ByteReader;
  readonly #start: number;
  #used = 0;

  constructor(from: ByteReader) {
    this.#from = from;
    this.#start = from.position;
  }

  /** Bits not yet read, up to the end of the byte reader. */
  get remaining(): number {
    return 8 * this.#from.remaining - this.#used;
  }

  bit(): number {
    return this.bits(1);
  }

  /** The next `count` bits, 0 to 32 of them, as an unsigned number. */
  bits(count: number): number {
    const value = this.peek(count);
    this.skip(count);
    return value;
  }

  /** The next `count` bits (0 to 32) without passing them; zeros stand for what is beyond the end. */
  peek(count: number): number {
    const { source, end } = this.#from;
    let at = this.position;
    let have = 8 - (this.#used % 8);
    // At most 7 + 32 bits, which is more than a shift can hold: hence multiplication.
    let value = at < end ? source[at]! & (2 ** have - 1) : 0;
    while (have < count) {
      at += 1;
      value = value * 256 + (at < end ? source[at]! : 0);
      have += 8;
    }
    return Math.floor(value / 2 ** (have - count));
  }

  /** Passes `count` bits, all of which must be there. */
  skip(count: number): void {
    if (count > this.remaining) this.#from.fail("truncated", "bits: ends too early", this.#from.end);
    this.#used += count;
  }

  /** As `ByteReader.field`. A byte that two fields share belongs to the earlier one. */
  field(name: string): void {
    this.#from.field(name, this.#start + Math.ceil(this.#used / 8), (8 - (this.#used % 8)) % 8);
  }

  /** Refuses padding that is not zero, and puts the byte reader after the last byte used. */
  finish(): void {
    const padding = (8 - (this.#used % 8)) % 8;
    if (this.peek(padding) !== 0) {
      this.fail("padding", `bits: the last ${padding} bits of the byte must be zero`);
    }
    this.#from.skip(Math.ceil(this.#used / 8));
  }

  /** The byte that holds the next bit. */
  get position(): number {
    return this.#start + Math.floor(this.#used / 8);
  }

  /** Refuses what breaks a rule. `offset` is the byte that holds the first bit of the integer or step in question. */
  fail(code: string, message: string, offset: number = this.position): never {
    this.#from.fail(code, message, offset);
  }
}
