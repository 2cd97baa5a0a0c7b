import { type Classes, classesOf } from "./classes.ts";
import { activate, factorsOf, magnitude, type Range, type Stage, steepness } from "./stage.ts";

/** What becomes of the units of a layer. */
export interface Fate {
  /** For each unit the one that stands for it: itself if it stays, -1 for a constant in the next layer's biases. */
  readonly leaders: Int32Array;
  /** What the leader's activation is multiplied by; the constant where there is no leader. */
  readonly factors: Float64Array;
  /** Units whose activation is the same whatever the input. */
  readonly constant: readonly boolean[];
  /** The units that stay, rising. One at least, because no layer is empty. */
  readonly kept: readonly number[];
}

export interface StageOptions {
  /** How far normalised rows may lie apart, beside rounding. */
  readonly tolerance: number;
  /** The part of itself by which each weight may be off, from having been rounded. */
  readonly rounding: number;
  /** Rounds a weight as the result will store it. */
  readonly round: (weight: number) => number;
  /** What the inputs may be: decides the bound, and nothing else. */
  readonly input: Range;
}

export interface LumpedStages {
  readonly stages: readonly Stage[];
  /** One per stage but the last. */
  readonly fates: readonly Fate[];
  /** The most that each output can move, over all inputs, in exact arithmetic. */
  readonly bounds: Float64Array;
}

/**
 * Lumping by forward equivalence, layer by layer from the input (as "Compressing Neural Networks via Formal Methods",
 * Neural Networks 2024, does for factors from the bias; here for every factor). Let v be a unit's incoming weights and
 * bias. If v_r = f v_s, and the activation lets the factor f through, then r is f times s for every input, so
 *
 *     outgoing(s) += f outgoing(r),   and r is not needed any more.
 *
 * The next layer is compared by its weights after this merging: its effective weights. Only so are units found that
 * became equal because their sources did, and none taken for equal whose sources were added up without their factors.
 */
export function lumpStages(stages: readonly Stage[], options: StageOptions): LumpedStages {
  const fates: Fate[] = [];
  const lumped: Stage[] = [];
  let effective = asStored(stages[0]!);
  let ranges: Range[] = Array.from({ length: effective.sources }, () => options.input);
  let errors = new Float64Array(effective.sources);
  for (const [l, stage] of stages.entries()) {
    const next = stages[l + 1];
    const fate = next === undefined ? everyUnitStays(stage) : fateOf(effective, next.padded, options);
    const result = withUnits(effective, fate.kept, options.round);
    const seen = stage.padded ? ranges.map(withZero) : ranges;
    errors = propagate(stage, errors);
    addOwnErrors(errors, effective, result, fate, seen);
    ranges = rangesOf(result, seen);
    lumped.push(result);
    if (next === undefined) break;
    fates.push(fate);
    effective = mergeSources(next, fate);
  }
  return { stages: lumped, fates, bounds: errors };
}

/** A stage with the sum of magnitudes behind each weight, of which rounding may be a part. */
interface Effective extends Stage {
  readonly sizes: Float64Array;
  readonly biasSizes: Float64Array;
}

function asStored(stage: Stage): Effective {
  return { ...stage, sizes: stage.weights.map(Math.abs), biasSizes: stage.bias.map(Math.abs) };
}

function everyUnitStays({ units }: Stage): Fate {
  const all = Array.from({ length: units }, (_, i) => i);
  return {
    leaders: Int32Array.from(all),
    factors: new Float64Array(units).fill(1),
    constant: all.map(() => false),
    kept: all,
  };
}

function fateOf(stage: Effective, nextIsPadded: boolean, { tolerance, rounding }: StageOptions): Fate {
  const { units, bias, activations, pooled } = stage;
  const { leaders, factors } = everyUnitStays(stage);
  const constant = constantUnits(stage, rounding);

  const byActivation = new Map<string, number[]>();
  for (let u = 0; u < units; u++) {
    if (constant[u]) continue;
    const group = byActivation.get(activations[u]!);
    if (group === undefined) byActivation.set(activations[u]!, [u]);
    else group.push(u);
  }
  for (const group of byActivation.values()) {
    const allowed = factorsOf(activations[group[0]!]!, pooled);
    const classes: Classes = classesOf(rowsOf(stage, group, rounding), tolerance, allowed);
    for (const [i, u] of group.entries()) {
      leaders[u] = group[classes.leaders[i]!]!;
      factors[u] = classes.factors[i]!;
    }
  }

  // A constant goes into the biases of the next layer, unless that reads zeros at the border instead of it. There one
  // constant unit stays, and the others are multiples of it.
  let first = -1;
  for (let u = 0; u < units; u++) {
    if (!constant[u]) continue;
    const value = activate(activations[u]!, bias[u]!);
    if (nextIsPadded && value !== 0) {
      if (first < 0) first = u;
      leaders[u] = first;
      factors[u] = value / activate(activations[first]!, bias[first]!);
    } else {
      leaders[u] = -1;
      factors[u] = value;
    }
  }
  const kept = [...leaders.keys()].filter((u) => leaders[u] === u);
  // A layer of constants alone: its first unit stays, read by nobody.
  return { leaders, factors, constant, kept: kept.length > 0 ? kept : [0] };
}

/** Units that read nothing: their incoming weights are zero, or no more than what rounding leaves of zero. */
function constantUnits({ positions, sources, units, weights, sizes }: Effective, rounding: number): boolean[] {
  const constant = new Array<boolean>(units).fill(true);
  for (let row = 0, at = 0; row < positions * sources; row++) {
    for (let u = 0; u < units; u++, at++) {
      if (Math.abs(weights[at]!) > rounding * sizes[at]!) constant[u] = false;
    }
  }
  return constant;
}

/** Incoming weights and bias of some units, a row for each. */
function rowsOf(stage: Effective, group: readonly number[], rounding: number) {
  const { units, weights, sizes, bias, biasSizes } = stage;
  const inputs = weights.length / units;
  const length = inputs + 1;
  const values = new Float64Array(group.length * length);
  const slack = new Float64Array(group.length * length);
  for (let i = 0; i < inputs; i++) {
    for (let g = 0; g < group.length; g++) {
      const at = i * units + group[g]!;
      values[g * length + i] = weights[at]!;
      slack[g * length + i] = rounding * sizes[at]!;
    }
  }
  for (const [g, u] of group.entries()) {
    values[g * length + inputs] = bias[u]!;
    slack[g * length + inputs] = rounding * biasSizes[u]!;
  }
  return { count: group.length, length, values, slack };
}

/** The stage of the units that stay, its numbers as `round` makes them. */
export function withUnits(
  stage: Stage,
  kept: readonly number[],
  round: (weight: number) => number = (weight) => weight,
): Stage {
  const { positions, sources, units, pooled, padded } = stage;
  const weights = new Float64Array(positions * sources * kept.length);
  let to = 0;
  for (let row = 0; row < positions * sources; row++) {
    for (const u of kept) weights[to++] = round(stage.weights[row * units + u]!);
  }
  return {
    positions,
    sources,
    units: kept.length,
    weights,
    bias: Float64Array.from(kept, (u) => round(stage.bias[u]!)),
    activations: kept.map((u) => stage.activations[u]!),
    pooled,
    padded,
  };
}

/** The next stage as the lumped one will feed it: rows of merged sources added up, constants in the biases. */
function mergeSources(stage: Stage, { leaders, factors, kept }: Fate): Effective {
  const { positions, units } = stage;
  const places = new Map(kept.map((u, place) => [u, place]));
  const weights = new Float64Array(positions * kept.length * units);
  const sizes = new Float64Array(weights.length);
  const bias = stage.bias.slice();
  const biasSizes = stage.bias.map(Math.abs);
  let from = 0;
  for (let p = 0; p < positions; p++) {
    for (let r = 0; r < stage.sources; r++) {
      const factor = factors[r]!;
      const isFolded = leaders[r] === -1;
      const [sums, sizeSums] = isFolded ? [bias, biasSizes] : [weights, sizes];
      let to = isFolded ? 0 : (p * kept.length + places.get(leaders[r]!)!) * units;
      for (let u = 0; u < units; u++, from++, to++) {
        const part = factor * stage.weights[from]!;
        sums[to]! += part;
        sizeSums[to]! += Math.abs(part);
      }
    }
  }
  return { ...stage, sources: kept.length, weights, sizes, bias, biasSizes };
}

/**
 * How far each unit can be from what it was, when its sources are as far off as `errors` says: the activation's
 * steepness times the sum of |weight| * error.
 */
export function propagate(stage: Stage, errors: Float64Array): Float64Array<ArrayBuffer> {
  const { positions, sources, units, weights, activations } = stage;
  const result = new Float64Array(units);
  for (let p = 0; p < positions; p++) {
    for (let r = 0; r < sources; r++) {
      if (errors[r] === 0) continue;
      const start = (p * sources + r) * units;
      for (let u = 0; u < units; u++) result[u]! += Math.abs(weights[start + u]!) * errors[r]!;
    }
  }
  return result.map((error, u) => steepness(activations[u]!) * error);
}

/** Adds what this stage's own merging and rounding do: |v - f v_leader| at the largest sources. */
function addOwnErrors(errors: Float64Array, before: Stage, after: Stage, fate: Fate, ranges: readonly Range[]): void {
  const { units, sources, activations } = before;
  const places = new Map(fate.kept.map((u, place) => [u, place]));
  const largest = ranges.map(magnitude);
  const inputs = before.weights.length / units;
  /** How far `factor` times what is stored of unit `s` is from the row of unit `u`; from its bias alone if constant. */
  const difference = (u: number, s: number, factor: number): number => {
    const place = s < 0 ? -1 : places.get(s)!;
    let sum = place < 0 ? 0 : Math.abs(before.bias[u]! - factor * after.bias[place]!);
    for (let i = 0; i < inputs; i++) {
      const stored = place < 0 ? 0 : factor * after.weights[i * after.units + place]!;
      sum += Math.abs(before.weights[i * units + u]! - stored) * largest[i % sources]!;
    }
    return sum;
  };
  for (let u = 0; u < units; u++) {
    const [leader, factor] = [fate.leaders[u]!, fate.factors[u]!];
    if (fate.constant[u] && leader >= 0 && leader !== u) {
      // Its value is a multiple of the leader's, though its row need not be one.
      const off = difference(u, -1, 0) * steepness(activations[u]!);
      errors[u]! += off + Math.abs(factor) * difference(leader, leader, 1) * steepness(activations[leader]!);
    } else {
      errors[u]! += difference(u, leader, factor) * steepness(activations[u]!);
    }
  }
}

/** Between what the activations of a stage lie, for sources in their ranges. Activations rise, and pooling picks. */
function rangesOf({ sources, units, weights, bias, activations }: Stage, ranges: readonly Range[]): Range[] {
  const low = bias.slice();
  const high = bias.slice();
  for (let at = 0; at < weights.length; at += units) {
    const source = ranges[(at / units) % sources]!;
    for (let u = 0; u < units; u++) {
      const weight = weights[at + u]!;
      low[u]! += weight * (weight > 0 ? source.low : source.high);
      high[u]! += weight * (weight > 0 ? source.high : source.low);
    }
  }
  return activations.map((activation, u) => ({
    low: activate(activation, low[u]!),
    high: activate(activation, high[u]!),
  }));
}

function withZero({ low, high }: Range): Range {
  return { low: Math.min(low, 0), high: Math.max(high, 0) };
}

/**
 * Takes away units that nobody reads: all their outgoing weights are zero. From the last layer back, because a unit may
 * be read by such units alone. Returns the stages and, for each but the last, the places of the units that stay.
 */
export function dropUnread(stages: readonly Stage[]): { stages: Stage[]; kept: number[][] } {
  const result = [...stages];
  const kept: number[][] = [];
  for (let l = stages.length - 2; l >= 0; l--) {
    const next = result[l + 1]!;
    const read = new Array<boolean>(next.sources).fill(false);
    for (let at = 0; at < next.weights.length; at++) {
      if (next.weights[at] !== 0) read[Math.floor(at / next.units) % next.sources] = true;
    }
    const stays = [...read.keys()].filter((u) => read[u]);
    kept[l] = stays.length > 0 ? stays : [0];
    if (kept[l]!.length === next.sources) continue;
    result[l] = withUnits(result[l]!, kept[l]!);
    result[l + 1] = withSources(next, kept[l]!);
  }
  return { stages: result, kept };
}

/** The stage without its rows of all sources but those kept. */
export function withSources(stage: Stage, kept: readonly number[]): Stage {
  const { positions, sources, units } = stage;
  const weights = new Float64Array(positions * kept.length * units);
  let to = 0;
  for (let p = 0; p < positions; p++) {
    for (const source of kept) {
      const start = (p * sources + source) * units;
      weights.set(stage.weights.subarray(start, start + units), to);
      to += units;
    }
  }
  return { ...stage, sources: kept.length, weights };
}
