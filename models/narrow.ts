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
  const small = parametersOf(narrow(network, live));
  const whole = parametersOf(network);
  const fits = weights.length === whole.length && whole.every(({ name, shape }, t) => {
    const found = weights[t]!;
    return found.name === name && equalShapes(found.shape, shape);
  });
  if (!fits) throw new RangeError(`strongest: these are not the weights of ${network.name}`);
  const matrices = weights.filter(({ shape }) => shape.length > 1);
  /** Rows of the matrices of all layers are inputs, the channels of an image running fastest; columns are outputs. */
  const rowsOf = ({ shape, values }: NamedArray): number => values.length / shape.at(-1)!;
  const chosen = matrices.map((matrix, layer): readonly number[] => {
    const outputs = matrix.shape.at(-1)!;
    const all = Array.from({ length: outputs }, (_, unit) => unit);
    const count = live[layer];
    if (count === undefined) return all;
    const next = matrices[layer + 1]!;
    const strengths = all.map((unit) => {
      let [incoming, outgoing] = [0, 0];
      for (let row = 0; row < rowsOf(matrix); row++) incoming += square(matrix.values[row * outputs + unit]!);
      const columns = next.shape.at(-1)!;
      for (let row = unit; row < rowsOf(next); row += outputs) {
        for (let column = 0; column < columns; column++) outgoing += square(next.values[row * columns + column]!);
      }
      return incoming * outgoing;
    });
    const best = [...all].sort((a, b) => strengths[b]! - strengths[a]! || a - b);
    return best.slice(0, count).sort((a, b) => a - b);
  });
  let layer = -1;
  return weights.map(({ name, shape, values }, t): NamedArray => {
    if (shape.length > 1) layer += 1;
    const outputs = chosen[layer]!;
    const inputs = shape.length > 1 && layer > 0 ? chosen[layer - 1]! : undefined;
    const columns = shape.at(-1)!;
    const rows = values.length / columns;
    const before = layer > 0 ? matrices[layer - 1]!.shape.at(-1)! : 1;
    const kept: number[] = [];
    for (let row = 0; row < rows; row++) {
      if (inputs !== undefined && !inputs.includes(row % before)) continue;
      for (const unit of outputs) kept.push(values[row * columns + unit]!);
    }
    return { name, shape: small[t]!.shape, values: Float32Array.from(kept) };
  });
}

function square(x: number): number {
  return x * x;
}
