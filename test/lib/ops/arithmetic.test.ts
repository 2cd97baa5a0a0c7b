import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { grad } from "../../../lib/grad.ts";
import {
  abs,
  add,
  clip,
  divide,
  equal,
  exp,
  less,
  lessOrEqual,
  log,
  maximum,
  minimum,
  multiply,
  negate,
  pow,
  round,
  sign,
  sqrt,
  square,
  subtract,
  where,
} from "../../../lib/ops/arithmetic.ts";
import type { Tensor } from "../../../lib/tensor.ts";
import { awayFrom, grid, gridNumber, list } from "../arbitraries.ts";
import { elementwiseLaws } from "../laws.ts";
import { exactRuntime } from "../runtimes.ts";

/** The same kind of number for every input. */
const all = (number: fc.Arbitrary<number>) => (size: number): fc.Arbitrary<number[]> => list(number, size);

/** Even hundredths for one input and odd ones for the next: two of them never meet. */
const apart = (size: number, index: number): fc.Arbitrary<number[]> =>
  list(fc.integer({ min: -75, max: 75 }).map((n) => (4 * n + 2 * index) / 100), size);

elementwiseLaws(add, (x, y) => x + y, { name: "add" });
elementwiseLaws(subtract, (x, y) => x - y, { name: "subtract" });
elementwiseLaws(multiply, (x, y) => x * y, { name: "multiply" });
elementwiseLaws(divide, (x, y) => x / y, {
  name: "divide",
  values: (size, index) => list(index === 0 ? gridNumber : awayFrom(0).filter((n) => Math.abs(n) > 0.5), size),
});
elementwiseLaws(negate, (x) => -x, { name: "negate" });
elementwiseLaws(exp, (x) => Math.exp(x), { name: "exp" });
elementwiseLaws(log, (x) => Math.log(x), { name: "log", values: all(grid(0.5, 9)) });
elementwiseLaws(sqrt, (x) => Math.sqrt(x), { name: "sqrt", values: all(grid(0.5, 9)) });
elementwiseLaws(square, (x) => x * x, { name: "square" });
elementwiseLaws(sign, (x) => Math.sign(x), { name: "sign", values: all(awayFrom(0)) });
elementwiseLaws(abs, (x) => Math.abs(x), { name: "abs", values: all(awayFrom(0)) });
elementwiseLaws(minimum, (x, y) => Math.min(x, y), { name: "minimum", values: apart });
elementwiseLaws(maximum, (x, y) => Math.max(x, y), { name: "maximum", values: apart });
elementwiseLaws(clip, (x, low, high) => Math.min(Math.max(x, low), high), {
  name: "clip",
  values: (size, index) => [all(awayFrom(-1, 1, 2)), all(fc.constantFrom(-1, 1)), all(fc.constant(2))][index]!(size),
});
elementwiseLaws(less, (x, y) => Number(x < y), { name: "less", values: apart });
elementwiseLaws(lessOrEqual, (x, y) => Number(x <= y), { name: "lessOrEqual", values: apart });
elementwiseLaws(equal, (x, y) => Number(x === y), { name: "equal", values: apart });
elementwiseLaws(where, (condition, yes, no) => (condition !== 0 ? yes : no), {
  name: "where",
  values: (size, index) => list(index === 0 ? fc.constantFrom(0, 1, -1) : gridNumber, size),
  // A step has no slope: the condition's gradient is zero, also where a difference would cross it.
  differentiable: [1, 2],
});
elementwiseLaws(
  (x: Tensor) => round(x),
  (x) => {
    const down = Math.floor(x);
    return x - down < 0.5 || (x - down === 0.5 && down % 2 === 0) ? down : Math.ceil(x);
  },
  { name: "round", values: all(awayFrom(-2.5, -1.5, -0.5, 0.5, 1.5, 2.5)) },
);
for (const exponent of [-8, -3, -1, 0, 1, 2, 3, 7, 8]) {
  elementwiseLaws(
    (x: Tensor) => pow(x, exponent),
    (x) => (exponent === 0 ? x * 0 + 1 : x ** exponent),
    { name: "pow", title: `pow ${exponent}`, values: all(grid(0.8, 1.5)), tolerance: 4e-6, runs: 10 },
  );
}
elementwiseLaws((x: Tensor) => pow(x, 0.5), (x) => Math.sqrt(x), {
  name: "sqrt",
  title: "pow 1/2",
  values: all(grid(0.5, 3)),
  runs: 10,
});
elementwiseLaws(
  (x: Tensor, y: Tensor) => pow(x, y),
  // As the text says: e^(y ln x), so that a base below 0 gives NaN whatever the exponent.
  (x, y) => Math.exp(y * Math.log(x)),
  { name: "pow", values: (size, index) => list(index === 0 ? grid(0.5, 2) : gridNumber, size), tolerance: 4e-6 },
);

const runtime = exactRuntime();

test("numbers stand for tensors, on either side", () => {
  const x = runtime.tensor([1, 2, 4]);
  assert.deepEqual([...add(1, x).readSync()], [2, 3, 5]);
  assert.deepEqual([...subtract(x, 1).readSync()], [0, 1, 3]);
  assert.deepEqual([...divide(1, x).readSync()], [1, 0.5, 0.25]);
  assert.deepEqual([...clip(x, 1.5, 3).readSync()], [1.5, 2, 3]);
  assert.deepEqual([...where(less(x, 3), x, -1).readSync()], [1, 2, -1]);
  const y = runtime.tensor(2);
  assert.deepEqual([...grad(divide(6, y), [y])[0]!.readSync()], [-1.5]);
  assert.throws(() => add(1, 2), { name: "ShapeError", message: "add: at least one operand must be a tensor" });
});

test("at a tie the left operand gets the gradient, and a clipped value keeps it at its bounds", () => {
  for (const op of [minimum, maximum]) {
    const [x, y] = [runtime.tensor(3), runtime.tensor(3)];
    assert.deepEqual(grad(op(x, y), [x, y]).map((g) => g.readSync()[0]), [1, 0]);
    assert.deepEqual(grad(op(x, x), [x]).map((g) => g.readSync()[0]), [1], "once in all when both are the same");
  }
  const x = runtime.tensor(2);
  assert.deepEqual(grad(clip(x, 2, 5), [x]).map((g) => g.readSync()[0]), [1]);
  assert.deepEqual(grad(clip(x, 0, 2), [x]).map((g) => g.readSync()[0]), [1]);
  const zero = runtime.tensor(0);
  assert.deepEqual(grad(abs(zero), [zero]).map((g) => g.readSync()[0]), [0]);
});

test("comparisons, sign and round have the gradient zero; straight-through rounding that of its input", () => {
  const x = runtime.tensor(1.25);
  for (const op of [less(x, 2), lessOrEqual(x, 2), equal(x, 2), sign(x), round(x), where(x, 1, 2)]) {
    assert.deepEqual(grad(op, [x]).map((g) => g.readSync()[0]), [0]);
  }
  const y = round(x, { straightThrough: true });
  assert.deepEqual([...y.readSync()], [1]);
  assert.deepEqual(grad(multiply(y, 3), [x]).map((g) => g.readSync()[0]), [3]);
});

test("round goes to the even neighbour of a half, and keeps the sign of zero and what is whole already", () => {
  const large = 2 ** 52 + 1;
  const cases = [[0.5, 0], [1.5, 2], [2.5, 2], [-0.5, -0], [-1.5, -2], [-0.2, -0], [large, large], [-0, -0]];
  const x = runtime.tensor(Float64Array.from(cases, ([from]) => from!));
  assert.deepStrictEqual([...round(x).readSync()], cases.map(([, to]) => to));
});
