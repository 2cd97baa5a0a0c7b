import fc from "fast-check";
import { parametersOf } from "../../../lib/architectures.ts";
import type { Activation, Convolution, Dense, Layer, Network } from "../../../lib/network.ts";
import { seedKey, word } from "../../../lib/random.ts";
import { sizeOf } from "../../../lib/shape.ts";
import type { Weights } from "../../../lib/weights.ts";

/** Numbers from -3 to 3 on a grid, by default of hundredths, as many as asked for. */
export function numbers(seed: number, grid = 100): () => number {
  const key = seedKey(seed);
  let i = 0;
  return () => Math.fround(((word(key, 0, 0, i++) % (6 * grid + 1)) - 3 * grid) / grid);
}

type WithUnits = Convolution | Dense;
const isWithUnits = (layer: Layer): layer is WithUnits => layer.type === "convolution" || layer.type === "dense";
export const unitsOf = (layer: WithUnits): number => (layer.type === "convolution" ? layer.filters : layer.units);
export const hiddenUnits = ({ layers }: Network): number[] => layers.filter(isWithUnits).map(unitsOf);

export function drawWeights(network: Network, next: () => number): Weights {
  return parametersOf(network).map(({ name, shape }) => ({
    name,
    shape,
    values: Float32Array.from({ length: sizeOf(shape) }, next),
  }));
}

const activation = fc.constantFrom<Activation>("none", "relu", "leakyRelu", "sigmoid", "tanh");
const convolution = fc.record({
  type: fc.constant("convolution" as const),
  filters: fc.integer({ min: 1, max: 4 }),
  kernel: fc.constantFrom([1, 1], [2, 2], [3, 2]) as fc.Arbitrary<[number, number]>,
  stride: fc.constantFrom([1, 1], [2, 1]) as fc.Arbitrary<[number, number]>,
  padding: fc.constantFrom("valid" as const, "same" as const),
  bias: fc.boolean(),
  activation,
});
const dense = fc.record({
  type: fc.constant("dense" as const),
  units: fc.integer({ min: 1, max: 5 }),
  bias: fc.boolean(),
  activation,
});
const pool: Layer = { type: "maxPool", size: 2, stride: 1 };

/** Networks with one hidden layer or more, of every kind: 9 x 7 pixels of two channels, two outputs. */
export const hiddenNetworks: fc.Arbitrary<Network> = fc
  .record({
    pixels: fc.constantFrom([1 / 255, 0], [1 / 100, 128]),
    front: fc.array(fc.tuple(convolution, fc.boolean()), { maxLength: 2 }),
    back: fc.array(dense, { maxLength: 2 }),
    drops: fc.boolean(),
    last: dense,
  })
  .filter(({ front, back }) => front.length + back.length > 0)
  .map(({ pixels, front, back, drops, last }) => ({
    name: "hidden",
    input: { height: 9, width: 7, channels: 2, scale: pixels[0]!, offset: pixels[1]! },
    layers: [
      ...front.flatMap(([layer, pooled], i) => [{ ...layer, name: `c${i}` }, ...(pooled ? [pool] : [])]),
      { type: "flatten" } as const,
      ...(drops ? [{ type: "dropout", keep: 0.5 } as const] : []),
      ...back.map((layer, i) => ({ ...layer, name: `d${i}` })),
      // Outputs as large as what they are sums of, so that differences between them mean something.
      { ...last, units: 2, name: "out", activation: "none" as const },
    ],
    classes: ["a", "b"],
  }))
  .filter(fits);

/** Whether every window fits into what it slides over. */
function fits(network: Network): boolean {
  try {
    return parametersOf(network).length > 0;
  } catch {
    return false;
  }
}

interface Tensor {
  shape: readonly number[];
  values: Float32Array;
}

/** A network whose units can be added to, by plain loops over [positions, sources, units]. */
export class Garden {
  network: Network;
  readonly #tensors = new Map<string, Tensor>();

  constructor(network: Network, weights: Weights) {
    this.network = network;
    for (const { name, shape, values } of weights) this.#tensors.set(name, { shape, values: values.slice() });
  }

  get weights(): Weights {
    return parametersOf(this.network).map(({ name, shape }) => {
      const { values } = this.#tensors.get(name)!;
      return { name, shape, values };
    });
  }

  get #layers(): WithUnits[] {
    return this.network.layers.filter(isWithUnits);
  }

  /** What stands between hidden layer `l` and the next one with weights. */
  between(l: number): readonly Layer[] {
    const { layers } = this.network;
    const [from, to] = [this.#layers[l]!, this.#layers[l + 1]!];
    return layers.slice(layers.indexOf(from) + 1, layers.indexOf(to));
  }

  /**
   * Gives hidden layer `l` one more unit, which computes `factor` times what unit `s` does, and takes as much from the
   * outgoing weights of `s` as the new one brings: the function stays.
   */
  double(l: number, s: number, factor: number, next: () => number): void {
    const [layer, after] = [this.#layers[l]!, this.#layers[l + 1]!];
    const units = unitsOf(layer);
    const incoming = this.#tensors.get(`${layer.name}.weight`)!.values;
    const bias = this.#tensors.get(`${layer.name}.bias`)?.values ?? new Float32Array(0);
    this.#addUnit(l, (at) => Math.fround(factor * incoming[at * units + s]!), Math.fround(factor * bias[s]!));
    const width = unitsOf(after);
    this.#addSource(l, units, (values, row, fresh) => {
      for (let u = 0; u < width; u++) {
        fresh[u] = next();
        values[(row + s) * width + u]! -= Math.fround(factor * fresh[u]!);
      }
    });
  }

  /** Gives hidden layer `l` one more unit that reads nothing. What it adds goes off the next biases. */
  addConstant(l: number, activations: (x: number) => number, next: () => number): void {
    const [layer, after] = [this.#layers[l]!, this.#layers[l + 1]!];
    const value = next();
    const bias = this.#tensors.get(`${after.name}.bias`)?.values;
    this.#addUnit(l, () => 0, value);
    const constant = activations(layer.bias ? value : 0);
    const width = unitsOf(after);
    this.#addSource(l, unitsOf(layer), (_, __, fresh) => {
      for (let u = 0; u < width; u++) {
        fresh[u] = next();
        if (bias !== undefined) bias[u]! -= constant * fresh[u]!;
      }
    });
  }

  #addUnit(l: number, weight: (at: number) => number, bias: number): void {
    const layer = this.#layers[l]!;
    const units = unitsOf(layer);
    const grow = (name: string, value: (at: number) => number): void => {
      const tensor = this.#tensors.get(`${layer.name}.${name}`);
      if (tensor === undefined) return;
      const rows = tensor.values.length / units;
      const values = Float32Array.from({ length: rows * (units + 1) }, (_, at) => {
        const [row, u] = [Math.floor(at / (units + 1)), at % (units + 1)];
        return u < units ? tensor.values[row * units + u]! : value(row);
      });
      this.#tensors.set(`${layer.name}.${name}`, { shape: [...tensor.shape.slice(0, -1), units + 1], values });
    };
    grow("weight", weight);
    grow("bias", () => bias);
    const grown = layer.type === "dense" ? { ...layer, units: units + 1 } : { ...layer, filters: units + 1 };
    this.network = { ...this.network, layers: this.network.layers.map((old) => (old === layer ? grown : old)) };
  }

  /** Rows for a new last source behind layer `l`, which had `sources`: `fill` gets the old rows and the new one. */
  #addSource(l: number, sources: number, fill: (old: Float32Array, row: number, fresh: Float32Array) => void): void {
    const after = this.#layers[l + 1]!;
    const width = unitsOf(after);
    const { values } = this.#tensors.get(`${after.name}.weight`)!;
    const positions = values.length / width / sources;
    const rows: number[] = [];
    for (let p = 0; p < positions; p++) {
      const fresh = new Float32Array(width);
      fill(values, p * sources, fresh);
      rows.push(...values.subarray(p * sources * width, (p + 1) * sources * width), ...fresh);
    }
    this.#tensors.set(`${after.name}.weight`, { shape: [], values: Float32Array.from(rows) });
  }
}
