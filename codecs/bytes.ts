import { FormatError } from "./codec.ts";

const largestInteger = Number.MAX_SAFE_INTEGER;

/** Appends numbers to a growing row of bytes: little-endian, each with one spelling. Format: section 1. */
export class ByteWriter {
  #bytes = new Uint8Array(256);
  #length = 0;
  readonly #word = new DataView(new ArrayBuffer(8));

  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    this.#unsigned(value, 1);
  }

  u16(value: number): void {
    this.#unsigned(value, 2);
  }

  u32(value: number): void {
    this.#unsigned(value, 4);
  }

  /** Unsigned LEB128: seven bits per byte, lowest first, the top bit says that more follow. Up to 2^53 - 1. */
  varint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`varint: must be a whole number from 0 to ${largestInteger}, got ${value}`);
    }
    let rest = value;
    // Division instead of shifts: a shift would keep 32 bits only.
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.u8((rest % 128) + 128);
    this.u8(rest);
  }

  /** The nearest float32 to `value`. A NaN may lose its payload: `float32Bits` keeps it. */
  float32(value: number): void {
    this.#word.setFloat32(0, value, true);
    this.u32(this.#word.getUint32(0, true));
  }

  float32Bits(bits: number): void {
    this.u32(bits);
  }

  float64(value: number): void {
    this.#word.setFloat64(0, value, true);
    this.u32(this.#word.getUint32(0, true));
    this.u32(this.#word.getUint32(4, true));
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** A copy of everything written so far; the writer may go on. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  #unsigned(value: number, width: 1 | 2 | 4): void {
    if (!(Number.isInteger(value) && value >= 0 && value < 2 ** (8 * width))) {
      throw new RangeError(`u${8 * width}: must be a whole number from 0 to ${2 ** (8 * width) - 1}, got ${value}`);
    }
    this.#reserve(width);
    for (let i = 0; i < width; i++) this.#bytes[this.#length++] = value >>> (8 * i);
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length + more));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

/** The beginning of a field, as `inspect` shows it: from `offset` to the next mark, the bytes are this field's. */
export interface Mark {
  readonly offset: number;
  /** Of the byte before, so many of the last bits are this field's already; the rest belongs to an earlier one. */
  readonly early?: number;
  /** From the whole to the part, as ["tensors", "conv1.weight", "codebook size"]. */
  readonly path: readonly string[];
  /** The value in words, where there is one. */
  note?: string;
}

/** Collects marks while a file is read, so that the one parser there is can also say what every byte is for. */
export class Trace {
  readonly marks: Mark[] = [];
  readonly scopes: string[] = [];
}

/**
 * Reads untrusted bytes, in order, from `start` up to `end`. Positions count from the beginning of `bytes`, so a reader
 * of a part names the same offsets as a reader of the whole. Never reads past its end: that is FormatError `truncated`.
 */
export class ByteReader {
  /** The bytes as given. A fast loop may index them itself from `position` up to `end`, then `skip` what it used. */
  readonly source: Uint8Array;
  readonly end: number;
  #position: number;
  readonly #trace: Trace | undefined;
  readonly #word = new DataView(new ArrayBuffer(8));

  constructor(bytes: Uint8Array, options: { start?: number; end?: number; trace?: Trace | undefined } = {}) {
    const { start = 0, end = bytes.length, trace } = options;
    if (!(Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start <= end && end <= bytes.length)) {
      throw new RangeError(`ByteReader: no part from ${start} to ${end} in ${bytes.length} bytes`);
    }
    this.source = bytes;
    this.end = end;
    this.#position = start;
    this.#trace = trace;
  }

  get position(): number {
    return this.#position;
  }

  get remaining(): number {
    return this.end - this.#position;
  }

  u8(name?: string): number {
    return this.#unsigned(1, name);
  }

  u16(name?: string): number {
    return this.#unsigned(2, name);
  }

  u32(name?: string): number {
    return this.#unsigned(4, name);
  }

  /** Unsigned LEB128 from `min` to `max`. Refuses a spelling longer than needed and a value outside the range. */
  varint(options: { min?: number; max?: number; name?: string } = {}): number {
    const { min = 0, max = largestInteger, name } = options;
    const start = this.#position;
    if (name !== undefined) this.field(name);
    let value = 0;
    for (let place = 1, last = false; !last; place *= 128) {
      const byte = this.#byte(name);
      const digit = byte & 127;
      last = byte < 128;
      // The eighth byte may hold 53 - 49 = 4 bits, and there is no ninth.
      if (place > 2 ** 49 || (place === 2 ** 49 && digit > 15)) {
        this.fail("varint-range", `${name ?? "varint"}: above 2^53 - 1`, start);
      }
      value += digit * place;
      if (last && digit === 0 && place > 1) {
        this.fail("varint-overlong", `${name ?? "varint"}: ${value} is spelled with more bytes than it needs`, start);
      }
    }
    if (value < min || value > max) {
      this.fail("varint-range", `${name ?? "varint"}: must be from ${min} to ${max}, got ${value}`, start);
    }
    if (name !== undefined) this.note(String(value));
    return value;
  }

  /** A float32 as a number. A NaN may lose its payload: `float32Bits` keeps it. */
  float32(name?: string): number {
    if (name !== undefined) this.field(name);
    this.#word.setUint32(0, this.#unsigned(4, undefined), true);
    const value = this.#word.getFloat32(0, true);
    if (name !== undefined) this.note(String(value));
    return value;
  }

  float32Bits(name?: string): number {
    return this.#unsigned(4, name);
  }

  float64(name?: string): number {
    if (name !== undefined) this.field(name);
    if (this.remaining < 8) this.#truncated(name);
    this.#word.setUint32(0, this.#unsigned(4, undefined), true);
    this.#word.setUint32(4, this.#unsigned(4, undefined), true);
    const value = this.#word.getFloat64(0, true);
    if (name !== undefined) this.note(String(value));
    return value;
  }

  /** The next `count` bytes: a view into the source, not a copy. */
  bytes(count: number, name?: string): Uint8Array {
    if (name !== undefined) this.field(name);
    const start = this.#position;
    this.skip(count);
    return this.source.subarray(start, start + count);
  }

  /** A reader of the next `count` bytes alone; this one goes on after them. */
  part(count: number): ByteReader {
    const start = this.#position;
    this.skip(count);
    return new ByteReader(this.source, { start, end: start + count, trace: this.#trace });
  }

  /** Passes over `count` bytes, all of which must be there. */
  skip(count: number): void {
    if (!(count >= 0 && count <= this.remaining)) {
      this.fail("truncated", `ends too early: ${count} bytes needed, ${this.remaining} left`, this.end);
    }
    this.#position += count;
  }

  /** Refuses what breaks a rule. `offset` is the place of the mistake, by default the next byte to be read. */
  fail(code: string, message: string, offset: number = this.#position): never {
    throw new FormatError(code, message, offset);
  }

  /** Refuses bytes left over. */
  finish(): void {
    if (this.remaining > 0) this.fail("leftover", "bytes follow that belong to nothing");
  }

  /** From here (or `offset`) to the next field, bytes are this field's. A read that is given a name is a field too. */
  field(name: string, offset: number = this.#position, early = 0): void {
    this.#trace?.marks.push({ offset, ...(early > 0 ? { early } : {}), path: [...this.#trace.scopes, name] });
  }

  /** Says in words what the latest field holds. */
  note(text: string): void {
    const mark = this.#trace?.marks.at(-1);
    if (mark !== undefined) mark.note = text;
  }

  /** Runs `read`; the fields in it are shown as parts of `name`. */
  scope<T>(name: string, read: () => T): T {
    if (this.#trace === undefined) return read();
    this.#trace.scopes.push(name);
    try {
      return read();
    } finally {
      this.#trace.scopes.pop();
    }
  }

  #unsigned(width: 1 | 2 | 4, name: string | undefined): number {
    if (name !== undefined) this.field(name);
    if (width > this.remaining) this.#truncated(name);
    let value = 0;
    for (let i = 0; i < width; i++) value += this.#byte(name) * 2 ** (8 * i);
    if (name !== undefined) this.note(String(value));
    return value;
  }

  #byte(name: string | undefined): number {
    if (this.#position >= this.end) this.#truncated(name);
    return this.source[this.#position++]!;
  }

  #truncated(name: string | undefined): never {
    this.fail("truncated", `${name ?? "file"}: ends too early`, this.end);
  }
}
