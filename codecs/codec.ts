import type { ByteReader, ByteWriter } from "./bytes.ts";

/**
 * The contract of everything that turns what a method chose into bytes and back.
 *
 * `read` undoes `write` bit for bit, and whatever `read` accepts is exactly what `write` writes: one value, one
 * spelling. What the surroundings already know (how many symbols follow, how large the alphabet is) is an argument of
 * the function that makes the codec, as in `huffman({ count, alphabet })`, so that no byte repeats it.
 */
export interface Codec<T> {
  /** The number that stands for this codec in a file. Append-only: a number is never given to another codec. */
  readonly tag: number;
  readonly name: string;
  /** Appends `value` to `to`. Throws RangeError for a value that the format cannot express. */
  write(value: T, to: ByteWriter): void;
  /** Reads one value from `from`. Throws FormatError for anything that `write` would not have written. */
  read(from: ByteReader, budget: Budget): T;
}

/** Bytes that are not a file of ours: `code` says which rule they break, `offset` at which byte. */
export class FormatError extends Error {
  override readonly name = "FormatError";
  readonly code: string;
  readonly offset: number;
  readonly #reason: string;

  constructor(code: string, message: string, offset: number) {
    super(`${message} (at byte ${offset})`);
    this.code = code;
    this.offset = offset;
    this.#reason = message;
  }

  /** The same of bytes that begin `by` bytes further on. */
  moved(by: number): FormatError {
    return new FormatError(this.code, this.#reason, this.offset + by);
  }
}

/**
 * What a reader accepts at most. Format: section 10. A caller may lower each, never raise one. All but `memory` are
 * rules of the format, the same for every reader; `memory` is this reader's own, for callers who want it.
 */
export interface Limits {
  /** Numbers that a file may declare, all tensors together; also the length of any one array made on the way. */
  readonly elements: number;
  /** Declared output bytes per input byte. Known architectures are exempt: their size is known beforehand. */
  readonly ratio: number;
  /** Layers of a network. */
  readonly layers: number;
  /** Size along one axis: of an image, a kernel, a layer. */
  readonly dimension: number;
  /** Classes of a network. */
  readonly classes: number;
  /** Bytes of one name, in UTF-8. */
  readonly name: number;
  /** Bytes of the metadata section. */
  readonly metadata: number;
  /** Bytes of all arrays made while reading one file, added up. */
  readonly memory: number;
}

/** More than any array takes that is made for a file within the limits: a slip of ours ends here, and in order. */
const mostBytes = 2 ** 31;

export const defaultLimits: Limits = {
  elements: 2 ** 26,
  ratio: 4096,
  layers: 256,
  dimension: 2 ** 20,
  classes: 2 ** 16,
  name: 64,
  metadata: 2 ** 16,
  // Without one, arrays are bounded all the same: each is linear in the bytes read and the numbers declared.
  memory: Infinity,
};

/** Checks every size before anything of that size is made, and counts the memory that one file has cost so far. */
export class Budget {
  readonly limits: Limits;
  #place: { readonly position: number } | undefined;
  #memory: number;

  /** `place` is where errors happen. Throws RangeError when a limit is not a whole number from 0 to its default. */
  constructor(limits: Partial<Limits> = {}, place?: { readonly position: number }) {
    for (const [name, value] of Object.entries(limits)) {
      const most = defaultLimits[name as keyof Limits];
      if (most === undefined) throw new RangeError(`limits: there is no limit called "${name}"`);
      const isWhole = Number.isInteger(value) || value === most;
      if (value !== undefined && !(isWhole && value >= 0 && value <= most)) {
        throw new RangeError(`limits: ${name} must be a whole number from 0 to ${most}, got ${value}`);
      }
    }
    this.limits = { ...defaultLimits, ...limits };
    this.#place = place;
    this.#memory = this.limits.memory;
  }

  /** This budget, spent from now on by the reader of another part. */
  at(place: { readonly position: number }): this {
    this.#place = place;
    return this;
  }

  /**
   * Refuses `count` when it is above the limit of that name (code `limit-<name>`), and returns it otherwise. `offset`
   * is the first byte of what declares it, by default the next byte to be read.
   */
  check(limit: keyof Limits, count: number, what: string = limit, offset?: number): number {
    const most = this.limits[limit];
    // Written so that NaN is refused too.
    if (!(count <= most)) this.#fail(`limit-${limit}`, `${what}: ${count} is above the limit of ${most}`, offset);
    return count;
  }

  float64(count: number): Float64Array<ArrayBuffer> {
    return new Float64Array(this.#take(count, 8));
  }

  float32(count: number): Float32Array<ArrayBuffer> {
    return new Float32Array(this.#take(count, 4));
  }

  int32(count: number): Int32Array<ArrayBuffer> {
    return new Int32Array(this.#take(count, 4));
  }

  uint32(count: number): Uint32Array<ArrayBuffer> {
    return new Uint32Array(this.#take(count, 4));
  }

  uint16(count: number): Uint16Array<ArrayBuffer> {
    return new Uint16Array(this.#take(count, 2));
  }

  uint8(count: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#take(count, 1));
  }

  #take(count: number, bytesEach: number): number {
    const bytes = count * bytesEach;
    if (!(bytes <= Math.min(this.#memory, mostBytes))) {
      this.#fail("limit-memory", `array: ${count} entries need ${bytes} bytes, ${this.#memory} are left to spend`);
    }
    this.#memory -= bytes;
    return count;
  }

  #fail(code: string, message: string, offset: number = this.#place?.position ?? 0): never {
    throw new FormatError(code, message, offset);
  }
}
