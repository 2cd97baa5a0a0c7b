import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { grad } from "../../../lib/grad.ts";
import { max, mean } from "../../../lib/ops/reduce.ts";
import { broadcastTo, sum, sumTo } from "../../../lib/ops/sum.ts";
import type { Shape } from "../../../lib/shape.ts";
import type { Tensor } from "../../../lib/tensor.ts";
import { distinct, shapes, stretching } from "../arbitraries.ts";
import { at, fill, indices, opLaws, type Plain } from "../laws.ts";
import { devices, exactRuntime, runtimeOf } from "../runtimes.ts";

interface Settings {
  readonly axes?: readonly number[];
  readonly keep?: boolean;
}

/** Any axes, counted from either end, or none named at all. */
const reductions = shapes().chain((shape) =>
  fc
    .tuple(
      fc.option(fc.subarray(shape.map((_, axis) => axis)), { nil: undefined }),
      fc.boolean(),
      fc.option(fc.boolean(), { nil: undefined }),
    )
    .map(([axes, fromEnd, keep]) => ({
      shapes: [shape],
      settings: {
        ...(axes === undefined ? {} : { axes: fromEnd ? axes.map((axis) => axis - shape.length) : axes }),
        ...(keep === undefined ? {} : { keep }),
      } satisfies Settings,
    })),
);

/** `f` of every list of elements whose indices differ along `axes` only. */
function along(f: (list: number[]) => number): (inputs: readonly Plain[], settings: Settings) => Plain {
  return ([x], { axes, keep = false }) => {
    const gone = axes?.map((axis) => (axis < 0 ? axis + x!.shape.length : axis)) ?? x!.shape.map((_, axis) => axis);
    const groups = new Map<string, number[]>();
    for (const index of indices(x!.shape)) {
      const key = index.map((i, axis) => (gone.includes(axis) ? 0 : i)).join();
      groups.set(key, [...(groups.get(key) ?? []), at(x!, index)]);
    }
    const shape = x!.shape.flatMap((size, axis) => (!gone.includes(axis) ? [size] : keep ? [1] : []));
    return { shape, values: [...groups.values()].map(f) };
  };
}

const total = (list: number[]): number => list.reduce((a, b) => a + b, 0);
const wide = [
  { shapes: [[64, 10, 130]], settings: { axes: [0] } },
  { shapes: [[64, 10, 130]], settings: { axes: [1] } },
  { shapes: [[64, 10, 130]], settings: { axes: [0, 2] } },
  { shapes: [[70001]], settings: {} },
];
const noAxes = /: a single number, \[\], has no axes, got axis 0$/;
const refused = [
  [{ shapes: [[2, 3]], settings: { axes: [2] } }, /axis must be a whole number from -2 to 1, got 2$/],
  [{ shapes: [[2, 3]], settings: { axes: [-3] } }, /got -3$/],
  [{ shapes: [[2, 3]], settings: { axes: [0.5] } }, /got 0.5$/],
  [{ shapes: [[]], settings: { axes: [0] } }, noAxes],
] as const;

opLaws(sum, reductions, { plain: along(total), sums: true, tolerance: 4e-6, large: wide, refused });
opLaws(mean, reductions, {
  plain: along((list) => total(list) / list.length),
  sums: true,
  tolerance: 4e-6,
  large: wide,
  // It is a sum and a product; the sum speaks.
  name: "sum",
  title: "mean",
  refused,
});
opLaws(max, reductions, {
  plain: along((list) => Math.max(...list)),
  values: distinct,
  large: wide,
  refused,
});

opLaws((x: Tensor, shape: Shape) => broadcastTo(x, shape), stretching(1).chain(([shape]) =>
  fc.tuple(shapes({ maxRank: 2 }), fc.array(fc.integer({ min: 2, max: 5 }), { minLength: 4, maxLength: 4 })).map(
    ([front, sizes]) => ({
      shapes: [shape!],
      settings: [...front.slice(0, 1), ...shape!.map((size, axis) => (size === 1 ? sizes[axis]! : size))],
    }),
  ),
), {
  name: "broadcastTo",
  plain: ([x], shape: Shape) =>
    fill(shape, (index) =>
      at(x!, x!.shape.map((size, axis) => (size === 1 ? 0 : index[shape.length - x!.shape.length + axis]!))),
    ),
  sums: true,
  tolerance: 4e-6,
  refused: [
    [{ shapes: [[2, 3]], settings: [2, 4] }, /shapes do not broadcast, got \[2, 3\] and \[2, 4\]$/],
    [{ shapes: [[2, 3]], settings: [3] }, /\[2, 3\] does not stretch to \[3\]$/],
    [{ shapes: [[2, 3]], settings: [1, 3] }, /\[2, 3\] does not stretch to \[1, 3\]$/],
  ],
});

test("sumTo undoes broadcasting: it is the gradient of stretching, axis by axis", () => {
  const runtime = exactRuntime();
  const x = runtime.tensor(Float64Array.from({ length: 24 }, (_, i) => i), [2, 3, 4]);
  const [to, sums] = [[[1, 3, 1], [3, 1], [4], [], [2, 3, 4]], [[60, 92, 124], [60, 92, 124]]];
  assert.deepEqual(sumTo(x, to[0]!).shape, [1, 3, 1]);
  assert.deepEqual([...sumTo(x, to[0]!).readSync()], sums[0]);
  assert.deepEqual([...sumTo(x, to[1]!).readSync()], sums[1]);
  assert.deepEqual([...sumTo(x, to[2]!).readSync()], [60, 66, 72, 78]);
  assert.deepEqual([...sumTo(x, to[3]!).readSync()], [276]);
  assert.equal(sumTo(x, to[4]!), x);
});

for (const device of devices) {
  test(`max on ${device.name}: the first of equals gets the gradient; NaN is the largest of all`, async () => {
    const runtime = await runtimeOf(device);
    const x = runtime.tensor([1, 3, 3, 2, 3, 0], [2, 3]);
    assert.deepEqual([...(await max(x, { axes: [1] }).read())], [3, 3]);
    assert.deepEqual([...(await grad(sum(max(x, { axes: [1] })), [x])[0]!.read())], [0, 1, 0, 0, 1, 0]);
    assert.deepEqual([...(await grad(max(x), [x])[0]!.read())], [0, 1, 0, 0, 0, 0]);
    const y = runtime.tensor([1, NaN, 7, NaN]);
    assert.deepEqual([...(await max(y).read())], [NaN]);
    assert.deepEqual([...(await grad(max(y), [y])[0]!.read())], [0, 1, 0, 0]);
    assert.deepEqual([...(await max(runtime.tensor([-Infinity, -Infinity])).read())], [-Infinity]);
  });
}
