import type { ByteReader } from "./bytes.ts";

/**
 * A binary range coder: bits, each with the probability that it is 0, become a number in a range that shrinks with
 * every bit (G. N. N. Martin 1979, after J. Rissanen 1976). Format: section 7.4. The end costs one or two
 * bytes, often none: trailing zero bytes are not written, and the reader takes what is missing as zeros. So the bytes
 * of a coder are the rest of their section, whose length says where they end.
 */
export interface BitCoder {
  /**
   * Codes one bit. `zero` is the probability that it is 0, in 1/65536, from 1 to 65535. An encoder takes `bit` and
   * returns it; a decoder ignores it and returns the bit it finds. So one text can be the model of both.
   */
  code(bit: number, zero: number): number;
}

const full = 2 ** 32;

export class RangeEncoder implements BitCoder {
  #low = 0;
  #range = full - 1;
  #bytes = new Uint8Array(256);
  #length = 0;

  code(bit: number, zero: number): number {
    // "bound = floor(range / 2^16) * zero; a 0 keeps the range below the bound, a 1 the rest."
    const bound = (this.#range >>> 16) * zero;
    if (bit === 0) {
      this.#range = bound;
    } else {
      this.#low += bound;
      this.#range -= bound;
      if (this.#low >= full) this.#carry();
    }
    // "While the range is below 2^24: emit the top byte of low; low and range times 256, low modulo 2^32."
    while (this.#range < 2 ** 24) {
      this.#emit(Math.floor(this.#low / 2 ** 24));
      this.#low = (this.#low * 256) % full;
      this.#range *= 256;
    }
    return bit;
  }

  /** The bytes. "Of the numbers in the range, the one with most zero bits at its end; then no zero byte at the end." */
  finish(): Uint8Array {
    this.#low = roundest(this.#low, this.#range);
    if (this.#low >= full) this.#carry();
    for (let shift = 24; shift >= 0; shift -= 8) this.#emit((this.#low >>> shift) & 255);
    while (this.#length > 0 && this.#bytes[this.#length - 1] === 0) this.#length -= 1;
    return this.#bytes.slice(0, this.#length);
  }

  /** Adds 1 to the bytes already out. They never are all 255 here: the number as a whole stays below 1. */
  #carry(): void {
    this.#low -= full;
    let at = this.#length - 1;
    for (; this.#bytes[at] === 255; at--) this.#bytes[at] = 0;
    this.#bytes[at]! += 1;
  }

  #emit(byte: number): void {
    if (this.#length === this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#bytes.length);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes[this.#length++] = byte;
  }
}

export class RangeDecoder implements BitCoder {
  readonly #source: Uint8Array;
  readonly #start: number;
  readonly #end: number;
  #at: number;
  /** The encoder's low, carries apart: only the end needs it, to see that the encoder would have ended so. */
  #low = 0;
  #range = full - 1;
  /** What the bytes say, minus low: always below the range. */
  #code = 0;

  /** Reads the rest of `from`; `finish` takes it. */
  constructor(from: ByteReader) {
    this.#source = from.source;
    this.#start = from.position;
    this.#end = from.end;
    this.#at = from.position;
    for (let i = 0; i < 4; i++) this.#code = this.#code * 256 + this.#next();
    // "Four bytes of 255 are above every range."
    if (this.#code >= this.#range) from.fail("range-start", "range coder: the first four bytes must not all be 255");
  }

  code(_bit: number, zero: number): number {
    const bound = (this.#range >>> 16) * zero;
    let bit: number;
    if (this.#code < bound) {
      bit = 0;
      this.#range = bound;
    } else {
      bit = 1;
      this.#code -= bound;
      this.#range -= bound;
      this.#low += bound;
      if (this.#low >= full) this.#low -= full;
    }
    while (this.#range < 2 ** 24) {
      this.#code = this.#code * 256 + this.#next();
      this.#low = (this.#low * 256) % full;
      this.#range *= 256;
    }
    return bit;
  }

  /**
   * Passes the bytes, and refuses them unless they are what an encoder writes for the bits that were read. Encoding is
   * a function of the bits, and the encoder's last number differs from the one read only in how it was chosen from the
   * range: so it is enough that this is the roundest, that nothing follows it, and that no zero byte ends it.
   */
  finish(from: ByteReader): void {
    if (this.#at < this.#end) {
      from.fail("range-leftover", `range coder: ${this.#end - this.#at} bytes follow its end`, this.#at);
    }
    if (this.#end > this.#start && this.#source[this.#end - 1] === 0) {
      from.fail("range-zero", "range coder: the last byte must not be zero", this.#end - 1);
    }
    if (this.#low + this.#code !== roundest(this.#low, this.#range)) {
      from.fail("range-end", "range coder: ends with another number than the one with most zero bits", this.#end);
    }
    from.skip(this.#end - this.#start);
  }

  #next(): number {
    return this.#at < this.#end ? this.#source[this.#at++]! : 0;
  }
}

/** Of the numbers from `low` to `low + range - 1`, the one with most zero bits at its end; it may be 2^32. */
function roundest(low: number, range: number): number {
  for (let unit = full; ; unit /= 2) {
    const candidate = Math.ceil(low / unit) * unit;
    if (candidate < low + range) return candidate;
  }
}

/**
 * What a context has seen: the probability of 0 at two speeds, side by side. The fast one follows, the slow one is
 * exact; their mean does a little of both.
 */
export class Context {
  #fast = 32768;
  #slow = 32768;

  /** The probability of a 0, in 1/65536. */
  get zero(): number {
    return (this.#fast + this.#slow) >>> 1;
  }

  /** Codes a bit and learns from it. */
  code(coder: BitCoder, bit: number): number {
    const found = coder.code(bit, this.zero);
    if (found === 0) {
      this.#fast += (65536 - this.#fast) >> 4;
      this.#slow += (65536 - this.#slow) >> 7;
    } else {
      this.#fast -= this.#fast >> 4;
      this.#slow -= this.#slow >> 7;
    }
    return found;
  }
}
