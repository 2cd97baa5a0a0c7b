import { parametersOf } from "../../lib/architectures.ts";
import type { Convolution, Dense, Layer, Network } from "../../lib/network.ts";
import { sizeOf } from "../../lib/shape.ts";
import type { Weights } from "../../lib/weights.ts";
import { activate } from "../lump/stage.ts";

/** A layer and those of its units that do nothing: neurons of a dense layer, filters of a convolution. */
export interface DeadUnits {
  readonly layer: string;
  readonly units: number;
  /** Their numbers, rising. */
  readonly dead: readonly number[];
}

/**
 * The weights with all that belongs to a dead unit set to zero (arXiv 1506.02626, section 3.5): pruning leaves units
 * that nothing leads into or out of. A unit without outputs is dropped. A unit without inputs always says the same,
 * which joins the biases of the next layer: these move by that much, rounded to float32, and otherwise the function is
 * the same to the bit. One thing may leave another dead, so this goes on until nothing changes. Where a constant other
 * than 0 has no place to go, as the next layer has no bias or reads zeros beyond the border, its unit stays. Units of
 * the last layer are answers, and are never dead.
 */
export function clearDead(network: Network, weights: Weights): { weights: Weights; dead: DeadUnits[] } {
  const stages = stagesOf(network, weights);
  let changed = true;
  while (changed) {
    changed = false;
    for (let i = 0; i + 1 < stages.length; i++) {
      for (let unit = 0; unit < stages[i]!.units; unit++) {
        if (!stages[i]!.dead.has(unit) && bury(stages[i]!, stages[i + 1]!, unit)) changed = true;
      }
    }
  }
  const cleared = new Map<string, Float32Array>(
    stages.flatMap(({ layer, weight, bias }) => [
      [`${layer.name}.weight`, weight] as const,
      ...(bias === undefined ? [] : [[`${layer.name}.bias`, bias] as const]),
    ]),
  );
  return {
    weights: weights.map((tensor) => ({ ...tensor, values: cleared.get(tensor.name)! })),
    dead: stages.slice(0, -1).map(({ layer, units, dead }) => ({
      layer: layer.name,
      units,
      dead: [...dead].sort((a, b) => a - b),
    })),
  };
}

/**
 * The network without its dead units, and the weights that are left. A layer of dead units alone keeps the first one.
 * Otherwise as `clearDead`.
 */
export function removeDead(
  network: Network,
  weights: Weights,
): { network: Network; weights: Weights; dead: DeadUnits[] } {
  const { weights: cleared, dead } = clearDead(network, weights);
  const gone = new Map(
    dead.map(({ layer, units, dead }) => [layer, new Set(dead.length === units ? dead.slice(1) : dead)]),
  );
  if ([...gone.values()].every(({ size }) => size === 0)) return { network, weights: cleared, dead };
  const values = new Map<string, Float32Array>();
  let before = new Set<number>();
  for (const { layer, weight, bias, sources, units } of stagesOf(network, cleared)) {
    const own = gone.get(layer.name) ?? new Set<number>();
    const stays = (_: number, at: number): boolean =>
      !own.has(at % units) && !before.has(Math.floor(at / units) % sources);
    values.set(`${layer.name}.weight`, weight.filter(stays));
    if (bias !== undefined) values.set(`${layer.name}.bias`, bias.filter((_, unit) => !own.has(unit)));
    before = own;
  }
  const left: string[] = [];
  const layers = network.layers.map((layer): Layer => {
    if (layer.type !== "convolution" && layer.type !== "dense") return layer;
    const lost = gone.get(layer.name);
    if (lost === undefined) return layer;
    const units = (layer.type === "dense" ? layer.units : layer.filters) - lost.size;
    left.push(String(units));
    return layer.type === "dense" ? { ...layer, units } : { ...layer, filters: units };
  });
  const smaller = { ...network, name: `${network.name} ${left.join("-")}`, layers };
  const parameters = parametersOf(smaller);
  const kept = parameters.map((parameter) => ({ ...parameter, values: values.get(parameter.name)! }));
  return { network: smaller, weights: kept, dead };
}

/**
 * A layer with weights: [positions, sources, units], as they lie in memory. A source is a unit of the layer before,
 * read at every cell of the kernel or every place of the image that was flattened.
 */
interface Stage {
  readonly layer: Convolution | Dense;
  readonly weight: Float32Array;
  readonly bias: Float32Array | undefined;
  readonly sources: number;
  readonly units: number;
  readonly dead: Set<number>;
}

function stagesOf(network: Network, weights: Weights): Stage[] {
  const valuesOf = (name: string, count: number): Float32Array => {
    const found = weights.find((tensor) => tensor.name === name)?.values;
    if (found === undefined) throw new RangeError(`dead units: ${network.name} needs a tensor "${name}"`);
    if (found.length !== count) {
      throw new RangeError(`dead units: ${name} needs ${count} values, got ${found.length}`);
    }
    const bad = found.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) throw new RangeError(`dead units: ${name} holds ${found[bad]} at index ${bad}`);
    return found.slice();
  };
  const shapes = new Map(parametersOf(network).map(({ name, shape }) => [name, shape]));
  let sources = network.input.channels;
  const stages: Stage[] = [];
  for (const layer of network.layers) {
    if (layer.type !== "convolution" && layer.type !== "dense") continue;
    const units = layer.type === "dense" ? layer.units : layer.filters;
    const weight = valuesOf(`${layer.name}.weight`, sizeOf(shapes.get(`${layer.name}.weight`)!));
    const bias = layer.bias ? valuesOf(`${layer.name}.bias`, units) : undefined;
    stages.push({ layer, weight, bias, sources, units, dead: new Set() });
    sources = units;
  }
  return stages;
}

/** Clears a unit if it is dead, and says whether it was. */
function bury(stage: Stage, next: Stage, unit: number): boolean {
  const { weight, bias, units, layer } = stage;
  const hasOutput = placesOf(next, unit).some((at) => next.weight[at] !== 0);
  if (hasOutput) {
    for (let at = unit; at < weight.length; at += units) if (weight[at] !== 0) return false;
    // The largest of equal numbers is that number: pooling in between changes nothing.
    const constant = Math.fround(activate(layer.activation, bias?.[unit] ?? 0));
    if (constant !== 0 && !moveToBias(next, unit, constant)) return false;
    for (const at of placesOf(next, unit)) next.weight[at] = 0;
  }
  for (let at = unit; at < weight.length; at += units) weight[at] = 0;
  if (bias !== undefined) bias[unit] = 0;
  stage.dead.add(unit);
  return true;
}

/** Where the weights stand that read source `source`, one row of units after the other. */
function placesOf({ weight, sources, units }: Stage, source: number): number[] {
  const places: number[] = [];
  for (let row = source * units; row < weight.length; row += sources * units) {
    for (let unit = 0; unit < units; unit++) places.push(row + unit);
  }
  return places;
}

function moveToBias({ layer, weight, bias, sources, units }: Stage, source: number, constant: number): boolean {
  const padded = layer.type === "convolution" && layer.padding === "same";
  if (bias === undefined || padded) return false;
  for (let unit = 0; unit < units; unit++) {
    let sum = bias[unit]!;
    for (let at = source * units + unit; at < weight.length; at += sources * units) sum += weight[at]! * constant;
    bias[unit] = sum;
  }
  return true;
}
