import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { parametersOf } from "../../lib/architectures.ts";
import { createRuntime, grad, multiply, type Runtime, ShapeError, sum } from "../../lib/index.ts";
import type { Activation, Layer, Network } from "../../lib/network.ts";
import { fillNormal, seedKey } from "../../lib/random.ts";
import { sizeOf } from "../../lib/shape.ts";
import type { NamedArray, Weights } from "../../lib/weights.ts";
import { forward, initialise } from "../../models/index.ts";
import { devices, exactRuntime, runtimeOf } from "../lib/runtimes.ts";
import { smallNetwork } from "./small.ts";

const runtime = await createRuntime({ device: "reference" });

const activations: Readonly<Record<Activation, (x: number) => number>> = {
  none: (x) => x,
  relu: (x) => Math.max(0, x),
  leakyRelu: (x) => (x < 0 ? 0.01 * x : x),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
};

/** One image through a network by plain loops over its definition. */
function naive(network: Network, weights: Weights, image: Float32Array): number[] {
  const { height, width, channels } = network.input;
  const values = (name: string): Float32Array | undefined => weights.find((tensor) => tensor.name === name)?.values;
  let x = Array.from(image);
  let [h, w, c] = [height, width, channels];
  for (const layer of network.layers) {
    if (layer.type === "maxPool") {
      const [rows, columns] = [h, w].map((n) => Math.floor((n - layer.size) / layer.stride) + 1) as [number, number];
      const y: number[] = [];
      for (let i = 0; i < rows * columns * c; i++) {
        const [row, column, channel] = [Math.floor(i / c / columns), Math.floor(i / c) % columns, i % c];
        let top = -Infinity;
        for (let dy = 0; dy < layer.size; dy++) {
          for (let dx = 0; dx < layer.size; dx++) {
            top = Math.max(top, x[((row * layer.stride + dy) * w + column * layer.stride + dx) * c + channel]!);
          }
        }
        y.push(top);
      }
      [x, h, w] = [y, rows, columns];
    } else if (layer.type === "dense") {
      const bias = values(`${layer.name}.bias`);
      const weight = values(`${layer.name}.weight`)!;
      const from = x;
      x = Array.from({ length: layer.units }, (_, j) => {
        const sum = from.reduce((total, xi, i) => total + xi * weight[i * layer.units + j]!, bias?.[j] ?? 0);
        return activations[layer.activation](sum);
      });
    } else if (layer.type === "convolution") {
      const [kh, kw] = layer.kernel;
      const [sv, sh] = layer.stride;
      const same = layer.padding === "same";
      const out = (n: number, k: number, s: number): number => (same ? Math.ceil(n / s) : Math.floor((n - k) / s) + 1);
      const [rows, columns] = [out(h, kh, sv), out(w, kw, sh)];
      const before = (n: number, k: number, s: number, to: number): number =>
        same ? Math.floor(Math.max((to - 1) * s + k - n, 0) / 2) : 0;
      const [top, left] = [before(h, kh, sv, rows), before(w, kw, sh, columns)];
      const weight = values(`${layer.name}.weight`)!;
      const y: number[] = [];
      for (let i = 0; i < rows * columns * layer.filters; i++) {
        const f = i % layer.filters;
        const place = Math.floor(i / layer.filters);
        let sum = values(`${layer.name}.bias`)?.[f] ?? 0;
        for (let tap = 0; tap < kh * kw * c; tap++) {
          const row = Math.floor(place / columns) * sv + Math.floor(tap / c / kw) - top;
          const column = (place % columns) * sh + (Math.floor(tap / c) % kw) - left;
          if (row < 0 || row >= h || column < 0 || column >= w) continue;
          sum += x[(row * w + column) * c + (tap % c)]! * weight[tap * layer.filters + f]!;
        }
        y.push(activations[layer.activation](sum));
      }
      [x, h, w, c] = [y, rows, columns, layer.filters];
    }
  }
  return x;
}

const activation = fc.constantFrom<Activation>("none", "relu", "leakyRelu", "sigmoid", "tanh");
const small = fc.integer({ min: 1, max: 3 });

/** Networks of up to two convolutions, some pooling and one or two dense layers. */
const anyNetwork: fc.Arbitrary<Network> = fc
  .record({
    side: fc.integer({ min: 7, max: 9 }),
    channels: small,
    convolutions: fc.array(
      fc.record({
        filters: small,
        kernel: fc.tuple(small, small),
        stride: fc.tuple(fc.constantFrom(1, 2), fc.constantFrom(1, 2)),
        padding: fc.constantFrom<"valid" | "same">("valid", "same"),
        bias: fc.boolean(),
        activation,
      }),
      { maxLength: 2 },
    ),
    pooled: fc.constantFrom(0, 1, 2),
    hidden: fc.array(fc.record({ units: fc.integer({ min: 1, max: 4 }), bias: fc.boolean(), activation }), {
      maxLength: 1,
    }),
  })
  .map(({ side, channels, convolutions, pooled, hidden }): Network => {
    const layers: Layer[] = convolutions.map((layer, i) => ({ type: "convolution", name: `c${i}`, ...layer }));
    if (pooled > 0) layers.push({ type: "maxPool", size: 2, stride: pooled });
    layers.push({ type: "flatten" }, { type: "dropout", keep: 0.5 });
    hidden.forEach((layer, i) => layers.push({ type: "dense", name: `d${i}`, ...layer }));
    layers.push({ type: "dense", name: "last", units: 2, bias: true, activation: "none" });
    const input = { height: side, width: side - 1, channels, scale: 1, offset: 0 };
    return { name: "any", input, layers, classes: ["a", "b"] };
  })
  .filter((network) => {
    try {
      return parametersOf(network).length > 0;
    } catch {
      return false; // pooling or a kernel did not fit
    }
  });

/** A network, and how many neighbouring units have equal weights in each of its layers. */
const anyWidened = fc
  .tuple(anyNetwork, fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 4, maxLength: 4 }))
  .map(([network, times]): { readonly network: Network; readonly times: readonly number[] } => {
    let at = 0;
    const layers = network.layers.map((layer): Layer => {
      if (layer.type === "convolution") return { ...layer, filters: layer.filters * times[at++]! };
      if (layer.type === "dense") return { ...layer, units: layer.units * times[at++]! };
      return layer;
    });
    const classes = Array.from({ length: 2 * times[at - 1]! }, (_, i) => `class ${i}`);
    return { network: { ...network, layers, classes }, times };
  });

/** Outputs and gradients from distinct weights are those from all weights, but for an error relative to the largest. */
async function sharesWell(
  runtime: Runtime,
  { network, times }: { readonly network: Network; readonly times: readonly number[] },
  tolerance: number,
): Promise<void> {
  const { height, width, channels } = network.input;
  const parameters = parametersOf(network);
  let layer = 0;
  const repeats = parameters.map(({ shape }) => (shape.length > 1 ? times[layer++]! : 1));
  const distinct = parameters.map(({ name, shape }, i): NamedArray => {
    const few = [...shape.slice(0, -1), shape.at(-1)! / repeats[i]!];
    return { name, shape: few, values: draw(few, i) };
  });
  const whole = parameters.map(({ name, shape }, i): NamedArray => {
    const { values } = distinct[i]!;
    const repeated = Float32Array.from({ length: sizeOf(shape) }, (_, j) => values[Math.floor(j / repeats[i]!)]!);
    return { name, shape, values: repeated };
  });
  const pixels = draw([2, height, width, channels], 100);
  const run = async (weights: Weights): Promise<number[][]> => {
    const tensors = runtime.step(() => {
      const trained = weights.map(({ values, shape }) => runtime.tensor(values, shape));
      const images = runtime.tensor(pixels, [2, height, width, channels]);
      const logits = forward(network, trained, images);
      const slopes = runtime.tensor(draw(logits.shape, 200), logits.shape);
      return [...grad(sum(multiply(logits, slopes)), [...trained, images]), logits];
    });
    return Promise.all(tensors.map(async (tensor) => Array.from(await tensor.read())));
  };
  const [found, expected] = [await run(distinct), await run(whole)];
  found.forEach((values, i) => {
    // A distinct weight's gradient is the sum of those of the weights that it stands for.
    const each = repeats[i] ?? 1;
    const sums = values.map((_, j) => expected[i]!.slice(each * j, each * (j + 1)).reduce((total, v) => total + v, 0));
    const most = Math.max(1, ...expected[i]!.map(Math.abs));
    values.forEach((value, j) => {
      const what = parameters[i]?.name ?? ["images", "logits"][i - parameters.length];
      assert.ok(Math.abs(value - sums[j]!) <= tolerance * most, `${what} ${j}: ${value}, not ${sums[j]}`);
    });
  });
}

function draw(shape: readonly number[], block: number): Float32Array {
  const values = new Float32Array(sizeOf(shape));
  fillNormal(values, seedKey(7), { stream: 3, block });
  return values;
}

suite("forward", () => {
  test("is what the layers say, for any network", () => {
    fc.assert(
      fc.property(anyNetwork, (network) => {
        const { height, width, channels } = network.input;
        const weights = parametersOf(network).map(({ name, shape }, i) => ({ name, shape, values: draw(shape, i) }));
        const images = draw([3, height, width, channels], 100);
        const logits = runtime
          .step(() =>
            forward(
              network,
              weights.map(({ values, shape }) => runtime.tensor(values, shape)),
              runtime.tensor(images, [3, height, width, channels]),
            ),
          )
          .readSync();
        const size = height * width * channels;
        for (let i = 0; i < 3; i++) {
          const expected = naive(network, weights, images.subarray(i * size, (i + 1) * size));
          expected.forEach((value, j) => {
            const got = logits[i * 2 + j]!;
            assert.ok(Math.abs(got - value) <= 1e-4 * (1 + Math.abs(value)), `image ${i}: ${got}, not ${value}`);
          });
        }
      }),
      { numRuns: 60 },
    );
  });

  test("computes units of equal weights once, as if each for itself, with all gradients", async () => {
    await fc.assert(fc.asyncProperty(anyWidened, (wide) => sharesWell(exactRuntime(), wide, 1e-12)), { numRuns: 60 });
  });

  for (const device of devices) {
    test(`computes units of equal weights once on ${device.name}`, async () => {
      const runtime = await runtimeOf(device);
      // Always the same ones: at the kink of a rectifier rounding may decide over a gradient.
      const settings = { numRuns: 8, seed: 1 };
      await fc.assert(fc.asyncProperty(anyWidened, (wide) => sharesWell(runtime, wide, 2e-5)), settings);
    });
  }

  test("drops in training only, and each step and layer its own, repeatably", () => {
    const input = { height: 1, width: 1, channels: 200, scale: 1, offset: 0 };
    const network: Network = {
      name: "drops",
      input,
      layers: [
        { type: "flatten" },
        { type: "dropout", keep: 0.5 },
        { type: "dropout", keep: 0.5 },
        { type: "dense", name: "d", units: 200, bias: false, activation: "none" },
      ],
      classes: Array.from({ length: 200 }, (_, i) => `class ${i}`),
    };
    // With the unit matrix behind it, the output is what dropout lets through.
    const unit = Float32Array.from({ length: 200 * 200 }, (_, i) => (i % 201 === 0 ? 1 : 0));
    const run = (training?: { key: readonly [number, number]; step: number }): string =>
      runtime
        .step(() => {
          const ones = runtime.tensor(new Float32Array(200).fill(1), [1, 1, 1, 200]);
          const weight = runtime.tensor(unit, [200, 200]);
          return forward(network, [weight], ones, training === undefined ? {} : { training });
        })
        .readSync()
        .join();
    const key = seedKey(5);
    assert.equal(run(), new Array(200).fill(1).join());
    const first = run({ key, step: 0 });
    assert.notEqual(first, run({ key, step: 1 }));
    assert.notEqual(first, run({ key: seedKey(6), step: 0 }));
    assert.equal(first, run({ key, step: 0 }));
    // Two layers that dropped the same elements would keep half of all, not a quarter.
    const kept = first.split(",").filter((value) => value !== "0");
    assert.deepEqual([...new Set(kept)], ["4"]);
    assert.ok(kept.length > 25 && kept.length < 80, `${kept.length} of 200 kept`);
  });

  test("refuses images and parameters of another network", () => {
    const network = smallNetwork();
    const parameters = initialise(network, 1).map(({ values, shape }) => runtime.tensor(values, shape));
    const images = runtime.tensor(new Float32Array(72), [2, 6, 6, 1]);
    const refused = (given: typeof parameters, batch: typeof images, message: RegExp): void => {
      assert.throws(
        () => runtime.step(() => forward(network, given, batch)),
        (error: Error) => error instanceof ShapeError && message.test(error.message),
      );
    };
    refused(parameters, runtime.tensor(new Float32Array(72), [2, 36]), /takes images \[n, 6, 6, 1\], got \[2, 36\]/);
    refused(parameters, runtime.tensor(new Float32Array(98), [2, 7, 7, 1]), /takes images/);
    refused(parameters.slice(0, -1), images, /more tensors than the 4 given/);
    refused([...parameters, parameters[0]!], images, /has 5 tensors, got 6/);
    const three = runtime.tensor(new Float32Array(12 * 3), [12, 3]);
    const odd = [...parameters.slice(0, 2), three, ...parameters.slice(3)];
    refused(odd, images, /d1 has 5 units, which its weight's 3 outputs do not divide/);
    refused([...parameters].reverse(), images, /conv2d|matmul/);
  });
});
