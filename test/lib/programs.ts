import fc from "fast-check";
import { relu } from "../../lib/ops/activations.ts";
import { add, clip, maximum, minimum, multiply, negate, square, subtract } from "../../lib/ops/arithmetic.ts";
import { reshape, slice } from "../../lib/ops/layout.ts";
import { broadcastTo, sum } from "../../lib/ops/sum.ts";
import { equalShapes, type Shape } from "../../lib/shape.ts";
import type { Tensor, Variable } from "../../lib/tensor.ts";
import { at, each, fill, type Plain } from "./laws.ts";

/** One line of a random program: what to do with which of the values made so far, counted from any number. */
export interface Line {
  readonly what: (typeof verbs)[number];
  readonly a: number;
  readonly b: number;
}

const verbs = [
  "add", "subtract", "half", "minimum", "maximum", "negate", "relu", "square",
  "reshape", "row", "sum", "stretch", "assign", "read",
] as const;

export function programs(without: readonly Line["what"][] = []): fc.Arbitrary<Line[]> {
  const what = fc.constantFrom(...verbs.filter((verb) => !without.includes(verb)));
  return fc.array(fc.record({ what, a: fc.nat(99), b: fc.nat(99) }), { maxLength: 30 });
}

/** A value of a program, on a device and as plain numbers. Those of a variable change. */
export interface Value {
  readonly tensor: Tensor;
  plain: Plain;
}

/** The shapes of a program's variables; all its values have one of these, or [1, 3] or [3] on the way between them. */
export const variableShapes: readonly Shape[] = [[2, 3], [6], [3]];

/** Runs a program, and beside it the same on plain numbers. */
export function runProgram(lines: readonly Line[], values: Value[], read: (value: Value) => void): void {
  const binary = {
    add: [add, (x: number, y: number) => x + y],
    subtract: [subtract, (x: number, y: number) => x - y],
    minimum: [minimum, (x: number, y: number) => Math.min(x, y)],
    maximum: [maximum, (x: number, y: number) => Math.max(x, y)],
    half: [(x: Tensor, y: Tensor) => multiply(multiply(x, y), 0.5), (x: number, y: number) => x * y * 0.5],
  } as const;
  const unary = {
    negate: [negate, (x: number) => -x],
    relu: [relu, (x: number) => (x < 0 ? 0 : x)],
    // Bounded, so that no chain of them overflows.
    square: [(x: Tensor) => clip(square(x), -4, 4), (x: number) => Math.min(x * x, 4)],
  } as const;
  const push = (tensor: Tensor, plain: Plain): void => void values.push({ tensor, plain });
  /** The first value from number `from` on that `fits`. */
  const find = (from: number, fits: (shape: Shape) => boolean): Value | undefined =>
    values.map((_, i) => values[(from + i) % values.length]!).find(({ plain }) => fits(plain.shape));

  for (const { what, a, b } of lines) {
    const x = values[a % values.length]!;
    const { shape } = x.plain;
    switch (what) {
      case "add":
      case "subtract":
      case "minimum":
      case "maximum":
      case "half": {
        const isRow = (one: Shape): boolean => one.at(-1) === 3;
        const y = find(b, (other) => equalShapes(other, shape) || (isRow(other) && isRow(shape)))!;
        push(binary[what][0](x.tensor, y.tensor), each(binary[what][1])([x.plain, y.plain]));
        break;
      }
      case "negate":
      case "relu":
      case "square":
        push(unary[what][0](x.tensor), each(unary[what][1])([x.plain]));
        break;
      case "reshape": {
        const other = { "2,3": [6], "6": [2, 3], "3": [1, 3], "1,3": [3] }[shape.join()]!;
        push(reshape(x.tensor, other), { shape: other, values: Array.from(x.plain.values) });
        break;
      }
      case "row": {
        const matrix = find(a, (other) => equalShapes(other, [2, 3]))!;
        const row = fill([1, 3], ([, i]) => at(matrix.plain, [b % 2, i!]));
        push(slice(matrix.tensor, [b % 2, 0], [1, 3]), row);
        break;
      }
      case "sum": {
        const matrix = find(a, (other) => equalShapes(other, [2, 3]))!;
        const sums = fill([3], ([i]) => at(matrix.plain, [0, i!]) + at(matrix.plain, [1, i!]));
        push(sum(matrix.tensor, { axes: [0] }), sums);
        break;
      }
      case "stretch": {
        const row = find(a, (other) => equalShapes(other, [3]))!;
        push(broadcastTo(row.tensor, [2, 3]), fill([2, 3], ([, i]) => at(row.plain, [i!])));
        break;
      }
      case "assign": {
        const to = values[b % variableShapes.length]!;
        const from = find(a, (other) => equalShapes(other, to.plain.shape))!;
        (to.tensor as Variable).assign(from.tensor);
        to.plain = { shape: to.plain.shape, values: Array.from(from.plain.values) };
        break;
      }
      case "read":
        read(x);
        break;
    }
  }
}
