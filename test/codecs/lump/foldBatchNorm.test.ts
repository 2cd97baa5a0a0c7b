import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { affineOf, type Affine, foldIntoNext, foldIntoPrevious } from "../../../codecs/lump/foldBatchNorm.ts";
import { add, createRuntime, multiply, ShapeError } from "../../../lib/index.ts";
import type { Network } from "../../../lib/network.ts";
import { forward } from "../../../models/index.ts";
import { numbers } from "./planted.ts";

const runtime = await createRuntime({ device: "reference", precision: "float64" });
const golden = { gamma: [1.5], beta: [0.2], mean: [0.4], variance: [0.25], epsilon: 0.001 };
const near = (found: ArrayLike<number>, wanted: readonly number[], by = 1e-10): void => {
  assert.equal(found.length, wanted.length);
  wanted.forEach((value, i) => assert.ok(Math.abs(found[i]! - value) <= by, `${found[i]} is not ${value}`));
};

type Tensors = readonly (readonly [Float32Array, readonly number[]])[];

suite("batch norm", () => {
  test("by hand", () => {
    const norm = affineOf(golden);
    near(norm.scale, [2.9940179402]);
    near(norm.shift, [-0.9976071761]);
    const layer = { weights: Float32Array.of(0.5), bias: Float32Array.of(0.1) };
    const next = foldIntoNext(layer, norm, { units: 1 });
    near([...next.weights, ...next.bias], [1.4970089701, -0.3988035880], 1e-7);
    const previous = foldIntoPrevious(layer, norm);
    near([...previous.weights, ...previous.bias], [1.4970089701, -0.6982053821], 1e-7);
    // Without an epsilon of its own, that of Keras.
    near(affineOf({ ...golden, epsilon: undefined }).scale, [2.9940179402]);
  });

  /** conv (2 units, with an activation or not), then norm, then another conv or a dense layer, by the runtime. */
  const run = (activation: "none" | "relu", tensors: Tensors, norm?: Affine) => {
    const convolution = (name: string, filters: number) =>
      ({ type: "convolution", name, filters, kernel: [2, 2], stride: [1, 1], padding: "valid", bias: true }) as const;
    const network = (layers: Network["layers"], channels: number, side: number): Network => ({
      name: "n",
      input: { height: side, width: side, channels, scale: 1, offset: 0 },
      layers,
      classes: [],
    });
    const next = numbers(5);
    return runtime.step(() => {
      const [w1, b1, w2, b2] = tensors.map(([values, shape]) => runtime.tensor(values, shape));
      const image = runtime.tensor(Float32Array.from({ length: 32 }, next), [2, 4, 4, 1]);
      const first = network([{ ...convolution("a", 2), activation }], 1, 4);
      let x = forward(first, [w1!, b1!], image);
      if (norm !== undefined) {
        const [scale, shift] = [norm.scale, norm.shift].map((values) => runtime.tensor(values, [2]));
        x = add(multiply(x, scale!), shift!);
      }
      return forward(network([{ ...convolution("b", 3), activation: "none" }], 2, 3), [w2!, b2!], x);
    }).read();
  };

  test("folding before and after keeps what comes out of the next layer", async () => {
    const positive = fc.integer({ min: 1, max: 300 }).map((n) => n / 100);
    const some = fc.integer({ min: -300, max: 300 }).map((n) => n / 100);
    const two = (number: fc.Arbitrary<number>) => fc.tuple(number, number);
    const norms = fc.record({ gamma: two(some), beta: two(some), mean: two(some), variance: two(positive) });
    await fc.assert(
      fc.asyncProperty(norms, fc.nat(1e6), async (parameters, seed) => {
        const next = numbers(seed);
        const draw = (length: number): Float32Array => Float32Array.from({ length }, next);
        const [w1, b1, w2, b2] = [draw(8), draw(2), draw(24), draw(3)];
        const norm = affineOf(parameters);
        const all = [[w1, [2, 2, 1, 2]], [b1, [2]], [w2, [2, 2, 2, 3]], [b2, [3]]] as const;
        const given: Tensors = all;
        const replaced = (at: 0 | 2, { weights, bias }: { weights: Float32Array; bias: Float32Array }) =>
          given.map(([values, shape], i) => [i === at ? weights : i === at + 1 ? bias : values, shape] as const);
        // Before an activation, into the layer before.
        const plain = await run("none", given, norm);
        near(await run("none", replaced(0, foldIntoPrevious({ weights: w1, bias: b1 }, norm))), [...plain], 2e-3);
        // Behind one, into the layer after.
        const active = await run("relu", given, norm);
        const folded = foldIntoNext({ weights: w2, bias: b2 }, norm, { units: 3 });
        near(await run("relu", replaced(2, folded)), [...active], 2e-3);
      }),
      { numRuns: 30 },
    );
  });

  test("what would not be exact is refused", () => {
    const layer = { weights: Float32Array.of(1, 2), bias: Float32Array.of(0) };
    const norm = (scale: number[], shift: number[]): Affine => ({
      scale: Float64Array.from(scale),
      shift: Float64Array.from(shift),
    });
    const next = { units: 1, padded: true };
    assert.throws(() => foldIntoNext(layer, norm([1, 2], [0, 3]), next), /unit 1 is shifted, and zero padding is not/);
    assert.deepEqual([...foldIntoNext(layer, norm([1, 2], [0, 0]), next).weights], [1, 4]);
    const pooled = { units: 1, pooled: true };
    assert.throws(() => foldIntoNext(layer, norm([1, -2], [0, 3]), pooled), /unit 1 has the scale -2; a maximum needs/);
    assert.deepEqual([...foldIntoNext(layer, norm([1, 2], [1, 3]), pooled).bias], [7]);
    assert.throws(() => foldIntoNext(layer, norm([1, 2, 3], [0, 0, 0]), { units: 1 }), ShapeError);
    assert.throws(() => foldIntoPrevious(layer, norm([1, 2], [0, 0])), ShapeError);
    assert.throws(() => affineOf({ ...golden, beta: [1, 2] }), ShapeError);
    assert.throws(() => affineOf({ ...golden, variance: [-1] }), /unit 0 must be above 0, got -0.999/);
    assert.throws(() => affineOf({ ...golden, gamma: [NaN] }), /of unit 0 must be finite/);
  });
});
