import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  broadcastLoops,
  broadcastShapes,
  checkShape,
  equalShapes,
  formatShape,
  resolveAxis,
  sizeOf,
  stridesOf,
} from "../../lib/shape.ts";
import { shapes, stretching } from "./arbitraries.ts";
import { indices } from "./laws.ts";

test("size and strides: the offset of an index is its place in row-major order", () => {
  fc.assert(
    fc.property(shapes(), (shape) => {
      const all = indices(shape);
      const strides = stridesOf(shape);
      assert.equal(sizeOf(shape), all.length);
      all.forEach((index, place) => {
        assert.equal(index.reduce((offset, i, axis) => offset + i * strides[axis]!, 0), place);
      });
    }),
  );
});

test("shapes are equal when their axes are", () => {
  assert.ok(equalShapes([], []));
  assert.ok(equalShapes([2, 3], [2, 3]));
  for (const other of [[2], [2, 4], [3, 2], [2, 3, 1], []]) assert.ok(!equalShapes([2, 3], other));
  assert.equal(formatShape([64, 784]), "[64, 784]");
  assert.equal(formatShape([]), "[]");
});

test("an axis is a whole number from 1 up", () => {
  checkShape("tensor", []);
  checkShape("tensor", [1, 70000]);
  for (const axis of [0, -1, 1.5, NaN, Infinity, 2 ** 53]) {
    assert.throws(() => checkShape("tensor", [2, axis]), {
      name: "ShapeError",
      message: `tensor: every axis must be a whole number from 1 up, got [2, ${axis}]`,
    });
  }
});

test("axes are counted from either end", () => {
  assert.deepEqual([0, 1, 2, -1, -2, -3].map((axis) => resolveAxis("sum", axis, 3)), [0, 1, 2, 2, 1, 0]);
  for (const axis of [3, -4, 0.5, NaN]) {
    assert.throws(() => resolveAxis("sum", axis, 3), {
      name: "ShapeError",
      message: `sum: axis must be a whole number from -3 to 2, got ${axis}`,
    });
  }
  assert.throws(() => resolveAxis("sum", 0, 0), { message: "sum: a single number, [], has no axes, got axis 0" });
});

test("the common shape has each axis of the longest, and every shape stretches to it", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }).chain(stretching), (given) => {
      const full = broadcastShapes("add", given);
      assert.equal(full.length, Math.max(...given.map((shape) => shape.length)));
      full.forEach((size, axis) => {
        const sizes = given.map((shape) => shape[axis - (full.length - shape.length)] ?? 1);
        assert.equal(size, Math.max(...sizes));
        assert.ok(sizes.every((own) => own === 1 || own === size));
      });
      assert.deepEqual(broadcastShapes("add", [...given].reverse()), full, "in any order");
      assert.deepEqual(broadcastShapes("add", [full, ...given]), full);
    }),
  );
  for (const [a, b] of [[[2], [3]], [[2, 3], [2, 1, 4]], [[4, 3], [4]], [[2, 1, 3], [2, 2, 2]]] as const) {
    assert.throws(() => broadcastShapes("add", [a, b]), {
      name: "ShapeError",
      message: `add: shapes do not broadcast, got ${formatShape(a)} and ${formatShape(b)}`,
    });
  }
});

test("the loops of a broadcast visit every element of the inputs that an index names", () => {
  fc.assert(
    fc.property(stretching(3), (given) => {
      const full = broadcastShapes("add", given);
      const { sizes, strides } = broadcastLoops(full, given);
      assert.equal(sizeOf(sizes), sizeOf(full));
      const loops = indices(sizes);
      indices(full).forEach((index, place) => {
        given.forEach((shape, k) => {
          const own = stridesOf(shape);
          const lead = full.length - shape.length;
          const want = shape.reduce((sum, size, axis) => sum + (size === 1 ? 0 : index[lead + axis]! * own[axis]!), 0);
          const got = loops[place]!.reduce((sum, i, loop) => sum + i * strides[k]![loop]!, 0);
          assert.equal(got, want);
        });
      });
    }),
  );
});

test("loops are merged where every input walks on: equal shapes are one loop, rows and columns two", () => {
  assert.deepEqual(broadcastLoops([4, 3, 2], [[4, 3, 2], [4, 3, 2]]), { sizes: [24], strides: [[1], [1]] });
  assert.deepEqual(broadcastLoops([4, 3, 2], [[4, 3, 2], []]), { sizes: [24], strides: [[1], [0]] });
  assert.deepEqual(broadcastLoops([8, 5, 5, 3], [[8, 5, 5, 3], [3]]), { sizes: [200, 3], strides: [[3, 1], [0, 1]] });
  assert.deepEqual(broadcastLoops([4, 3, 2], [[4, 1, 2]]), { sizes: [4, 3, 2], strides: [[2, 0, 1]] });
  assert.deepEqual(broadcastLoops([1, 1], [[1, 1], []]), { sizes: [1], strides: [[0], [0]] });
});
