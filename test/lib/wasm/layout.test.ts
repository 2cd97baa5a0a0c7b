import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Shape, sizeOf, stridesOf } from "../../../lib/shape.ts";
import { joinAlong, padZeros, permuteAxes, sliceBlock } from "../../../lib/wasm/layout.ts";
import { launch } from "./launching.ts";
import { numbers } from "./workbench.ts";

const axis = fc.oneof(fc.constantFrom(1, 2, 3, 4, 5, 7, 8), fc.integer({ min: 1, max: 20 }));
const shapes = fc.array(axis, { minLength: 1, maxLength: 4 }).filter((shape) => sizeOf(shape) <= 20_000);

/** The array whose element at each index is what `at` says. */
function build(shape: Shape, at: (index: number[]) => number): Float32Array {
  const strides = stridesOf(shape);
  return Float32Array.from({ length: sizeOf(shape) }, (_, i) =>
    at(shape.map((size, axis) => Math.floor(i / strides[axis]!) % size)),
  );
}

function elementOf(x: Float32Array, shape: Shape): (index: readonly number[]) => number {
  const strides = stridesOf(shape);
  return (index) => x[index.reduce((offset, at, axis) => offset + at * strides[axis]!, 0)]!;
}

function checkTranspose(shape: Shape, order: readonly number[]): void {
  const x = numbers(sizeOf(shape), 1);
  const to = order.map((axis) => shape[axis]!);
  const read = elementOf(x, shape);
  const right = build(to, (index) => read(shape.map((_, axis) => index[order.indexOf(axis)]!)));
  const outputs = [[to, new Float32Array(x.length)]] as const;
  assert.deepEqual(launch(permuteAxes, { attributes: { order }, inputs: [[shape, x]], outputs }), [right]);
}

test("transpose puts every element in its place, whatever the order of axes", () => {
  const orders = shapes.chain((shape) =>
    fc.tuple(fc.constant(shape), fc.shuffledSubarray(shape.map((_, i) => i), { minLength: shape.length })),
  );
  fc.assert(fc.property(orders, ([shape, order]) => checkTranspose(shape, order)), { numRuns: 150 });
  checkTranspose([257, 131], [1, 0]);
  checkTranspose([3, 67, 5, 71], [0, 3, 2, 1]);
  checkTranspose([40, 33, 37], [2, 0, 1]);
  checkTranspose([], []);
});

test("slice takes a block", () => {
  const stretch = (size: number): fc.Arbitrary<[first: number, some: number]> =>
    fc.integer({ min: 1, max: size }).chain((some) => fc.tuple(fc.nat(size - some), fc.constant(some)));
  const blocks = shapes.chain((shape) => fc.tuple(fc.constant(shape), fc.tuple(...shape.map(stretch))));
  fc.assert(
    fc.property(blocks, ([from, block]) => {
      const x = numbers(sizeOf(from), 2);
      const [start, shape] = [block.map(([first]) => first), block.map(([, some]) => some)];
      const read = elementOf(x, from);
      const right = build(shape, (index) => read(index.map((at, axis) => at + start[axis]!)));
      const outputs = [[shape, new Float32Array(right.length)]] as const;
      assert.deepEqual(launch(sliceBlock, { attributes: { start, shape }, inputs: [[from, x]], outputs }), [right]);
    }),
    { numRuns: 100 },
  );
});

function checkPad(shape: Shape, before: readonly number[], after: readonly number[]): void {
  const x = numbers(sizeOf(shape), 3);
  const to = shape.map((size, axis) => size + before[axis]! + after[axis]!);
  const read = elementOf(x, shape);
  const right = build(to, (index) => {
    const inside = index.map((at, axis) => at - before[axis]!);
    return inside.every((at, axis) => at >= 0 && at < shape[axis]!) ? read(inside) : 0;
  });
  const outputs = [[to, numbers(right.length, 4)]] as const;
  assert.deepEqual(launch(padZeros, { attributes: { before }, inputs: [[shape, x]], outputs }), [right]);
}

test("pad surrounds with zeros", () => {
  const margins = shapes.filter((shape) => sizeOf(shape) < 3000).chain((shape) => {
    const counts = fc.array(fc.nat(3), { minLength: shape.length, maxLength: shape.length });
    return fc.tuple(fc.constant(shape), counts, counts);
  });
  fc.assert(fc.property(margins, ([shape, before, after]) => checkPad(shape, before, after)), { numRuns: 100 });
  checkPad([64, 28, 28], [0, 2, 2], [0, 2, 2]);
});

test("concat lays tensors end to end along any axis", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 });
  const joints = shapes.chain((shape) => fc.tuple(fc.constant(shape), fc.nat(shape.length - 1), sizes));
  const check = (shape: Shape, axis: number, sizes: readonly number[]): void => {
    const parts = sizes.map((size) => shape.map((other, i) => (i === axis ? size : other)));
    const inputs = parts.map((part, i) => [part, numbers(sizeOf(part), i)] as const);
    const to = shape.map((size, i) => (i === axis ? sizes.reduce((sum, part) => sum + part, 0) : size));
    const reads = inputs.map(([part, values]) => elementOf(values, part));
    const right = build(to, (index) => {
      let [at, part] = [index[axis]!, 0];
      while (at >= sizes[part]!) at -= sizes[part++]!;
      return reads[part]!(index.map((other, i) => (i === axis ? at : other)));
    });
    const outputs = [[to, new Float32Array(right.length)]] as const;
    assert.deepEqual(launch(joinAlong, { attributes: { axis }, inputs, outputs }), [right]);
  };
  fc.assert(fc.property(joints, ([shape, axis, sizes]) => check(shape, axis, sizes)), { numRuns: 100 });
  check([300, 1, 201], 1, [1, 2, 3]);
});
