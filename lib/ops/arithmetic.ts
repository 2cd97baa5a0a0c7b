import * as scalar from "../expression.ts";
import { constant, type Expression, less as lessThan, select } from "../expression.ts";
import type { Tensor } from "../tensor.ts";
import { elementwise, type Operand } from "./elementwise.ts";

export const add = elementwise("add", 2, ([x, y]) => scalar.add(x!, y!));
export const subtract = elementwise("subtract", 2, ([x, y]) => scalar.subtract(x!, y!));
export const multiply = elementwise("multiply", 2, ([x, y]) => scalar.multiply(x!, y!));
export const divide = elementwise("divide", 2, ([x, y]) => scalar.divide(x!, y!));
export const negate = elementwise("negate", 1, ([x]) => scalar.negate(x!));

/** `e^x`. Error bounds stand with each backend. */
export const exp = elementwise(
  "exp",
  1,
  ([x]) => scalar.exp(x!),
  (_, y, dy) => [scalar.multiply(dy, y)],
);
/** Natural logarithm: NaN below 0, -Infinity at 0. */
export const log = elementwise("log", 1, ([x]) => scalar.log(x!));
export const sqrt = elementwise("sqrt", 1, ([x]) => scalar.squareRoot(x!));
export const square = elementwise("square", 1, ([x]) => scalar.multiply(x!, x!));

const signOf = (x: Expression): Expression =>
  select(lessThan(constant(0), x), constant(1), select(lessThan(x, constant(0)), constant(-1), x));

/** -1, 0 or 1; its gradient is zero. */
export const sign = elementwise("sign", 1, ([x]) => signOf(x!), () => [null]);
/** `|x|`; its gradient at 0 is 0. */
export const abs = elementwise(
  "abs",
  1,
  ([x]) => scalar.maximum(x!, scalar.negate(x!)),
  ([x], _, dy) => [scalar.multiply(dy, signOf(x!))],
);

/** The smaller; at a tie the gradient goes to the left operand. */
export const minimum = elementwise("minimum", 2, ([x, y]) => scalar.minimum(x!, y!));
/** The larger; at a tie the gradient goes to the left operand. */
export const maximum = elementwise("maximum", 2, ([x, y]) => scalar.maximum(x!, y!));
/** `x` held between `y` (low) and `z` (high); the gradient passes where it already was. */
export const clip = elementwise("clip", 3, ([x, low, high]) => scalar.minimum(scalar.maximum(x!, low!), high!));

/** 1 where the comparison holds, else 0. Comparisons have no gradient. */
export const less = elementwise("less", 2, ([x, y]) => scalar.less(x!, y!));
export const lessOrEqual = elementwise("lessOrEqual", 2, ([x, y]) => scalar.lessOrEqual(x!, y!));
export const equal = elementwise("equal", 2, ([x, y]) => scalar.equal(x!, y!));
/** `y` where `x` is not 0, else `z`. */
export const where = elementwise("where", 3, ([condition, yes, no]) => select(condition!, yes!, no!));

const roundFlat = elementwise("round", 1, ([x]) => scalar.round(x!));
const roundThrough = elementwise(
  "round",
  1,
  ([x]) => scalar.round(x!),
  (_x, _y, dy) => [dy],
);

/**
 * The nearest whole number, halves to the even one. Its gradient is zero, or with `straightThrough` that of `x` itself
 * (Bengio et al. 2013, arXiv 1308.3432).
 */
export function round(x: Tensor, { straightThrough = false } = {}): Tensor {
  return straightThrough ? roundThrough(x) : roundFlat(x);
}

const general = elementwise("pow", 2, ([x, y]) => scalar.exp(scalar.multiply(y!, scalar.log(x!))));
const wholePowers = new Map<number, (x: Operand) => Tensor>();

/** `x^exponent`. Whole exponents from -8 to 8 are products and take any `x`; all others want `x > 0`. */
export function pow(x: Tensor, exponent: Operand): Tensor {
  if (exponent === 0.5) return sqrt(x);
  const isSmall = typeof exponent === "number" && Number.isInteger(exponent) && Math.abs(exponent) <= 8;
  if (!isSmall) return general(x, exponent);
  let power = wholePowers.get(exponent);
  if (power === undefined) {
    power = elementwise("pow", 1, ([base]) => product(base!, exponent));
    wholePowers.set(exponent, power);
  }
  return power(x);
}

function product(base: Expression, exponent: number): Expression {
  if (exponent < 0) return scalar.divide(constant(1), product(base, -exponent));
  // x * 0 + 1 rather than a plain 1: the result has the shape of x, and NaN stays NaN.
  if (exponent === 0) return scalar.add(scalar.multiply(base, constant(0)), constant(1));
  const half = exponent >> 1;
  if (half === 0) return base;
  const squared = scalar.multiply(product(base, half), product(base, half));
  return exponent % 2 === 0 ? squared : scalar.multiply(squared, base);
}
