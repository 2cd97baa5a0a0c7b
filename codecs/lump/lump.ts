import { parametersOf, shapesOf } from "../../lib/architectures.ts";
import { ShapeError } from "../../lib/errors.ts";
import type { Convolution, Dense, Network } from "../../lib/network.ts";
import { equalShapes, formatShape, sizeOf } from "../../lib/shape.ts";
import type { Weights } from "../../lib/weights.ts";
import { dropUnread, type Fate, lumpStages } from "./lumpStages.ts";
import type { Stage } from "./stage.ts";

export interface LumpOptions {
  /**
   * How far the incoming weights and bias of two units, each divided by its largest magnitude, may lie apart in each
   * place. By default 0: units are merged when they are multiples of each other as exactly as float32 can say.
   */
  readonly tolerance?: number;
}

/** Units that one of them, the first, now stands for. */
export interface UnitClass {
  /** Rising. */
  readonly units: readonly number[];
  /** What each unit's activation is of the first one's; 1 for that one itself. */
  readonly factors: readonly number[];
}

/** What happened to a layer. Units are numbered as they were. */
export interface LumpedLayer {
  readonly name: string;
  readonly before: number;
  readonly after: number;
  /** Classes of more than one unit. */
  readonly classes: readonly UnitClass[];
  /** Units that were the same number whatever the input, and went into the biases of the next layer. */
  readonly constant: readonly number[];
  /** Units whose outgoing weights are zero. */
  readonly unread: readonly number[];
}

export interface Lumped {
  /** The same network with fewer units. A layer that took in constants has a bias now, if it had none. */
  readonly network: Network;
  readonly weights: Weights;
  /** One per layer with weights, the last one too, whose units are the outputs and stay. */
  readonly layers: readonly LumpedLayer[];
  /** The most that an output can move, for any image, in exact arithmetic. */
  readonly bound: number;
}

/**
 * What a weight may be off by from having been rounded to float32, with room for the rounding of what it is compared
 * with: 16 units of roundoff.
 */
const rounding = 2 ** -20;

/**
 * Merges units that compute multiples of each other, takes away those that are constant or read by nobody, and keeps
 * the function: with tolerance 0 outputs move by rounding alone. Dense and convolution layers; pooling, flattening and
 * dropout pass through. Throws ShapeError when weights and network do not belong together, RangeError for weights that
 * are not finite, tolerances that are not from 0 to below 1, and networks without a hidden layer.
 */
export function lump(network: Network, weights: Weights, { tolerance = 0 }: LumpOptions = {}): Lumped {
  if (!(tolerance >= 0 && tolerance < 1)) {
    throw new RangeError(`lump: the tolerance must be from 0 to below 1, got ${tolerance}`);
  }
  const stages = stagesOf(network, weights);
  const { scale, offset } = network.input;
  const [black, white] = [(0 - offset) * scale, (255 - offset) * scale];
  const input = { low: Math.min(black, white), high: Math.max(black, white) };
  const lumped = lumpStages(stages, { tolerance, rounding, round: Math.fround, input });
  const { stages: small, kept } = dropUnread(lumped.stages);
  if (!small.every(({ weights: numbers, bias }) => numbers.every(Number.isFinite) && bias.every(Number.isFinite))) {
    throw new RangeError(`lump: the merged weights of ${network.name} leave the range of float32`);
  }
  const names = layersWithWeights(network).map(({ name }) => name);
  return {
    ...fromStages(network, small),
    layers: small.map(({ units }, l) => ({
      name: names[l]!,
      before: stages[l]!.units,
      after: units,
      ...(l < lumped.fates.length ? reportOf(lumped.fates[l]!, kept[l]!) : { classes: [], constant: [], unread: [] }),
    })),
    bound: lumped.bounds.reduce((most, bound) => Math.max(most, bound), 0),
  };
}

/** What to say of a layer, when of the units that `fate` keeps only those at the places `read` are read. */
export function reportOf(fate: Fate, read: readonly number[]): Pick<LumpedLayer, "classes" | "constant" | "unread"> {
  const { leaders, factors, kept } = fate;
  const members = new Map<number, number[]>();
  const constant: number[] = [];
  for (const [u, leader] of leaders.entries()) {
    if (leader === -1) constant.push(u);
    else if (leader === u) members.set(u, [u]);
    else members.get(leader)!.push(u);
  }
  const stays = new Set(read.map((place) => kept[place]!));
  return {
    classes: [...members.values()]
      .filter((units) => units.length > 1)
      .map((units) => ({ units, factors: units.map((u) => factors[u]!) })),
    // The first unit of a layer of constants stays.
    constant: constant.filter((u) => !stays.has(u)),
    unread: kept.filter((u) => !stays.has(u) && leaders[u] === u),
  };
}

export function layersWithWeights({ layers }: Network): (Convolution | Dense)[] {
  return layers.filter((layer) => layer.type === "convolution" || layer.type === "dense");
}

/** The stages of a network. Errors as `lump`. */
export function stagesOf(network: Network, weights: Weights): Stage[] {
  checkWeights(network, weights);
  const shapes = shapesOf(network);
  const byName = new Map(weights.map(({ name, values }) => [name, values]));
  const stages: Stage[] = [];
  let sources = network.input.channels;
  for (const [i, layer] of network.layers.entries()) {
    if (layer.type === "maxPool" && stages.length > 0) stages.push({ ...stages.pop()!, pooled: true });
    if (layer.type !== "convolution" && layer.type !== "dense") continue;
    const units = layer.type === "convolution" ? layer.filters : layer.units;
    const values = Float64Array.from(byName.get(`${layer.name}.weight`)!);
    stages.push({
      positions: values.length / units / sources,
      sources,
      units,
      weights: values,
      bias: Float64Array.from(byName.get(`${layer.name}.bias`) ?? new Float32Array(units)),
      activations: new Array(units).fill(layer.activation),
      pooled: false,
      padded: layer.type === "convolution" && isPadded(layer, shapes[i]!, shapes[i + 1]!),
    });
    sources = units;
  }
  if (stages.length < 2) throw new RangeError(`lump: ${network.name} has no hidden layer, whose units could be merged`);
  return stages;
}

function isPadded({ padding, kernel, stride }: Convolution, from: readonly number[], to: readonly number[]): boolean {
  const reach = (axis: 0 | 1): number => (to[axis]! - 1) * stride[axis] + kernel[axis];
  return padding === "same" && (reach(0) > from[0]! || reach(1) > from[1]!);
}

/** A network of the same layers with the numbers of stages. */
export function fromStages(network: Network, stages: readonly Stage[]): { network: Network; weights: Weights } {
  let l = 0;
  const weights: { name: string; shape: readonly number[]; values: Float32Array }[] = [];
  const layers = network.layers.map((layer) => {
    if (layer.type !== "convolution" && layer.type !== "dense") return layer;
    const { positions, sources, units, weights: values, bias } = stages[l++]!;
    const hasBias = layer.bias || bias.some((value) => value !== 0);
    const shape = layer.type === "convolution" ? [...layer.kernel, sources, units] : [positions * sources, units];
    weights.push({ name: `${layer.name}.weight`, shape, values: Float32Array.from(values) });
    if (hasBias) weights.push({ name: `${layer.name}.bias`, shape: [units], values: Float32Array.from(bias) });
    return layer.type === "convolution"
      ? { ...layer, filters: units, bias: hasBias }
      : { ...layer, units, bias: hasBias };
  });
  return { network: { ...network, layers }, weights };
}

function checkWeights(network: Network, weights: Weights): void {
  const parameters = parametersOf(network);
  if (weights.length !== parameters.length) {
    throw new ShapeError(`lump: ${network.name} has ${parameters.length} tensors, got weights of ${weights.length}`);
  }
  for (const [i, { name, shape }] of parameters.entries()) {
    const found = weights[i]!;
    if (found.name !== name || !equalShapes(found.shape, shape) || found.values.length !== sizeOf(shape)) {
      const got = `${found.name} ${formatShape(found.shape)} of ${found.values.length} values`;
      throw new ShapeError(`lump: tensor ${i + 1} of ${network.name} is ${name} ${formatShape(shape)}, got ${got}`);
    }
    const stray = found.values.findIndex((value) => !Number.isFinite(value));
    if (stray >= 0) throw new RangeError(`lump: ${name} holds ${found.values[stray]} at index ${stray}`);
  }
}
