import type { NamedArray, Weights } from "../lib/weights.ts";

/** Which weights of one tensor are kept: 1 for kept, 0 for pruned, in the order of the tensor's values. */
export interface NamedMask {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Uint8Array;
}

/** One mask per tensor, in the order of the weights. */
export type Masks = readonly NamedMask[];

/**
 * What to keep of one tensor. `share`: that share of all its weights, the largest magnitudes (0 to 1).
 * `threshold`: magnitudes from it up. `deviations`: magnitudes from so many standard deviations of its weights up (the
 * population's deviation, of the weights that are not pruned yet, or of those that `measured` names). `unitDeviations`:
 * the same with a deviation for each unit, which is an output neuron or a filter: it is that of the unit's own weights.
 */
export type PruneRule =
  | { readonly share: number }
  | { readonly threshold: number }
  | { readonly deviations: number }
  | { readonly unitDeviations: number };

export interface PruneOptions {
  /** What is pruned already and stays so: masks only shrink. */
  readonly masks?: Masks | undefined;
  /**
   * Of which weights deviations are. Default: of `weights` and `masks`. In rounds it has to be what there was before
   * the first: what a round leaves is larger than what it takes, so that its own deviation would take more each time,
   * until nothing is left.
   */
  readonly measured?: { readonly weights: Weights; readonly masks?: Masks | undefined } | undefined;
}

/**
 * Magnitude pruning (arXiv 1506.02626): decides tensor by tensor which weights to keep. One rule is for every
 * `<layer>.weight`; a record gives each tensor its own, and tensors it does not name stay whole. Of equal magnitudes
 * the lowest index stays. Changes nothing: `applyMasks` does. Throws RangeError for weights that are not finite, rules
 * outside their range, names that do not exist, and weights without a `<layer>.weight`.
 */
export function prune(
  weights: Weights,
  rules: PruneRule | Readonly<Record<string, PruneRule>>,
  options: PruneOptions = {},
): Masks {
  const ruleOf = (name: string): PruneRule | undefined =>
    isRule(rules) ? (isMatrix(name) ? rules : undefined) : Object.hasOwn(rules, name) ? rules[name] : undefined;
  if (!isRule(rules)) {
    for (const name of Object.keys(rules)) {
      if (!weights.some((tensor) => tensor.name === name)) throw new RangeError(`prune: there is no tensor "${name}"`);
    }
  }
  if (isRule(rules)) checkMatrices(weights);
  const { measured } = options;
  const among = measured && startMasks(measured.weights, measured);
  if (among !== undefined) checkMasks(weights, among);
  return startMasks(weights, options).map((mask, i) => {
    const tensor = weights[i]!;
    const rule = ruleOf(tensor.name);
    if (rule === undefined) return mask;
    const population = measured && { values: measured.weights[i]!.values, kept: among![i]!.values };
    return { ...mask, values: pruneOne(tensor, mask.values, rule, population) };
  });
}

/**
 * The same with one budget for all: keeps a share of the weights of all `<layer>.weight` together, the largest
 * magnitudes wherever they are. Of equal magnitudes the first tensor's lowest index stays.
 */
export function pruneTogether(weights: Weights, share: number, options: PruneOptions = {}): Masks {
  checkMatrices(weights);
  const masks = startMasks(weights, options);
  const chosen = weights.map((tensor, i) => ({ tensor, i })).filter(({ tensor }) => isMatrix(tensor.name));
  const total = chosen.reduce((sum, { tensor }) => sum + tensor.values.length, 0);
  const values = new Float32Array(total);
  const kept = new Uint8Array(total);
  let at = 0;
  for (const { tensor, i } of chosen) {
    values.set(tensor.values, at);
    kept.set(masks[i]!.values, at);
    at += tensor.values.length;
  }
  const all = pruneOne({ name: "all weights", shape: [total], values }, kept, { share });
  at = 0;
  const result = [...masks];
  for (const { tensor, i } of chosen) {
    result[i] = { ...masks[i]!, values: all.slice(at, at + tensor.values.length) };
    at += tensor.values.length;
  }
  return result;
}

/** The weights with 0 where the masks say pruned. Throws RangeError when masks and weights do not belong together. */
export function applyMasks(weights: Weights, masks: Masks): Weights {
  checkMasks(weights, masks);
  return weights.map((tensor, i) => {
    const mask = masks[i]!.values;
    return { ...tensor, values: tensor.values.map((value, at) => (mask[at] === 1 ? value : 0)) };
  });
}

/** The masks that keep exactly the weights that are not zero. */
export function masksOf(weights: Weights): Masks {
  return weights.map(({ name, shape, values }) => ({
    name,
    shape,
    values: Uint8Array.from(values, (value) => (value === 0 ? 0 : 1)),
  }));
}

/**
 * NaN as a notation for "pruned, and to stay so": the weights with 0 in its place, and masks that hold those. Only here
 * is it one; everywhere else NaN among weights is refused, since in arithmetic it spreads.
 */
export function readPruned(weights: Weights): { weights: Weights; masks: Masks } {
  const masks = weights.map(({ name, shape, values }) => ({
    name,
    shape,
    values: Uint8Array.from(values, (value) => (Number.isNaN(value) ? 0 : 1)),
  }));
  return { weights: applyMasks(weights, masks), masks };
}

/** The other way: the weights with NaN where the masks say pruned. */
export function markPruned(weights: Weights, masks: Masks): Weights {
  checkMasks(weights, masks);
  return weights.map((tensor, i) => {
    const mask = masks[i]!.values;
    return { ...tensor, values: tensor.values.map((value, at) => (mask[at] === 1 ? value : NaN)) };
  });
}

/** How many weights are kept, all tensors together. */
export function countKept(masks: Masks): number {
  return masks.reduce((sum, { values }) => sum + values.reduce((kept, value) => kept + value, 0), 0);
}

interface Population {
  readonly values: Float32Array;
  readonly kept: Uint8Array;
}

function pruneOne(
  tensor: NamedArray,
  before: Uint8Array,
  rule: PruneRule,
  population: Population = { values: tensor.values, kept: before },
): Uint8Array {
  const { name, values } = tensor;
  for (const numbers of new Set([values, population.values])) {
    const bad = numbers.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) throw new RangeError(`prune: ${name} holds ${numbers[bad]} at index ${bad}`);
  }
  if ("share" in rule) {
    if (!(rule.share >= 0 && rule.share <= 1)) {
      throw new RangeError(`prune: the share to keep of ${name} must be from 0 to 1, got ${rule.share}`);
    }
    return keepLargest(values, before, Math.round(rule.share * values.length));
  }
  const [what, factor] =
    "threshold" in rule
      ? ["threshold", rule.threshold]
      : ["number of deviations", "deviations" in rule ? rule.deviations : rule.unitDeviations];
  if (!(factor >= 0 && Number.isFinite(factor))) {
    throw new RangeError(`prune: the ${what} of ${name} must be finite and not negative, got ${factor}`);
  }
  // Units are the last axis of every weight: filters [height, width, in, out], matrices [in, out].
  const units = "unitDeviations" in rule ? tensor.shape.at(-1)! : 1;
  const thresholds =
    "threshold" in rule ? [factor] : deviations(population, units).map((deviation) => factor * deviation);
  return before.map((kept, i) => (kept === 1 && Math.abs(values[i]!) >= thresholds[i % units]! ? 1 : 0));
}

/** At most `count` of what `before` keeps: the largest magnitudes, and of equal ones those of the lowest index. */
function keepLargest(values: Float32Array, before: Uint8Array, count: number): Uint8Array {
  const magnitudes = values
    .filter((_, i) => before[i] === 1)
    .map(Math.abs)
    .sort();
  if (count >= magnitudes.length) return before.slice();
  if (count === 0) return new Uint8Array(values.length);
  const smallest = magnitudes[magnitudes.length - count]!;
  let ties = count;
  for (let i = magnitudes.length - 1; i >= 0 && magnitudes[i]! > smallest; i--) ties -= 1;
  return before.map((kept, i) => {
    if (kept === 0) return 0;
    const magnitude = Math.abs(values[i]!);
    if (magnitude === smallest && ties > 0) {
      ties -= 1;
      return 1;
    }
    return magnitude > smallest ? 1 : 0;
  });
}

/** sqrt(mean((w - mean(w))^2)) over what is kept of each unit; 0 where nothing is. */
function deviations({ values, kept }: Population, units: number): Float64Array {
  const counts = new Float64Array(units);
  const means = new Float64Array(units);
  const squares = new Float64Array(units);
  for (let i = 0; i < values.length; i++) {
    if (kept[i] === 0) continue;
    counts[i % units]! += 1;
    means[i % units]! += values[i]!;
  }
  for (let unit = 0; unit < units; unit++) means[unit]! /= Math.max(1, counts[unit]!);
  for (let i = 0; i < values.length; i++) {
    const distance = values[i]! - means[i % units]!;
    if (kept[i] === 1) squares[i % units]! += distance * distance;
  }
  return squares.map((sum, unit) => Math.sqrt(sum / Math.max(1, counts[unit]!)));
}

function startMasks(weights: Weights, { masks }: Pick<PruneOptions, "masks">): Masks {
  if (masks !== undefined) {
    checkMasks(weights, masks);
    return masks.map((mask) => ({ ...mask, values: mask.values.slice() }));
  }
  return weights.map(({ name, shape, values }) => ({ name, shape, values: new Uint8Array(values.length).fill(1) }));
}

function checkMasks(weights: Weights, masks: Masks): void {
  const same =
    weights.length === masks.length &&
    weights.every(({ name, values }, i) => masks[i]!.name === name && masks[i]!.values.length === values.length);
  if (!same) throw new RangeError("prune: the masks belong to other weights (names and sizes must be equal, in order)");
}

function checkMatrices(weights: Weights): void {
  if (weights.some(({ name }) => isMatrix(name))) return;
  const names = weights.map(({ name }) => name).join(", ");
  throw new RangeError(`prune: needs a tensor called <layer>.weight, got ${names === "" ? "none" : names}`);
}

function isMatrix(name: string): boolean {
  return name.endsWith(".weight");
}

function isRule(rules: PruneRule | Readonly<Record<string, PruneRule>>): rules is PruneRule {
  const values = Object.values(rules);
  return values.length === 1 && typeof values[0] === "number";
}
