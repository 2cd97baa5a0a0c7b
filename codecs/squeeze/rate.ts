import * as exact from "../../lib/math.ts";
import type { Grid } from "../grid.ts";

/**
 * An estimate of what the coder of levels (format: section 7.7) would spend, whose slope tells training what a weight
 * costs. It is made of counts:
 *
 *     logit P(level is not 0) = a + share * sum over the weight's groups of (logit of the group - a)
 *
 * with a the tensor's own logit, and groups the same input, output, place in the kernel, and place and input; then a
 * bit for the sign, and a magnitude that goes on with the tensor's probability q.
 */
export interface RateEstimate {
  /** Bits of all levels. */
  readonly bits: number;
  /** Per weight: bits that one more costs from 0 to 1. Never negative: nothing is paid for leaving 0. */
  readonly first: Float32Array;
  /** Per weight: bits that one more costs from 1 on. */
  readonly further: Float32Array;
}

/** How far groups count. */
const share = 0.35;

/** The estimate for one tensor. */
export function estimateRate(grid: Grid, levels: Int32Array): RateEstimate {
  const { kind, height, width, inputs, outputs } = grid;
  const count = levels.length;
  const places = height * width;
  const [byOutput, byInput, byPlace, byRow] = [outputs, inputs, places, places * inputs].map(
    (size) => new Float64Array(size),
  );
  let nonzero = 0;
  let magnitudes = 0;
  for (let at = 0, row = 0; row < places * inputs; row++) {
    const place = Math.floor(row / inputs);
    for (let o = 0; o < outputs; o++, at++) {
      if (levels[at] === 0) continue;
      nonzero += 1;
      magnitudes += Math.abs(levels[at]!);
      byOutput![o]! += 1;
      byInput![row % inputs]! += 1;
      byPlace![place]! += 1;
      byRow![row]! += 1;
    }
  }
  const own = logit(nonzero, count);
  const deviations = (counts: Float64Array, of: number, counted: boolean): Float64Array =>
    counted && of > 1 ? counts.map((found) => share * (logit(found, of) - own)) : new Float64Array(counts.length);
  const weights = kind !== "bias";
  const output = deviations(byOutput!, count / outputs, weights);
  const input = deviations(byInput!, count / inputs, weights && inputs > 1);
  const place = deviations(byPlace!, count / places, places > 1);
  const row = deviations(byRow!, outputs, places > 1 && inputs > 1);
  const further = -exact.log(continuation(nonzero, magnitudes)) / Math.LN2;
  const last = -exact.log(1 - continuation(nonzero, magnitudes)) / Math.LN2;
  const first = new Float32Array(count);
  let bits = 0;
  for (let at = 0, r = 0; r < places * inputs; r++) {
    const common = own + place[Math.floor(r / inputs)]! + input[r % inputs]! + row[r]!;
    for (let o = 0; o < outputs; o++, at++) {
      const z = common + output[o]!;
      // ln(1 + e^z) nats say that it is 0, z less that it is not.
      const zero = (z > 30 ? z : exact.log(1 + exact.exp(z))) / Math.LN2;
      const rise = -z / Math.LN2 + 1 + last;
      first[at] = Math.max(rise, 0);
      bits += zero;
      const magnitude = Math.abs(levels[at]!);
      if (magnitude > 0) bits += rise + (magnitude - 1) * further;
    }
  }
  return { bits, first, further: new Float32Array(count).fill(further) };
}

/** Of a share that was counted, kept away from 0 and 1. */
function logit(found: number, of: number): number {
  return exact.log((found + 0.4) / (of - found + 0.4));
}

/** How often a magnitude goes on. */
function continuation(nonzero: number, magnitudes: number): number {
  return (magnitudes - nonzero + 0.4) / (magnitudes + 0.8);
}
