import { log } from "../../lib/math.ts";
import { squareRoot } from "./squareRoot.ts";

const size = 624;
const offset = 397;
const matrix = 0x9908b0df;

/**
 * MT19937 (Matsumoto and Nishimura, 1998), with the normals and permutations that scientific Python drew from it when
 * the legacy files were written. It is here to read those files: our own draws have addresses (lib/random.ts). Format:
 * section 6.4.
 */
export class MersenneTwister {
  readonly #state = new Uint32Array(size);
  #used = size;
  /** What is left of the latest point of the polar method. */
  #pending: { readonly coordinate: number; readonly square: number } | undefined;

  /** A whole number from 0 to 2^32 - 1. */
  constructor(seed: number) {
    if (!(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32)) {
      throw new RangeError(`MersenneTwister: the seed must be a whole number from 0 to 2^32 - 1, got ${seed}`);
    }
    const m = this.#state;
    m[0] = seed;
    for (let i = 1; i < size; i++) {
      const last = m[i - 1]!;
      m[i] = Math.imul(1812433253, last ^ (last >>> 30)) + i;
    }
  }

  /** 32 bits, as an unsigned number. */
  word(): number {
    if (this.#used === size) this.#twist();
    let y = this.#state[this.#used++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** A multiple of 2^-53 from [0, 1), out of the top 27 bits of one word and the top 26 of the next. */
  uniform(): number {
    const a = this.word() >>> 5;
    const b = this.word() >>> 6;
    return (a * 2 ** 26 + b) / 2 ** 53;
  }

  /**
   * A standard normal, by Marsaglia's polar method. A point of the unit disc gives two: that of its second coordinate
   * at once, that of the first at the next call, whatever is drawn in between.
   */
  normal(): number {
    const { coordinate, square } = this.#coordinate();
    return squareRoot((-2 * log(square)) / square) * coordinate;
  }

  /** Passes over as many normals as `normal` would have drawn: what nobody looks at needs no logarithm. */
  skipNormals(count: number): void {
    for (let i = 0; i < count; i++) this.#coordinate();
  }

  /** One coordinate of a point of the unit disc, and the square of the point's radius. */
  #coordinate(): { readonly coordinate: number; readonly square: number } {
    const pending = this.#pending;
    if (pending !== undefined) {
      this.#pending = undefined;
      return pending;
    }
    for (;;) {
      const x = 2 * this.uniform() - 1;
      const y = 2 * this.uniform() - 1;
      const square = x * x + y * y;
      if (square >= 1 || square === 0) continue;
      this.#pending = { coordinate: x, square };
      return { coordinate: y, square };
    }
  }

  /**
   * A random order of 0 ... n - 1, by Fisher and Yates from the last entry down. A place from 0 to i is drawn as the
   * lowest bits of a word, as many as i has, again and again until it is not above i. `order` receives it: n entries.
   */
  permutation(n: number, order = new Uint32Array(n)): Uint32Array {
    for (let i = 0; i < n; i++) order[i] = i;
    for (let i = n - 1; i > 0; i--) {
      const mask = 0xffffffff >>> Math.clz32(i);
      let j: number;
      do j = (this.word() & mask) >>> 0;
      while (j > i);
      const moved = order[i]!;
      order[i] = order[j]!;
      order[j] = moved;
    }
    return order;
  }

  #twist(): void {
    const m = this.#state;
    for (let i = 0; i < size; i++) {
      const y = (m[i]! & 0x80000000) | (m[(i + 1) % size]! & 0x7fffffff);
      m[i] = m[(i + offset) % size]! ^ (y >>> 1) ^ (y & 1 ? matrix : 0);
    }
    this.#used = 0;
  }
}
