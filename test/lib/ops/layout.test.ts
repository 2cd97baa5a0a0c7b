import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concat, pad, reshape, slice, transpose } from "../../../lib/ops/layout.ts";
import { type Shape, sizeOf } from "../../../lib/shape.ts";
import type { Tensor } from "../../../lib/tensor.ts";
import { dim, shapes } from "../arbitraries.ts";
import { at, fill, opLaws } from "../laws.ts";
import { exactRuntime } from "../runtimes.ts";

const anyType = [0];

opLaws(
  reshape,
  shapes().chain((shape) =>
    fc.tuple(fc.nat(2), fc.nat(shape.length)).map(([form, cut]) => {
      const [front, back] = [sizeOf(shape.slice(0, cut)), sizeOf(shape.slice(cut))];
      return { shapes: [shape], settings: [[front, back], [front, -1], [1, front, 1, back]][form] };
    }),
  ),
  {
    plain: ([x], to: Shape) => {
      const known = sizeOf(to.filter((axis) => axis !== -1));
      return { shape: to.map((axis) => (axis === -1 ? x!.values.length / known : axis)), values: x!.values };
    },
    anyType,
    refused: [
      [{ shapes: [[2, 3]], settings: [4] }, /\[2, 3\] has 6 elements, \[4\] does not$/],
      [{ shapes: [[2, 3]], settings: [4, -1] }, /\[2, 3\] has 6 elements, \[4, -1\] does not$/],
      [{ shapes: [[2, 3]], settings: [0, -1] }, /\[2, 3\] has 6 elements, \[0, -1\] does not$/],
      [{ shapes: [[2, 3]], settings: [-2, -3] }, /every axis must be a whole number from 1 up, got \[-2, -3\]$/],
      [{ shapes: [[2, 3]], settings: [-1, -1, 6] }, /every axis must be a whole number from 1 up, got \[-1, -1, 6\]$/],
    ],
  },
);

opLaws(
  transpose,
  shapes().chain((shape) => {
    const axes = shape.map((_, axis) => axis);
    const orders = fc.shuffledSubarray(axes, { minLength: axes.length });
    return fc.tuple(orders, fc.boolean()).map(([order, fromEnd]) => ({
      shapes: [shape],
      settings: fromEnd ? order.map((axis) => axis - shape.length) : order,
    }));
  }),
  {
    plain: ([x], order: readonly number[]) => {
      const from = order.map((axis) => (axis < 0 ? axis + x!.shape.length : axis));
      return fill(from.map((axis) => x!.shape[axis]!), (index) =>
        at(x!, x!.shape.map((_, axis) => index[from.indexOf(axis)]!)),
      );
    },
    anyType,
    large: [
      { shapes: [[130, 67]], settings: [1, 0] },
      { shapes: [[5, 31, 3, 17]], settings: [2, 0, 3, 1] },
    ],
    refused: [
      [{ shapes: [[2, 3]], settings: [0] }, /the order must name each axis of \[2, 3\] once, got \[0\]$/],
      [{ shapes: [[2, 3]], settings: [1, 1] }, /once, got \[1, 1\]$/],
      [{ shapes: [[2, 3]], settings: [1, -1] }, /once, got \[1, -1\]$/],
      [{ shapes: [[2, 3]], settings: [0, 2] }, /axis must be a whole number from -2 to 1, got 2$/],
    ],
  },
);

interface Block {
  readonly start: readonly number[];
  readonly shape: Shape;
}

opLaws(
  (x: Tensor, { start, shape }: Block) => slice(x, start, shape),
  shapes().chain((shape) =>
    fc.tuple(...shape.map((size) => fc.tuple(fc.nat(size - 1), fc.nat(size - 1)))).map((ends) => ({
      shapes: [shape],
      settings: {
        start: ends.map(([a, b]) => Math.min(a, b)),
        shape: ends.map(([a, b]) => Math.abs(a - b) + 1),
      } satisfies Block,
    })),
  ),
  {
    name: "slice",
    plain: ([x], { start, shape }: Block) =>
      fill(shape, (index) => at(x!, index.map((i, axis) => i + start[axis]!))),
    anyType,
    refused: [
      [
        { shapes: [[2, 3]], settings: { start: [0, 1], shape: [2, 3] } },
        /the block \[2, 3\] at \[0, 1\] does not lie within \[2, 3\]$/,
      ],
      [{ shapes: [[2, 3]], settings: { start: [-1, 0], shape: [1, 1] } }, /at \[-1, 0\] does not lie within/],
      [{ shapes: [[2, 3]], settings: { start: [0.5, 0], shape: [1, 1] } }, /at \[0.5, 0\] does not lie within/],
      [{ shapes: [[2, 3]], settings: { start: [0], shape: [2] } }, /the block \[2\] at \[0\] does not lie within/],
      [{ shapes: [[2, 3]], settings: { start: [0, 0], shape: [0, 3] } }, /every axis must be a whole number from 1 up/],
    ],
  },
);

type Margins = readonly (readonly [number, number])[];

opLaws(
  pad,
  shapes({ maxRank: 3 }).chain((shape) =>
    fc
      .array(fc.tuple(fc.nat(3), fc.nat(3)), { minLength: shape.length, maxLength: shape.length })
      .map((settings) => ({ shapes: [shape], settings })),
  ),
  {
    plain: ([x], margins: Margins) =>
      fill(x!.shape.map((size, axis) => margins[axis]![0] + size + margins[axis]![1]), (index) => {
        const inside = index.map((i, axis) => i - margins[axis]![0]);
        return inside.every((i, axis) => i >= 0 && i < x!.shape[axis]!) ? at(x!, inside) : 0;
      }),
    anyType,
    refused: [
      [{ shapes: [[2, 3]], settings: [[1, 1]] }, /\[2, 3\] needs a pair of whole numbers from 0 up for each axis$/],
      [{ shapes: [[2, 3]], settings: [[1, 1], [-1, 0]] }, /needs a pair/],
      [{ shapes: [[2, 3]], settings: [[1, 1], [0.5, 0]] }, /needs a pair/],
    ],
  },
);

const concatenations = fc
  .tuple(shapes({ minRank: 1, maxRank: 3 }), fc.nat(2), fc.array(dim, { minLength: 2, maxLength: 2 }))
  .chain(([shape, at, sizes]) => {
    const axis = at % shape.length;
    const pieces = [shape[axis]!, ...sizes].map((size) => shape.map((own, i) => (i === axis ? size : own)));
    return fc.constantFrom(axis, axis - shape.length).map((settings) => ({ shapes: pieces, settings }));
  });

opLaws((a: Tensor, b: Tensor, c: Tensor, axis?: number) => concat([a, b, c], axis), concatenations, {
  name: "concat",
  plain: (inputs, axis: number) => {
    const along = axis < 0 ? axis + inputs[0]!.shape.length : axis;
    const full = inputs[0]!.shape.map((size, i) =>
      i === along ? inputs.reduce((sum, { shape }) => sum + shape[i]!, 0) : size,
    );
    return fill(full, (index) => {
      let left = index[along]!;
      let k = 0;
      while (left >= inputs[k]!.shape[along]!) left -= inputs[k++]!.shape[along]!;
      return at(inputs[k]!, index.map((i, axis) => (axis === along ? left : i)));
    });
  },
  refused: [
    [[[2, 3], [2, 4], [2, 3]], /shapes differ beside axis 0, got \[2, 3\], \[2, 4\], \[2, 3\]$/],
    [{ shapes: [[2, 3], [2, 3], [2]], settings: 1 }, /shapes differ beside axis 1/],
    [{ shapes: [[2, 3], [2, 3], [2, 3]], settings: 2 }, /axis must be a whole number from -2 to 1, got 2$/],
  ],
});

const runtime = exactRuntime();

test("reshape gives the tensor itself when nothing changes, and reads a pending one", () => {
  const x = runtime.tensor([1, 2, 3, 4], [2, 2]);
  assert.equal(reshape(x, [2, 2]), x);
  assert.equal(reshape(x, [2, -1]), x);
  assert.deepEqual(reshape(runtime.tensor(5), [-1]).shape, [1]);
  assert.deepEqual(reshape(runtime.tensor([5]), []).shape, []);
});

test("transpose reverses the axes unless told otherwise", () => {
  assert.deepEqual([...transpose(runtime.tensor([1, 2, 3, 4, 5, 6], [2, 3])).readSync()], [1, 4, 2, 5, 3, 6]);
  assert.deepEqual(transpose(runtime.tensor(new Float32Array(24), [2, 3, 4])).shape, [4, 3, 2]);
});

test("concat takes ints, one tensor, and no mixture", () => {
  const ints = runtime.tensor(Int32Array.of(2 ** 31 - 1, -(2 ** 31)));
  assert.deepEqual(concat([ints, ints]).readSync(), Int32Array.of(2 ** 31 - 1, -(2 ** 31), 2 ** 31 - 1, -(2 ** 31)));
  assert.deepEqual([...concat([runtime.tensor([1, 2])]).readSync()], [1, 2]);
  assert.throws(() => concat([]), { name: "ShapeError", message: "concat: needs at least one tensor, got none" });
  assert.throws(() => concat([ints, runtime.tensor([1])]), { name: "ShapeError", message: /both floats and ints/ });
});
