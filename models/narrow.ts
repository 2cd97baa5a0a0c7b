import { parametersOf } from "../lib/architectures.ts";
import type { Layer, Network } from "../lib/network.ts";
import { equalShapes } from "../lib/shape.ts";
import type { NamedArray, Weights } from "../lib/weights.ts";

/**
 * The network with fewer units: `live` of them in each convolution or dense layer but the last, in order. Its weights
 * are those of the first units of the whole network. RangeError for counts that the layers do not have.
 */
export function narrow(network: Network, live: readonly number[]): Network {
  const layers = network.layers.filter((layer) => layer.type === "convolution" || layer.type === "dense");
  const counted = layers.length - 1;
  if (live.length !== counted) {
    throw new RangeError(`narrow: ${network.name} takes ${counted} live counts, got ${live.length}`);
  }
  let at = 0;
  const count = (most: number, name: string): number => {
    if (at === counted) return most;
    const units = live[at++]!;
    if (Number.isInteger(units) && units >= 1 && units <= most) return units;
    throw new RangeError(`narrow: ${name} has from 1 to ${most} live units, got ${units}`);
  };
  const narrowed = network.layers.map((layer): Layer => {
    if (layer.type === "convolution") return { ...layer, filters: count(layer.filters, layer.name) };
    if (layer.type === "dense") return { ...layer, units: count(layer.units, layer.name) };
    return layer;
  });
  return { ...network, name: `${network.name} ${live.join("-")}`, layers: narrowed };
}

/**
 * Weights for `narrow(network, live)` from those of the whole network: of each layer the units that count most, by the
 * product of the norms of what comes in and what goes out. Nothing is trained here, so accuracy suffers until it is.
 * Throws as `narrow`, and RangeError for weights of another network.
 */
export function strongest(network: Network, weights: Weights, live: readonly number[]): Weights {
  narrow(network, live);
  checkWeights("strongest", network, weights);
  const matrices = weights.filter(({ shape }) => shape.length > 1);
  const chosen = live.map((count, layer): number[] => {
    const [own, next] = [matrices[layer]!, matrices[layer + 1]!];
    const outputs = own.shape.at(-1)!;
    const strengths = Array.from({ length: outputs }, (_, unit) => {
      let [incoming, outgoing] = [0, 0];
      for (let row = 0; row < rowsOf(own); row++) incoming += square(own.values[row * outputs + unit]!);
      const columns = next.shape.at(-1)!;
      for (let row = unit; row < rowsOf(next); row += outputs) {
        for (let column = 0; column < columns; column++) outgoing += square(next.values[row * columns + column]!);
      }
      return incoming * outgoing;
    });
    const best = strengths.map((_, unit) => unit).sort((a, b) => strengths[b]! - strengths[a]! || a - b);
    return best.slice(0, count).sort((a, b) => a - b);
  });
  return keepUnits(network, weights, chosen);
}

/**
 * Weights of the network that has only these units of each layer but the last, numbered from 0 in rising order. Throws
 * as `narrow` for their counts, and RangeError for units that a layer does not have and for weights of another network.
 */
export function keepUnits(network: Network, weights: Weights, units: readonly (readonly number[])[]): Weights {
  const small = parametersOf(narrow(network, units.map(({ length }) => length)));
  checkWeights("keepUnits", network, weights);
  const matrices = weights.filter(({ shape }) => shape.length > 1);
  units.forEach((chosen, layer) => {
    const most = matrices[layer]!.shape.at(-1)!;
    if (chosen.every((unit, i) => unit >= 0 && unit < most && (i === 0 || unit > chosen[i - 1]!))) return;
    throw new RangeError(`keepUnits: units must rise from 0 to ${most - 1}, got ${chosen.join(", ")}`);
  });
  let layer = -1;
  return weights.map(({ name, shape, values }, t): NamedArray => {
    if (shape.length > 1) layer += 1;
    const columns = shape.at(-1)!;
    const outputs = units[layer] ?? Array.from({ length: columns }, (_, unit) => unit);
    const inputs = shape.length > 1 && layer > 0 ? new Set(units[layer - 1]) : undefined;
    const before = layer > 0 ? matrices[layer - 1]!.shape.at(-1)! : 1;
    const kept: number[] = [];
    for (let row = 0; row < values.length / columns; row++) {
      if (inputs !== undefined && !inputs.has(row % before)) continue;
      for (const unit of outputs) kept.push(values[row * columns + unit]!);
    }
    return { name, shape: small[t]!.shape, values: Float32Array.from(kept) };
  });
}

function checkWeights(name: string, network: Network, weights: Weights): void {
  const whole = parametersOf(network);
  const fits = weights.length === whole.length && whole.every((parameter, t) => {
    const found = weights[t]!;
    return found.name === parameter.name && equalShapes(found.shape, parameter.shape);
  });
  if (!fits) throw new RangeError(`${name}: these are not the weights of ${network.name}`);
}

/** Rows of the matrices of all layers are inputs, the channels of an image running fastest; columns are outputs. */
function rowsOf({ shape, values }: NamedArray): number {
  return values.length / shape.at(-1)!;
}

function square(x: number): number {
  return x * x;
}
