import * as exact from "../../lib/math.ts";
import { quadraticOfNormals } from "../../lib/ops/quadraticOfNormals.ts";
import { fillUniform, type Key, STREAMS } from "../../lib/random.ts";
import type { Runtime } from "../../lib/runtime.ts";

/** A block's posterior and prior: for each of its scalars mean, logarithm of the deviation, and prior scale. */
export interface Target {
  readonly means: Float64Array;
  readonly logDeviations: Float64Array;
  readonly scales: Float64Array;
}

/** What makes a sample good: how much likelier the posterior makes it than the prior, or its density alone. */
export type Weighing = "importance" | "density";

/** Normals of one call: a driver ends what keeps its GPU for seconds. */
const normalsAtOnce = 2 ** 28;

/**
 * The log weight of each of 2^bits samples of a block, but for a constant (algorithm: section 1). With z normal and
 * w = p z the sample,
 *
 *     ln q(w) / p(w) = sum over scalars of A z^2 + B z + c,   A = 1/2 - p^2 / (2 sigma^2),   B = p mu / sigma^2
 *
 * and without the 1/2 in A it is ln q(w). Sums are rounded, on each kind of device in another way.
 */
export async function scores(
  runtime: Runtime,
  { key, block, bits, target, weighing, atOnce = normalsAtOnce }: {
    readonly key: Key;
    readonly block: number;
    readonly bits: number;
    readonly target: Target;
    readonly weighing: Weighing;
    /** Normals that the device draws in one call; the scores do not depend on it. */
    readonly atOnce?: number;
  },
): Promise<Float32Array> {
  const { means, logDeviations, scales } = target;
  const count = means.length;
  const a = new Float32Array(count);
  const b = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const precision = exact.exp(-2 * logDeviations[i]!);
    a[i] = (weighing === "importance" ? 0.5 : 0) - (scales[i]! * scales[i]! * precision) / 2;
    b[i] = scales[i]! * means[i]! * precision;
  }
  const all = new Float32Array(2 ** bits);
  const rows = Math.min(all.length, Math.max(1, Math.floor(atOnce / count)));
  for (let from = 0; from < all.length; from += rows) {
    const draws = { key, stream: STREAMS.candidates, block, start: from * count };
    const part = Math.min(rows, all.length - from);
    const found = runtime.step(() => quadraticOfNormals(runtime.tensor(a), runtime.tensor(b), part, draws));
    all.set(await found.read(), from);
  }
  return all;
}

/** The first of the largest. */
export function largest(scores: Float32Array): number {
  let best = 0;
  for (let k = 1; k < scores.length; k++) if (scores[k]! > scores[best]!) best = k;
  return best;
}

/** The `count` largest, the largest first; of equal ones the first. */
export function largestFew(scores: Float32Array, count: number): number[] {
  const best: number[] = [];
  for (let k = 0; k < scores.length; k++) {
    if (best.length === count && !(scores[k]! > scores[best[count - 1]!]!)) continue;
    let at = best.length;
    while (at > 0 && scores[k]! > scores[best[at - 1]!]!) at -= 1;
    best.splice(at, 0, k);
    if (best.length > count) best.pop();
  }
  return best;
}

/**
 * One sample by its weight, with the draws of block `block` of the stream `choice`: the largest of score + Gumbel
 * noise, which is a categorical draw.
 */
export function drawn(scores: Float32Array, key: Key, block: number): number {
  const noise = new Float32Array(scores.length);
  fillUniform(noise, key, { stream: STREAMS.choice, block });
  const noisy = scores.map((score, k) => score - exact.log(-exact.log(noise[k]! + 2 ** -25)));
  return largest(noisy);
}
