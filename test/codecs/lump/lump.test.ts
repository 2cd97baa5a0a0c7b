import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { lump, type Lumped } from "../../../codecs/lump/lump.ts";
import { createRuntime, ShapeError } from "../../../lib/index.ts";
import { lenet300, softmax } from "../../../lib/architectures.ts";
import type { Activation, Dense, Layer, Network } from "../../../lib/network.ts";
import type { Weights } from "../../../lib/weights.ts";
import { forward } from "../../../models/index.ts";
import { drawWeights, Garden, hiddenNetworks, hiddenUnits, numbers } from "./planted.ts";

// In float64, so that what is seen is lumping and not the order of sums.
const runtime = await createRuntime({ device: "reference", precision: "float64" });

/** Outputs for eight images, black and white ones among them. */
async function outputsOf(network: Network, weights: Weights): Promise<number[]> {
  const { height, width, channels, scale, offset } = network.input;
  const size = height * width * channels;
  const next = numbers(99);
  const images = Float64Array.from({ length: 8 * size }, (_, i) => {
    const byte = i < size ? 0 : i < 2 * size ? 255 : Math.floor((next() + 3) * 42);
    return (byte - offset) * scale;
  });
  const outputs = runtime.step(() =>
    forward(
      network,
      weights.map(({ values, shape }) => runtime.tensor(values, shape)),
      runtime.tensor(images, [8, height, width, channels]),
    ),
  );
  return Array.from(await outputs.read());
}

function farthest(a: readonly number[], b: readonly number[]): number {
  assert.equal(a.length, b.length);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}

const largest = (outputs: readonly number[]): number => outputs.reduce((most, y) => Math.max(most, Math.abs(y)), 0);

/** The largest sum of magnitudes behind an output: what a float32 step of each weight is to be compared with. */
async function sizeOf(network: Network, weights: Weights): Promise<number> {
  const { scale, offset } = network.input;
  const layers = network.layers.map((layer) => ("bias" in layer ? { ...layer, activation: "none" as const } : layer));
  // Bytes above the offset and below it weigh the same, and none more than this.
  const most = Math.max(Math.abs(offset), Math.abs(255 - offset)) * scale;
  const input = { ...network.input, scale: most / 255, offset: 0 };
  const sizes = weights.map((tensor) => ({ ...tensor, values: tensor.values.map(Math.abs) }));
  return largest(await outputsOf({ ...network, input, layers }, sizes));
}

/** Whether the outputs agree within 1e-5, of the sums behind them or (`exactly`) of themselves, and the bound holds. */
async function checkSame(network: Network, weights: Weights, lumped: Lumped, exactly = false): Promise<void> {
  const before = await outputsOf(network, weights);
  const off = farthest(before, await outputsOf(lumped.network, lumped.weights));
  const size = exactly ? largest(before) : await sizeOf(network, weights);
  assert.ok(off <= 1e-5 * Math.max(1, size), `outputs are ${off} apart, of ${size}`);
  assert.ok(off <= lumped.bound + 1e-12 * largest(before), `outputs are ${off} apart, the bound says ${lumped.bound}`);
}

const functions: Readonly<Record<Activation, (x: number) => number>> = {
  none: (x) => x,
  relu: (x) => Math.max(0, x),
  leakyRelu: (x) => (x < 0 ? 0.01 * x : x),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
};

/** A factor that the activation of a layer and what follows it let through. */
function factorFor(activation: Activation, between: readonly Layer[], draw: number, exactly: boolean) {
  const isPooled = between.some(({ type }) => type === "maxPool");
  const size = exactly ? 2 ** ((draw % 5) - 2) : 0.25 + draw / 25;
  const sign = draw % 2 === 0 || isPooled ? 1 : -1;
  switch (activation) {
    case "none":
      return sign * size;
    case "relu":
    case "leakyRelu":
      return size;
    case "tanh":
      return sign;
    case "sigmoid":
      return 1;
  }
}

suite("lump", () => {
  const plantings = fc.array(fc.record({ layer: fc.nat(3), unit: fc.nat(10), draw: fc.nat(99) }), { maxLength: 5 });

  test("keeps the function and finds every planted multiple, through all layers", async () => {
    await fc.assert(
      fc.asyncProperty(hiddenNetworks, plantings, fc.boolean(), fc.nat(1e6), async (network, plan, exactly, seed) => {
        const next = numbers(seed, exactly ? 64 : 100);
        const garden = new Garden(network, drawWeights(network, next));
        const before = hiddenUnits(network);
        const hidden = before.length - 1;
        // From the last layer back: the weights that make two units equal are then spread over more sources.
        for (const { layer, unit, draw } of [...plan].sort((a, b) => (b.layer % hidden) - (a.layer % hidden))) {
          const l = layer % hidden;
          const { activation } = network.layers.filter((found) => "bias" in found)[l]!;
          garden.double(l, unit % before[l]!, factorFor(activation, garden.between(l), draw, exactly), next);
        }
        const kept = structuredClone(garden.weights);
        const lumped = lump(garden.network, garden.weights);
        assert.deepEqual(garden.weights, kept, "the input is left alone");
        const after = hiddenUnits(lumped.network);
        for (const [l, units] of after.entries()) {
          assert.ok(units <= before[l]!, `layer ${l}: ${units} of ${before[l]}`);
        }
        assert.deepEqual(lumped.layers.map((layer) => layer.after), after);
        assert.deepEqual(lumped.layers.map((layer) => layer.before), hiddenUnits(garden.network));
        await checkSame(garden.network, garden.weights, lumped, exactly);
      }),
      { numRuns: 120 },
    );
  });

  test("keeps the function of units that are no multiples, and the units too", async () => {
    await fc.assert(
      fc.asyncProperty(hiddenNetworks, fc.nat(1e6), async (network, seed) => {
        const weights = drawWeights(network, numbers(seed));
        const lumped = lump(network, weights);
        await checkSame(network, weights, lumped);
        const again = lump(lumped.network, lumped.weights);
        assert.deepEqual(hiddenUnits(again.network), hiddenUnits(lumped.network), "twice is once");
        assert.deepEqual(again.weights, lumped.weights, "twice is once");
      }),
      { numRuns: 100 },
    );
  });

  test("folds units that read nothing, or keeps one where a border would not see the constant", async () => {
    await fc.assert(
      fc.asyncProperty(hiddenNetworks, plantings, fc.nat(1e6), async (network, planted, seed) => {
        const next = numbers(seed);
        const garden = new Garden(network, drawWeights(network, next));
        const before = hiddenUnits(network);
        const withWeights = network.layers.filter((layer) => "bias" in layer);
        const isPlanted = before.map(() => 0);
        // From the first layer on: a constant that comes later reads nothing of those before it.
        for (const l of planted.map(({ layer }) => layer % (before.length - 1)).sort()) {
          garden.addConstant(l, functions[withWeights[l]!.activation], next);
          isPlanted[l] = 1;
        }
        const lumped = lump(garden.network, garden.weights);
        for (const [l, units] of hiddenUnits(lumped.network).entries()) {
          const after = withWeights[l + 1];
          const mayStay = after?.type === "convolution" && after.padding === "same" ? isPlanted[l]! : 0;
          assert.ok(units <= before[l]! + mayStay, `layer ${l}: ${units} of ${before[l]}`);
        }
        await checkSame(garden.network, garden.weights, lumped);
      }),
      { numRuns: 100 },
    );
  });

  test("with a tolerance, outputs stay within the bound that it reports, and near multiples go", async () => {
    let merged = 0;
    await fc.assert(
      fc.asyncProperty(hiddenNetworks, fc.nat(1e6), fc.nat(10), async (network, seed, unit) => {
        const next = numbers(seed);
        const garden = new Garden(network, drawWeights(network, next));
        garden.double(0, unit % hiddenUnits(network)[0]!, 1, next);
        const shaken = garden.weights.map((tensor) => ({
          ...tensor,
          values: tensor.values.map((value) => value * (1 + next() * 1e-3)),
        }));
        const outputs = await outputsOf(garden.network, shaken);
        const lumped = lump(garden.network, shaken, { tolerance: 0.02 });
        assert.ok(hiddenUnits(lumped.network)[0]! <= hiddenUnits(network)[0]!);
        merged += lumped.layers[0]!.classes.length;
        const off = farthest(outputs, await outputsOf(lumped.network, lumped.weights));
        assert.ok(off <= lumped.bound + 1e-12 * largest(outputs), `${off} apart, the bound says ${lumped.bound}`);
      }),
      { numRuns: 100 },
    );
    assert.ok(merged > 50, `${merged} classes: too few to say anything`);
  });

  test("the bound is reached, where all differences pull one way", async () => {
    // Rows (1, 1) and (1, 1.01): white in both inputs, 2 against 2.01, times the outgoing 3.
    const network = denseNetwork(2, [["h", 2, "none"], ["out", 1, "none"]]);
    const weights = values(network, [1, 1, 1, 1.01], [0, 0], [1, 3], [0]);
    const { bound, weights: small, network: lumped } = lump(network, weights, { tolerance: 0.02 });
    assert.deepEqual(lumped.layers.filter((layer) => "units" in layer).map(({ units }) => units), [1, 1]);
    const before = await outputsOf(network, weights);
    const off = farthest(before, await outputsOf(lumped, small));
    assert.ok(Math.abs(bound - off) < 1e-6, `${bound} and ${off}`);
  });
});

function denseNetwork(inputs: number, layers: readonly (readonly [string, number, Activation])[]): Network {
  const dense = layers.map(
    ([name, units, activation]): Dense => ({ type: "dense", name, units, bias: true, activation }),
  );
  return {
    name: "golden",
    input: { height: 1, width: 1, channels: inputs, scale: 1 / 255, offset: 0 },
    layers: [{ type: "flatten" }, ...dense],
    classes: Array.from({ length: dense.at(-1)!.units }, (_, i) => `${i}`),
  };
}

function values(network: Network, ...arrays: readonly (readonly number[])[]): Weights {
  return drawWeights(network, () => 0).map((tensor, i) => ({ ...tensor, values: Float32Array.from(arrays[i]!) }));
}

const numbersOf = (weights: Weights): number[][] => weights.map((tensor) => [...tensor.values]);

suite("lump, by hand", () => {
  test("a cascade: units that are equal only because their sources are", () => {
    // n0 = (1, 2 | 1), n1 = 2 n0, n2 = (1, -1 | 0); m0 = (3, 0, 1 | .5), m1 = (1, 1, 1 | .5), m2 = (2, 1, 1 | .5).
    const network = denseNetwork(2, [["n", 3, "relu"], ["m", 3, "relu"], ["out", 1, "none"]]);
    const n = [[1, 2, 1, 2, 4, -1], [1, 2, 0]] as const;
    const m = [[3, 1, 2, 0, 1, 1, 1, 1, 1], [0.5, 0.5, 0.5]] as const;
    const lumped = lump(network, values(network, ...n, ...m, [1, 2, 3], [0]));
    assert.deepEqual(lumped.layers.map(({ classes }) => classes), [
      [{ units: [0, 1], factors: [1, 2] }],
      [{ units: [0, 1], factors: [1, 1] }],
      [],
    ]);
    assert.deepEqual(numbersOf(lumped.weights), [
      [1, 1, 2, -1], [1, 0],
      [3, 4, 1, 1], [0.5, 0.5],
      [3, 3], [0],
    ]);
    assert.equal(lumped.bound, 0);
  });

  test("which factors pass which activation", () => {
    const kept = (activation: Activation, factor: number, pooled = false): number => {
      const network: Network = {
        ...denseNetwork(2, [["out", 1, "none"]]),
        input: { height: 2, width: 2, channels: 2, scale: 1, offset: 0 },
        layers: [
          {
            type: "convolution",
            name: "c",
            filters: 2,
            kernel: [1, 1],
            stride: [1, 1],
            padding: "valid",
            bias: true,
            activation,
          },
          ...(pooled ? [{ type: "maxPool", size: 2, stride: 2 } as const] : []),
          { type: "flatten" },
          { type: "dense", name: "out", units: 1, bias: false, activation: "none" },
        ],
      };
      const out = new Array<number>(pooled ? 2 : 8).fill(1);
      // With rows of another sign first, a normalisation that turned signs would be seen.
      const weights = values(network, [1, factor, -2, -2 * factor], [1, factor], out);
      return hiddenUnits(lump(network, weights).network)[0]!;
    };
    const factors = [2, 1, -1, -2];
    assert.deepEqual(factors.map((factor) => kept("none", factor)), [1, 1, 1, 1]);
    assert.deepEqual(factors.map((factor) => kept("none", factor, true)), [1, 1, 2, 2]);
    assert.deepEqual(factors.map((factor) => kept("relu", factor)), [1, 1, 2, 2]);
    assert.deepEqual(factors.map((factor) => kept("leakyRelu", factor)), [1, 1, 2, 2]);
    assert.deepEqual(factors.map((factor) => kept("tanh", factor)), [2, 1, 1, 2]);
    assert.deepEqual(factors.map((factor) => kept("tanh", factor, true)), [2, 1, 2, 2]);
    assert.deepEqual(factors.map((factor) => kept("sigmoid", factor)), [2, 1, 2, 2]);
  });

  test("one bias that differs, or one weight, keeps units apart; a float32 step does not", () => {
    const network = denseNetwork(2, [["h", 2, "relu"], ["out", 1, "none"]]);
    const kept = (a: number, b: number, bias: number): number =>
      hiddenUnits(lump(network, values(network, [1, a, 1, b], [1, bias], [1, 1], [0])).network)[0]!;
    assert.equal(kept(3, 3, 3), 1);
    assert.equal(kept(3, 3, 3.001), 2);
    assert.equal(kept(3, 3.0001, 3), 2);
    assert.equal(kept(3, 3 + 2 ** -22, 3), 1);
  });

  test("a layer of constants: the biases take all, and one unit stays, read by nobody", () => {
    const network = denseNetwork(2, [["h", 3, "relu"], ["g", 2, "none"], ["out", 2, "none"]]);
    const g = [[1, 2, 3, 4, 5, 6], [0, 0]] as const;
    const lumped = lump(network, values(network, [0, 0, 0, 0, 0, 0], [1, -1, 2], ...g, [1, 2, 3, 4], [5, 6]));
    assert.deepEqual(hiddenUnits(lumped.network), [1, 1, 2]);
    // g = (1 + 10, 2 + 12); out = (5 + 11 + 42, 6 + 22 + 56).
    assert.deepEqual([...lumped.weights.at(-1)!.values], [58, 84]);
    assert.deepEqual(lumped.layers[0]!.constant, [1, 2]);
  });

  test("a layer without biases gets some when it takes in a constant", () => {
    const network = denseNetwork(1, [["h", 2, "sigmoid"], ["out", 1, "none"]]);
    const [flatten, h, out] = network.layers as [Layer, Dense, Dense];
    const bare = { ...network, layers: [flatten, h, { ...out, bias: false }] };
    const lumped = lump(bare, values(bare, [1, 0], [1, 0], [1, 4]));
    assert.deepEqual(lumped.network.layers.at(-1), { ...out, bias: true });
    assert.deepEqual(numbersOf(lumped.weights), [[1], [1], [1], [2]]);
  });

  test("units that nobody reads go, and what only they read", () => {
    const network = denseNetwork(1, [["h", 2, "relu"], ["g", 2, "relu"], ["out", 1, "none"]]);
    const lumped = lump(network, values(network, [1, 2], [1, 3], [1, 0, 0, 1], [0, 0], [1, 0], [0]));
    assert.deepEqual(lumped.layers.map(({ unread }) => unread), [[1], [1], []]);
    assert.deepEqual(numbersOf(lumped.weights), [[1], [1], [1], [0], [1], [0]]);
  });

  test("what cannot be lumped is refused", () => {
    const weights = drawWeights(lenet300, numbers(1));
    assert.throws(() => lump(softmax, drawWeights(softmax, numbers(1))), /softmax has no hidden layer/);
    assert.throws(() => lump(lenet300, weights.slice(1)), ShapeError);
    assert.throws(() => lump(lenet300, [...weights].reverse()), ShapeError);
    const [first, ...rest] = weights;
    const bad = [{ ...first!, values: first!.values.map((value, i) => (i === 3 ? NaN : value)) }, ...rest];
    assert.throws(() => lump(lenet300, bad), /fc1.weight holds NaN at index 3/);
    for (const tolerance of [-1, 1, NaN]) assert.throws(() => lump(lenet300, weights, { tolerance }), RangeError);
    // Weights used by two layers, and layers that no chain has.
    const [flatten, fc1] = lenet300.layers as [Layer, Dense];
    const shared = { ...lenet300, layers: [flatten, { ...fc1, units: 784 }, { ...fc1, units: 784 }] };
    const classes = new Array<string>(784).fill("");
    assert.throws(() => lump({ ...shared, classes }, weights), /two layers have the same name/);
    const residual = { ...lenet300, layers: [flatten, { type: "add", from: 0 } as never] };
    assert.throws(() => lump(residual, weights), /no such layer/);
    // 1e30 times as large, and 1e30 times as much read: more than float32 holds.
    const network = denseNetwork(1, [["h", 2, "relu"], ["out", 1, "none"]]);
    assert.throws(() => lump(network, values(network, [1e-5, 1e30], [0, 0], [1, 1e30], [0])), /leave the range/);
  });
});
