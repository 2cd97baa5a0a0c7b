import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { grad } from "../../../lib/grad.ts";
import { multiply } from "../../../lib/ops/arithmetic.ts";
import { conv2d } from "../../../lib/ops/conv2d.ts";
import type { Padding } from "../../../lib/ops/convolution.ts";
import { maxPool2d } from "../../../lib/ops/maxPool2d.ts";
import type { Epilogue } from "../../../lib/ops/matmul.ts";
import { sum } from "../../../lib/ops/sum.ts";
import { ShapeError } from "../../../lib/errors.ts";
import type { Runtime } from "../../../lib/runtime.ts";
import { sizeOf } from "../../../lib/shape.ts";
import { devices, exactRuntime, runtimeOf } from "../runtimes.ts";

interface Case {
  readonly image: readonly number[];
  readonly filter: readonly number[];
  readonly biased: boolean;
  readonly stride: number;
  readonly padding: Padding;
  readonly activation: Epilogue;
  readonly seed: number;
}

const small = fc.integer({ min: 1, max: 5 });
const cases: fc.Arbitrary<Case> = fc
  .record({
    sizes: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 2, max: 11 }), fc.integer({ min: 2, max: 11 })),
    kernel: fc.tuple(small, small),
    channels: small,
    filters: fc.integer({ min: 1, max: 18 }),
    biased: fc.boolean(),
    stride: fc.integer({ min: 1, max: 2 }),
    padding: fc.constantFrom<Padding>("valid", "same"),
    activation: fc.constantFrom<Epilogue>("none", "relu"),
    seed: fc.nat(1 << 20),
  })
  .map(({ sizes, kernel, channels, filters, ...rest }) => ({
    image: [...sizes, channels],
    filter: [...kernel, channels, filters],
    ...rest,
  }))
  .filter(({ image, filter, stride, padding }) =>
    [1, 2].every((axis) => {
      const size = padding === "same" ? image[axis]! : image[axis]! - filter[axis - 1]! + 1;
      return Math.ceil(size / stride) >= 2;
    }),
  );

/** Whole numbers, so that sums are exact in float32 too, and equal maxima are equal on every device. */
function numbers(count: number, seed: number, range: number): Float32Array {
  let state = seed + 1;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return ((state >>> 8) % (2 * range + 1)) - range;
  });
}

/** The result, and its gradients for x, w and b under a weight for every output; pooled in the pass or behind it. */
function run(runtime: Runtime, example: Case, fused: boolean): number[][] {
  const { image, filter, biased, stride, padding, activation, seed } = example;
  return runtime.step(() => {
    const x = runtime.tensor(numbers(sizeOf(image), seed, 3), image);
    const w = runtime.tensor(numbers(sizeOf(filter), seed + 1, 3), filter);
    const bias = runtime.tensor(numbers(filter[3]!, seed + 2, 9), [filter[3]!]);
    const options = { stride, padding, activation, ...(biased ? { bias } : {}) };
    const y = fused ? conv2d(x, w, { ...options, maxPool: 2 }) : maxPool2d(conv2d(x, w, options), 2);
    const weights = runtime.tensor(numbers(sizeOf(y.shape), seed + 3, 5), y.shape);
    const gradients = grad(sum(multiply(y, weights)), biased ? [x, w, bias] : [x, w]);
    return [y, ...gradients].map((tensor) => Array.from(tensor.readSync()));
  });
}

for (const device of devices) {
  test(`conv2d with maxPool is conv2d and maxPool2d, gradients too (${device.name})`, async () => {
    const runtime = await runtimeOf(device);
    const exact = exactRuntime();
    fc.assert(
      fc.property(cases, (example) => {
        assert.deepEqual(run(runtime, example, true), run(exact, example, false));
      }),
      { numRuns: 60 },
    );
  });
}

test("conv2d refuses to pool an output of less than 2x2", () => {
  const runtime = exactRuntime();
  const x = runtime.tensor(new Float32Array(9), [1, 3, 3, 1]);
  const w = runtime.tensor(new Float32Array(9), [3, 3, 1, 1]);
  assert.throws(() => conv2d(x, w, { maxPool: 2 }), ShapeError);
});
