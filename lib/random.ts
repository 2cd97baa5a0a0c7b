/**
 * Random numbers that are addressed, not drawn in sequence: a word is a pure function of (key, stream, block, element),
 * so any of them can be repeated alone, in any order, on any device. Part of the file format: a draw never changes.
 *
 * **Generator.** Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1,
 * 2, 3", 2011): 32-bit additions, rotations and exclusive ors. It turns a key of two words and a counter of two words
 * into two words of output.
 *
 * **Key.** A seed is a whole number from 0 to 2^53 - 1; key = (seed mod 2^32, floor(seed / 2^32)).
 *
 * **Counter.** All numbers are unsigned.
 *
 *     c0 = stream * 2^24 + block             stream < 2^8, block < 2^24
 *     element = index * 2^13 + position      index < 2^20, position < 2^13, so element < 2^33
 *     c1 = floor(element / 2)
 *     word = output (element mod 2) of threefry(key, (c0, c1))
 *
 * So a flat array of draws is elements 0, 1, 2, ..., and a table of draws (one row per candidate, say) is addressed by
 * row and column with nothing drawn in between.
 *
 * **Derived numbers.** All exact, and the same in SIMD, in a GPU kernel and in any language:
 *
 *     uniform     floor(word / 2^8) / 2^24, in [0, 1), exact in float32
 *     normal      normalTable()[floor(word / 2^20)], float32
 *     whole number below n, n <= 2^21:  floor(word * n / 2^32); none is favoured by more than n / 2^32
 *     new key n   both output words of counter (255 * 2^24, n), n < 2^32
 */

/** Two unsigned 32-bit words: the low and the high one of a seed. */
export type Key = readonly [low: number, high: number];

/**
 * What each stream number is for. Draws for different purposes never meet, because their streams differ. Numbers are
 * only ever added.
 */
export const STREAMS = {
  /** Starting weights. */
  initialization: 0,
  /** Order of the training images. */
  shuffle: 1,
  dropout: 2,
  /** Noise on variational weights. */
  noise: 3,
  /** Shifts, rotations and distortions of training images. */
  augmentation: 4,
  /** The drawn digits. Block: number of the image. */
  glyphs: 5,
  /** Samples of which a MIRACLE file names one per block. Element: sample * size of the block + place in the block. */
  candidates: 6,
  /** Which scalars form a MIRACLE block. */
  partition: 7,
  /** Which weights share one trained scalar, and with which sign. */
  hashGroups: 8,
  /** An encoder's choice among candidates. No decoder needs it. */
  choice: 9,
  /** Random starts of clusterings. */
  clustering: 10,
  /** Reserved for `derive`; refused everywhere else. */
  derive: 255,
} as const;

/** Which draws: those of elements `start`, `start` + 1, ... (from 0 if not given) of one block of one stream. */
export interface Draws {
  /** From 0 to 254, see `STREAMS`. */
  readonly stream: number;
  /** From 0 to 2^24 - 1. */
  readonly block: number;
  /** The first element. */
  readonly start?: number;
}

const MAX_BLOCK = 0xffffff;
const MAX_INDEX = 0xfffff;
const MAX_POSITION = 0x1fff;
const MAX_ELEMENT = 0x1ffffffff;
const MAX_PERMUTATION = 0x200000;

function checkWhole(name: string, value: number, limit: number): void {
  if (!(Number.isSafeInteger(value) && value >= 0 && value <= limit)) {
    throw new RangeError(`random: ${name} must be a whole number from 0 to ${limit}, got ${value}`);
  }
}

/** The key of a seed. RangeError unless it is a whole number from 0 to 2^53 - 1. */
export function seedKey(seed: number): Key {
  checkWhole("seed", seed, Number.MAX_SAFE_INTEGER);
  return [seed >>> 0, Math.floor(seed / 4294967296) >>> 0];
}

/**
 * Another key, number `n` of those that belong to this one, for what needs draws of its own: a layer, one run of many.
 * RangeError unless n is a whole number from 0 to 2^32 - 1.
 */
export function derive(key: Key, n: number): Key {
  checkWhole("number of a derived key", n, 0xffffffff);
  return threefry2x32(key, [(STREAMS.derive << 24) >>> 0, n]);
}

/** The element at `index` and `position`. RangeError unless index < 2^20 and position < 2^13. */
export function elementAt(index: number, position: number): number {
  checkWhole("index", index, MAX_INDEX);
  checkWhole("position", position, MAX_POSITION);
  return index * (MAX_POSITION + 1) + position;
}

/**
 * Threefry-2x32, 20 rounds: two words (x, y) for a key and a counter of two words each. All sums modulo 2^32:
 *
 *     s = (k0, k1, k0 xor k1 xor 0x1bd11bda)
 *     x = c0 + s[0],  y = c1 + s[1]
 *     for round = 0 ... 19:
 *       x = x + y,  y = rotateLeft(y, R[round mod 8]) xor x      R = 13, 15, 26, 6, 17, 29, 16, 24
 *       if round mod 4 = 3, with n = (round + 1) / 4:
 *         x = x + s[n mod 3],  y = y + s[(n + 1) mod 3] + n
 */
export function threefry2x32(key: Key, counter: readonly [number, number]): [number, number] {
  const out = new Uint32Array(2);
  encipher(out, 0, key[0], key[1], counter[0], counter[1]);
  return [out[0]!, out[1]!];
}

function rotate(x: number, left: number): number {
  return (x << left) | (x >>> (32 - left));
}

/** Writes the two output words to `out[at]` and `out[at + 1]`. */
function encipher(out: Uint32Array, at: number, k0: number, k1: number, c0: number, c1: number): void {
  const k2 = k0 ^ k1 ^ 0x1bd11bda;
  let x0 = (c0 + k0) | 0;
  let x1 = (c1 + k1) | 0;
  x0 = (x0 + x1) | 0; x1 = rotate(x1, 13) ^ x0;
  x0 = (x0 + x1) | 0; x1 = rotate(x1, 15) ^ x0;
  x0 = (x0 + x1) | 0; x1 = rotate(x1, 26) ^ x0;
  x0 = (x0 + x1) | 0; x1 = rotate(x1, 6) ^ x0;
  x0 = (x0 + k1) | 0; x1 = (x1 + k2 + 1) | 0;
  x0 = (x0 + x1) | 0; x1 = rotate(x1, 17) ^ x0;
  x0 = (x0 + x1) | 0; x1 = rotate(x1, 29) ^ x0;
  x0 = (x0 + x1) | 0; x1 = rotate(x1, 16) ^ x0;
  x0 = (x0 + x1) | 0; x1 = rotate(x1, 24) ^ x0;
  x0 = (x0 + k2) | 0; x1 = (x1 + k0 + 2) | 0;
  x0 = (x0 + x1) | 0; x1 = rotate(x1, 13) ^ x0;
  x0 = (x0 + x1) | 0; x1 = rotate(x1, 15) ^ x0;
  x0 = (x0 + x1) | 0; x1 = rotate(x1, 26) ^ x0;
  x0 = (x0 + x1) | 0; x1 = rotate(x1, 6) ^ x0;
  x0 = (x0 + k0) | 0; x1 = (x1 + k1 + 3) | 0;
  x0 = (x0 + x1) | 0; x1 = rotate(x1, 17) ^ x0;
  x0 = (x0 + x1) | 0; x1 = rotate(x1, 29) ^ x0;
  x0 = (x0 + x1) | 0; x1 = rotate(x1, 16) ^ x0;
  x0 = (x0 + x1) | 0; x1 = rotate(x1, 24) ^ x0;
  x0 = (x0 + k1) | 0; x1 = (x1 + k2 + 4) | 0;
  x0 = (x0 + x1) | 0; x1 = rotate(x1, 13) ^ x0;
  x0 = (x0 + x1) | 0; x1 = rotate(x1, 15) ^ x0;
  x0 = (x0 + x1) | 0; x1 = rotate(x1, 26) ^ x0;
  x0 = (x0 + x1) | 0; x1 = rotate(x1, 6) ^ x0;
  out[at] = x0 + k2;
  out[at + 1] = x1 + k0 + 5;
}

function counterHigh(stream: number, block: number): number {
  checkWhole("stream", stream, STREAMS.derive - 1);
  checkWhole("block", block, MAX_BLOCK);
  return ((stream << 24) | block) >>> 0;
}

const pair = new Uint32Array(2);

/** One word, by its address. */
export function word(key: Key, stream: number, block: number, element: number): number {
  const c0 = counterHigh(stream, block);
  checkWhole("element", element, MAX_ELEMENT);
  encipher(pair, 0, key[0], key[1], c0, Math.floor(element / 2));
  return pair[element % 2]!;
}

/** Fills an array with words: entry i is element `start + i`. */
export function fillWords(into: Uint32Array, key: Key, { stream, block, start = 0 }: Draws): void {
  const c0 = counterHigh(stream, block);
  const count = into.length;
  checkWhole("start", start, MAX_ELEMENT + 1 - count);
  const [k0, k1] = key;
  let i = 0;
  let c1 = Math.floor(start / 2);
  if (start % 2 === 1 && count > 0) {
    encipher(pair, 0, k0, k1, c0, c1++);
    into[i++] = pair[1]!;
  }
  for (; i + 1 < count; i += 2) encipher(into, i, k0, k1, c0, c1++);
  if (i < count) {
    encipher(pair, 0, k0, k1, c0, c1);
    into[i] = pair[0]!;
  }
}

/** The words of a fill, in the memory of the floats that replace them one by one. */
function wordsBehind(into: Float32Array, key: Key, draws: Draws): Uint32Array {
  const words = new Uint32Array(into.buffer, into.byteOffset, into.length);
  fillWords(words, key, draws);
  return words;
}

/** Fills an array with multiples of 2^-24 from [0, 1): the top 24 bits of each word. */
export function fillUniform(into: Float32Array, key: Key, draws: Draws): void {
  const words = wordsBehind(into, key, draws);
  for (let i = 0; i < words.length; i++) into[i] = (words[i]! >>> 8) / 16777216;
}

/** Fills an array with standard normals: the entry of `normalTable` that the top 12 bits of each word name. */
export function fillNormal(into: Float32Array, key: Key, draws: Draws): void {
  const words = wordsBehind(into, key, draws);
  const quantiles = table();
  for (let i = 0; i < words.length; i++) into[i] = quantiles[words[i]! >>> 20]!;
}

/**
 * A random order of 0 ... n - 1, by Fisher and Yates. Starts from the rising order; for i from n - 1 down to 1, with w
 * the word of element i, entries i and floor(w * (i + 1) / 2^32) change places. RangeError unless n is at most 2^21,
 * which keeps the product exact in a double.
 */
export function permutation(n: number, key: Key, draws: Omit<Draws, "start">): Uint32Array {
  checkWhole("length of a permutation", n, MAX_PERMUTATION);
  const words = new Uint32Array(n);
  fillWords(words, key, { stream: draws.stream, block: draws.block });
  const order = new Uint32Array(n);
  for (let i = 0; i < n; i++) order[i] = i;
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor((words[i]! * (i + 1)) / 4294967296);
    const moved = order[i]!;
    order[i] = order[j]!;
    order[j] = moved;
  }
  return order;
}

let quantiles: Float32Array | undefined;

function table(): Float32Array {
  return (quantiles ??= buildNormalTable());
}

/**
 * The 4,096 values a normal draw can take: quantiles of the standard normal at (i + 1/2) / 4096, i = 0 ... 4095, each
 * the float32 nearest to the true one. A fresh copy.
 *
 * The algorithm is part of the format. Everything is an IEEE double, rounded after each operation, in the order
 * written; a * b / c is (a * b) / c. With Phi the distribution function and phi its density, the root of
 * Phi(z) - 1/2 = p is found by Newton's method, z - (Phi(z) - 1/2 - p) / phi(z), from
 *
 *     (Phi(z) - 1/2) / phi(z) = z + z^3/3 + z^5/(3*5) + ...      summed in s
 *     1 / phi(z) = sqrt(2 pi) e^(z^2/2)                          e^(z^2/2) summed in e, by Taylor
 *
 *     z = 0
 *     for i = 2048 ... 4095:
 *       p = (i + 0.5) / 4096 - 0.5
 *       repeat 6 times:     (z starts from the entry before: below the root, so it only rises)
 *         y = z * z
 *         s = 0,  t = z
 *         e = 0,  u = 1
 *         for k = 1 ... 40:
 *           s = s + t,  t = t * y / (2 * k + 1)
 *           e = e + u,  u = u * y / (2 * k)
 *         z = (z - s) + (p * 2.5066282746310007) * e
 *       table[i] = float32(z)
 *       table[4095 - i] = -table[i]
 *
 * CRC-32 of the 16,384 bytes, little-endian: da22b45b. Mean 0, variance 0.99968, largest entry 3.6683292.
 */
export function normalTable(): Float32Array {
  return table().slice();
}

function buildNormalTable(): Float32Array {
  const values = new Float32Array(4096);
  let z = 0;
  for (let i = 2048; i < 4096; i++) {
    const p = (i + 0.5) / 4096 - 0.5;
    for (let round = 0; round < 6; round++) {
      const y = z * z;
      let s = 0;
      let t = z;
      let e = 0;
      let u = 1;
      for (let k = 1; k <= 40; k++) {
        s += t;
        t = (t * y) / (2 * k + 1);
        e += u;
        u = (u * y) / (2 * k);
      }
      z = z - s + p * 2.5066282746310007 * e;
    }
    values[i] = z;
    values[4095 - i] = -values[i]!;
  }
  return values;
}
