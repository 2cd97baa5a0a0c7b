import type { Network } from "../../lib/network.ts";
import type { Weights } from "../../lib/weights.ts";
import { gramSchmidt } from "./gramSchmidt.ts";
import { fromStages, layersWithWeights, stagesOf } from "./lump.ts";
import { propagate, withSources, withUnits } from "./lumpStages.ts";
import type { Stage } from "./stage.ts";

export interface ActivationLumpOptions {
  /**
   * The activations of a layer on the samples, [rows, units], as the next layer with weights reads them (after
   * pooling); a row per sample, or per sample and place of its image. `layer` counts layers with weights from 0.
   */
  readonly activations: (network: Network, weights: Weights, layer: number) => Promise<Float32Array>;
  /** How far a combination may be from the unit it replaces: root of mean square, as a part of the unit's own. */
  readonly tolerance: number;
}

export interface FittedLayer {
  readonly name: string;
  readonly before: number;
  readonly after: number;
  /** Units that a combination of the others replaces. */
  readonly replaced: readonly number[];
  /** The largest part of a replaced unit that its combination misses; at most the tolerance. */
  readonly missed: number;
}

export interface ActivationLumped {
  readonly network: Network;
  readonly weights: Weights;
  readonly layers: readonly FittedLayer[];
  /** The most that an output moves on the samples (nothing is said of other inputs), but for rounding. */
  readonly sampleBound: number;
}

/**
 * Replaces units by combinations of others, fitted to how they behave on samples: a_r = c_0 + sum of c_s a_s, after
 * which outgoing(s) += c_s outgoing(r), and c_0 goes into the next biases. Which units stay is chosen one at a time,
 * the one of which the others explain least (an interpolative decomposition by pivoted QR, as in "Model Preserving
 * Compression for Neural Networks", Chee et al. 2022). Layers in order, each with the activations that the layers
 * before now give. Unlike `lump` this needs no units that are equal, and keeps the function on the samples only. Throws
 * as `lump`, and RangeError when the activations are not those of the layer.
 */
export async function lumpByActivations(
  network: Network,
  weights: Weights,
  { activations, tolerance }: ActivationLumpOptions,
): Promise<ActivationLumped> {
  if (!(tolerance >= 0 && tolerance < 1)) {
    throw new RangeError(`lump: the tolerance must be from 0 to below 1, got ${tolerance}`);
  }
  const original = stagesOf(network, weights);
  const names = layersWithWeights(network).map(({ name }) => name);
  let stages = original;
  let current = { network, weights };
  let errors: Float64Array<ArrayBuffer> = new Float64Array(original[0]!.sources);
  const layers: FittedLayer[] = [];
  for (let l = 0; l + 1 < original.length; l++) {
    const { units } = original[l]!;
    errors = propagate(original[l]!, errors);
    const rows = await activations(current.network, current.weights, l);
    const { kept, replaced } = fit(columnsOf(rows, units, names[l]!), tolerance, !original[l + 1]!.padded);
    for (const { unit, farthest } of replaced) errors[unit]! += farthest;
    layers.push({
      name: names[l]!,
      before: units,
      after: kept.length,
      replaced: replaced.map(({ unit }) => unit).sort((a, b) => a - b),
      missed: replaced.reduce((most, { missed }) => Math.max(most, missed), 0),
    });
    if (replaced.length === 0) continue;
    const [before, after] = [withUnits(stages[l]!, kept), feed(stages[l + 1]!, kept, replaced)];
    current = fromStages(network, [...stages.slice(0, l), before, after, ...stages.slice(l + 2)]);
    stages = stagesOf(current.network, current.weights);
  }
  errors = propagate(original.at(-1)!, errors);
  layers.push({ name: names.at(-1)!, before: errors.length, after: errors.length, replaced: [], missed: 0 });
  return { ...current, layers, sampleBound: errors.reduce((most, error) => Math.max(most, error), 0) };
}

interface Replacement {
  readonly unit: number;
  readonly constant: number;
  /** One per unit that stays. */
  readonly coefficients: readonly number[];
  readonly missed: number;
  /** The largest difference on any row. */
  readonly farthest: number;
}

function columnsOf(rows: Float32Array, units: number, name: string): Float64Array[] {
  const count = rows.length / units;
  if (!Number.isInteger(count) || count === 0) {
    throw new RangeError(`lump: ${name} needs activations [rows, ${units}], got ${rows.length} numbers`);
  }
  const stray = rows.findIndex((value) => !Number.isFinite(value));
  if (stray >= 0) throw new RangeError(`lump: activation ${stray} of ${name} is ${rows[stray]}`);
  return Array.from({ length: units }, (_, u) => Float64Array.from({ length: count }, (_, i) => rows[i * units + u]!));
}

function fit(columns: readonly Float64Array[], tolerance: number, withConstant: boolean) {
  const units = columns.length;
  const ones = new Float64Array(columns[0]!.length).fill(1);
  const basis = gramSchmidt([...columns, ones]);
  const own = basis.squares.slice();
  if (withConstant) basis.choose(units);
  const isExplained = (u: number): boolean => basis.squares[u]! <= tolerance * tolerance * own[u]!;
  const open = new Set(columns.keys());
  for (;;) {
    let least = -1;
    for (const u of open) {
      if (!isExplained(u) && (least < 0 || basis.squares[u]! > basis.squares[least]!)) least = u;
    }
    if (least < 0) break;
    open.delete(least);
    // With tolerance 0 the last remainders are rounding, and no direction: such a unit is explained as well as can be.
    if (!basis.choose(least)) continue;
  }
  const chosen = basis.chosen.filter((u) => u < units);
  const isKept = new Set(chosen);
  // A layer keeps one unit, though a constant would explain them all.
  if (chosen.length === 0) isKept.add(0);
  const kept = [...columns.keys()].filter((u) => isKept.has(u));
  const replaced: Replacement[] = [...columns.keys()]
    .filter((u) => !isKept.has(u))
    .map((unit) => {
      const solution = new Map([...basis.solve(unit)].map((value, i) => [basis.chosen[i]!, value]));
      return {
        unit,
        constant: solution.get(units) ?? 0,
        coefficients: kept.map((u) => solution.get(u) ?? 0),
        missed: own[unit] === 0 ? 0 : Math.sqrt(basis.squares[unit]! / own[unit]!),
        farthest: basis.residuals[unit]!.reduce((most, value) => Math.max(most, Math.abs(value)), 0),
      };
    });
  return { kept, replaced };
}

/** The next stage, its rows of replaced sources shared out among those that stay. */
function feed(stage: Stage, kept: readonly number[], replaced: readonly Replacement[]): Stage {
  const { positions, sources, units } = stage;
  const bias = stage.bias.slice();
  const result = withSources(stage, kept);
  for (const { unit, constant, coefficients } of replaced) {
    for (let p = 0; p < positions; p++) {
      const from = (p * sources + unit) * units;
      for (let u = 0; u < units; u++) {
        const weight = stage.weights[from + u]!;
        bias[u]! += constant * weight;
        for (const [place, coefficient] of coefficients.entries()) {
          result.weights[(p * kept.length + place) * units + u]! += coefficient * weight;
        }
      }
    }
  }
  return { ...result, bias };
}
