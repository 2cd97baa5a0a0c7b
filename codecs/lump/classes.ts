import { seedKey, STREAMS, word } from "../../lib/random.ts";
import type { Factors } from "./stage.ts";

/** The rows to compare, one per unit, and how far each number of them may be off. */
export interface Rows {
  readonly count: number;
  readonly length: number;
  /** [count, length]. */
  readonly values: Float64Array;
  /** [count, length]: what rounding may have added to each number or taken from it. */
  readonly slack: Float64Array;
}

/** For each row the first row that it is a multiple of, itself if there is none before it, and the factor. */
export interface Classes {
  readonly leaders: Int32Array;
  readonly factors: Float64Array;
}

/**
 * Finds rows that are multiples of each other: `row = factor * leader`. Each row is divided by its largest magnitude,
 * so that multiples become equal up to their sign; then it is hashed, and compared in full only with leaders of nearly
 * the same hash. The hash is a sum with random coefficients between -1 and 1: rows that differ by at most d in each
 * place have hashes that differ by at most length * d. So nothing that is equal within its slack is missed, which a
 * hash of rounded numbers could not promise: two equal numbers may round to either side of a limit. Takes count *
 * length steps, but for rows that are nearly equal without being so.
 *
 * `tolerance` is what may lie between two normalised rows in each place, beside the slack. Rows of zeros, and rows of
 * which rounding has left nothing sure, are their own leaders. The arrays of `rows` are used up.
 */
export function classesOf(rows: Rows, tolerance: number, { free, negative }: Factors): Classes {
  const { count, length, values, slack } = rows;
  const { scales, hashes, slackSums, scaleSlack } = normalise(rows);
  const leaders = Int32Array.from({ length: count }, (_, i) => i);
  const factors = new Float64Array(count).fill(1);

  let widest = 0;
  for (const sum of slackSums) widest = Math.max(widest, sum);
  // The last term is what float64 loses in the sums themselves.
  const window = 2 * widest + length * (tolerance + length * 2 ** -52);
  const bins = new Map<number, number[]>();
  const binOf = (hash: number): number => Math.floor(hash / window);

  const equal = (a: number, b: number, sign: number): boolean => {
    const [x, y] = [a * length, b * length];
    if (!free && Math.abs(scales[a]! - scales[b]!) > scales[b]! * (tolerance + scaleSlack(a, b))) return false;
    for (let i = 0; i < length; i++) {
      const allowed = tolerance + slack[x + i]! + slack[y + i]!;
      if (!(Math.abs(values[x + i]! - sign * values[y + i]!) <= allowed)) return false;
    }
    return true;
  };
  /** The first leader that row `r` times `sign` is equal to, or -1. */
  const find = (r: number, sign: number): number => {
    const bin = binOf(sign * hashes[r]!);
    let first = -1;
    for (const near of [bin - 1, bin, bin + 1]) {
      for (const leader of bins.get(near) ?? []) {
        if (first >= 0 && leader > first) break;
        if (equal(r, leader, sign)) {
          first = leader;
          break;
        }
      }
    }
    return first;
  };

  for (let r = 0; r < count; r++) {
    if (scales[r] === 0) continue;
    const same = find(r, 1);
    const opposite = negative ? find(r, -1) : -1;
    const sign = same >= 0 && (opposite < 0 || same <= opposite) ? 1 : -1;
    const leader = sign === 1 ? same : opposite;
    if (leader >= 0) {
      leaders[r] = leader;
      factors[r] = sign * (free ? scales[r]! / scales[leader]! : 1);
      continue;
    }
    const bin = binOf(hashes[r]!);
    const others = bins.get(bin);
    if (others === undefined) bins.set(bin, [r]);
    else others.push(r);
  }
  return { leaders, factors };
}

/** A row whose largest number may be off by this part of itself is compared with none. */
const unsure = 2 ** -10;

/** Divides rows by their largest magnitudes (the scales), in place, and hashes them. Slack becomes the quotients'. */
function normalise({ count, length, values, slack }: Rows) {
  const coefficients = coefficientsOf(length);
  const scales = new Float64Array(count);
  const relative = new Float64Array(count);
  const hashes = new Float64Array(count);
  const slackSums = new Float64Array(count);
  for (let r = 0; r < count; r++) {
    const start = r * length;
    let scale = 0;
    let loose = 0;
    for (let i = 0; i < length; i++) {
      const size = Math.abs(values[start + i]!);
      if (size <= scale) continue;
      scale = size;
      loose = slack[start + i]!;
    }
    if (!(loose < unsure * scale)) continue;
    scales[r] = scale;
    // The scale may be off as well, and all quotients with it.
    relative[r] = loose / scale;
    let hash = 0;
    let sum = 0;
    for (let i = 0; i < length; i++) {
      const quotient = values[start + i]! / scale;
      const allowed = slack[start + i]! / scale + Math.abs(quotient) * relative[r]!;
      values[start + i] = quotient;
      slack[start + i] = allowed;
      hash += coefficients[i]! * quotient;
      sum += allowed;
    }
    hashes[r] = hash;
    slackSums[r] = sum;
  }
  const scaleSlack = (a: number, b: number): number => relative[a]! + relative[b]!;
  return { scales, hashes, slackSums, scaleSlack };
}

/** Numbers from -1 to 1. Any would do: they decide how long the search takes, never what it finds. */
function coefficientsOf(length: number): Float64Array {
  const key = seedKey(1);
  return Float64Array.from({ length }, (_, i) => word(key, STREAMS.clustering, 1, i) / 2 ** 31 - 1);
}
