import { log } from "../lib/math.ts";
import { seedKey, STREAMS, word } from "../lib/random.ts";

/**
 * A short list of numbers, and one index into it per weight. Entries rise strictly, are finite, and each is used; zero
 * is +0. Format: section 6.
 */
export interface Codebook {
  entries: Float32Array;
  indices: Uint16Array;
}

/** The most entries a codebook may have. Above it, raw float32 is smaller. */
export const maxEntries = 4096;

/**
 * The codebook of numbers as they are: exact, but that -0 becomes 0. Throws RangeError for numbers that are not finite
 * and for more than 4,096 different ones.
 */
export function codebookOf(values: Float32Array): Codebook {
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  if (distinct.length > maxEntries) {
    throw new RangeError(`codebook: at most ${maxEntries} different values, got ${distinct.length}`);
  }
  const bad = distinct.find((value) => !Number.isFinite(value));
  if (bad !== undefined) throw new RangeError(`codebook: values must be finite, got ${bad}`);
  const indexOf = new Map(distinct.map((value, index) => [value, index]));
  return {
    // Adding 0 turns -0 into 0; a Map takes the two for one already.
    entries: Float32Array.from(distinct, (value) => value + 0),
    indices: Uint16Array.from(values, (value) => indexOf.get(value)!),
  };
}

/** The same numbers as a codebook should be: entries in rising order, equal ones merged, unused ones gone. */
export function tidy({ entries, indices }: Codebook): Codebook {
  return codebookOf(toValues({ entries, indices }));
}

/** The numbers that a codebook stands for. */
export function toValues({ entries, indices }: Codebook): Float32Array {
  return Float32Array.from(indices, (index) => entries[index]!);
}

/**
 * The gradient of each entry: the sum of the gradients of its members, since assignments stay while entries are
 * fine-tuned (arXiv 1510.00149, section 3.3). Sums are float64.
 */
export function entryGradients({ entries, indices }: Codebook, gradients: ArrayLike<number>): Float64Array {
  if (gradients.length !== indices.length) {
    throw new RangeError(`codebook: ${indices.length} weights need as many gradients, got ${gradients.length}`);
  }
  const sums = new Float64Array(entries.length);
  for (let i = 0; i < indices.length; i++) sums[indices[i]!]! += gradients[i]!;
  return sums;
}

export interface RateOptions {
  /** Weights that have an index, and how many centres they share. */
  readonly weights: number;
  readonly centres: number;
  /** Of a weight before. Default: 32. */
  readonly bits?: number;
  /** Weights before, where pruning took some away. Default: `weights`. */
  readonly before?: number;
  /** Bits that say where a weight stands. Default: 0, as none was pruned. */
  readonly indexBits?: number;
  /** Whether the centres themselves count. Default: true. */
  readonly codebook?: boolean;
}

/**
 * How many times smaller sharing makes weights without entropy coding: `n b / (n log2 k + k b)` for n weights of b bits
 * and k centres (arXiv 1510.00149, section 3), where places are said too with `indexBits` more for each. Throws
 * RangeError for more centres than weights.
 */
export function sharingRate(options: RateOptions): number {
  const { weights, centres, bits = 32, before = weights, indexBits = 0, codebook = true } = options;
  if (!(Number.isInteger(centres) && centres >= 1 && centres <= weights)) {
    throw new RangeError(`rate: ${weights} weights cannot have ${centres} centres`);
  }
  return (before * bits) / (weights * (log(centres) / log(2) + indexBits) + (codebook ? centres * bits : 0));
}

export interface ShareOptions {
  /** How many centres, beside zero where zero is kept apart: 1 to 4,096, at most one per value. */
  readonly size: number;
  /**
   * Where the centres begin. `linear`: equal steps from the least to the greatest value, ends included (the best in
   * the paper: the few large weights keep a centre). `density`: equal steps in rank, sorted[floor((2i + 1) n / 2k)].
   * `random`: k-means++, drawn with `seed`.
   */
  readonly start?: "linear" | "density" | "random";
  readonly seed?: number;
  /** `apart` (default): zeros, which are what pruning leaves, keep their exact value and pull at no centre. */
  readonly zeros?: "apart" | "clustered";
  /** Rounds of k-means at most; it ends earlier when no centre moves. */
  readonly rounds?: number;
}

/**
 * Groups values around centres (k-means in one dimension, Lloyd's rounds): each value goes to its nearest centre, the
 * lower one of two equally near, and each centre to the mean of its values. A centre without values is dropped at the
 * end. Throws RangeError for values that are not finite and sizes outside their range.
 */
export function share(values: Float32Array, options: ShareOptions): Codebook {
  const { size, start = "linear", seed = 0, zeros = "apart", rounds = 1000 } = options;
  if (!(Number.isInteger(size) && size >= 1 && size <= maxEntries)) {
    throw new RangeError(`share: size must be a whole number from 1 to ${maxEntries}, got ${size}`);
  }
  if (size > values.length) throw new RangeError(`share: ${values.length} values cannot have ${size} centres`);
  const bad = values.find((value) => !Number.isFinite(value));
  if (bad !== undefined) throw new RangeError(`share: values must be finite, got ${bad}`);
  const sorted = (zeros === "apart" ? values.filter((value) => value !== 0) : values.slice()).sort();
  if (sorted.length === 0) return codebookOf(values);

  const centres = lloyd(sorted, startingCentres(sorted, size, start, seed), rounds);
  const rounded = Float32Array.from(centres);
  const limits = middles(centres);
  return codebookOf(
    values.map((value) => (zeros === "apart" && value === 0 ? 0 : rounded[countBelow(limits, value)]!)),
  );
}

type Start = NonNullable<ShareOptions["start"]>;

function startingCentres(sorted: Float32Array, size: number, start: Start, seed: number): Float64Array {
  const n = sorted.length;
  const least = sorted[0]!;
  const range = sorted[n - 1]! - least;
  switch (start) {
    case "linear":
      if (size === 1) return Float64Array.of(least + range / 2);
      return Float64Array.from({ length: size }, (_, i) => least + (range * i) / (size - 1));
    case "density":
      return Float64Array.from({ length: size }, (_, i) => sorted[Math.floor(((2 * i + 1) * n) / (2 * size))]!);
    case "random":
      return spread(sorted, size, seed);
    default:
      throw new RangeError(`share: start must be "linear", "density" or "random", got "${String(start)}"`);
  }
}

/**
 * k-means++ (Arthur and Vassilvitskii, 2007): the first centre is any value, each next one a value chosen with a chance
 * that grows with its squared distance to the nearest centre so far. Ends early when every value has a centre.
 */
function spread(sorted: Float32Array, size: number, seed: number): Float64Array {
  const key = seedKey(seed);
  const draw = (i: number): number => (word(key, STREAMS.clustering, 0, i) >>> 8) / 2 ** 24;
  const distances = new Float64Array(sorted.length).fill(Infinity);
  const centres = [sorted[Math.floor(draw(0) * sorted.length)]!];
  while (centres.length < size) {
    const latest = centres.at(-1)!;
    let total = 0;
    // Rounding may leave a little at the end of the walk below: the last value away from every centre is taken then.
    let chosen = 0;
    for (let i = 0; i < sorted.length; i++) {
      const distance = sorted[i]! - latest;
      distances[i] = Math.min(distances[i]!, distance * distance);
      total += distances[i]!;
      if (distances[i]! > 0) chosen = i;
    }
    if (total === 0) break;
    let left = draw(centres.length) * total;
    for (let i = 0; i < chosen; i++) {
      left -= distances[i]!;
      if (left < 0) chosen = i;
    }
    centres.push(sorted[chosen]!);
  }
  return Float64Array.from(centres).sort();
}

/** Lloyd's rounds until nothing moves. Sums over a run of sorted values are differences of running totals. */
function lloyd(sorted: Float32Array, start: Float64Array, rounds: number): Float64Array {
  const totals = new Float64Array(sorted.length + 1);
  for (let i = 0; i < sorted.length; i++) totals[i + 1] = totals[i]! + sorted[i]!;
  let centres = start;
  for (let round = 0; round < rounds; round++) {
    // Where each centre's values end: after those up to the middle between it and the next.
    const ends = [...middles(centres)].map((middle) => countUpTo(sorted, middle));
    ends.push(sorted.length);
    const moved = centres.map((centre, k) => {
      const from = k === 0 ? 0 : ends[k - 1]!;
      const to = ends[k]!;
      return to > from ? (totals[to]! - totals[from]!) / (to - from) : centre;
    });
    if (moved.every((centre, k) => centre === centres[k])) break;
    centres = moved;
  }
  return centres;
}

/** Half-way between neighbours: one fewer than `centres`. */
function middles(centres: Float64Array): Float64Array {
  return Float64Array.from({ length: centres.length - 1 }, (_, k) => (centres[k]! + centres[k + 1]!) / 2);
}

/** How many of `sorted` are at most `limit`. */
function countUpTo(sorted: ArrayLike<number>, limit: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** How many of `sorted` are below `value`. */
function countBelow(sorted: ArrayLike<number>, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
