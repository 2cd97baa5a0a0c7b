import {
  add,
  constant,
  divide,
  exp,
  type Expression,
  less,
  multiply,
  negate,
  select,
  subtract,
} from "../expression.ts";
import type { Tensor } from "../tensor.ts";
import { elementwise } from "./elementwise.ts";

const passing = (y: Expression, dy: Expression): Expression => select(less(constant(0), y), dy, constant(0));

/** Rectifier, `y = max(0, x)`. Its gradient is `dy` where `x > 0`, and zero at `x = 0` too. */
export const relu = elementwise(
  "relu",
  1,
  // Written as a choice, so that NaN stays NaN.
  ([x]) => select(less(x!, constant(0)), constant(0), x!),
  (_, y, dy) => [passing(y, dy)],
);

/** `dy` where the rectifier's result `y` is above 0, else 0: the gradient behind a fused rectifier. */
export const reluGradient = elementwise("reluGradient", 2, ([y, dy]) => passing(y!, dy!));

const leaky = elementwise("leakyRelu", 2, ([x, slope]) => select(less(x!, constant(0)), multiply(x!, slope!), x!));

/** `x` above 0, `slope * x` below. */
export function leakyRelu(x: Tensor, slope = 0.01): Tensor {
  return leaky(x, slope);
}

/** Logistic function, `1 / (1 + e^-x)`. */
export const sigmoid = elementwise(
  "sigmoid",
  1,
  ([x]) => divide(constant(1), add(constant(1), exp(negate(x!)))),
  (_, y, dy) => [multiply(dy, multiply(y, subtract(constant(1), y)))],
);

/** Taylor series of tanh in odd powers of x, highest first: error 2e-11 of the value at the switch, |x| = 1/4. */
const tanhSeries = [21844 / 6081075, -1382 / 155925, 62 / 2835, -17 / 315, 2 / 15, -1 / 3];

/** Hyperbolic tangent: by its series near 0, where `1 - e^-2|x|` would cancel. */
export const tanh = elementwise(
  "tanh",
  1,
  ([x]) => {
    const squared = multiply(x!, x!);
    const near = tanhSeries.reduce((sum, c) => multiply(add(sum, constant(c)), squared), constant(0));
    const decay = exp(multiply(select(less(x!, constant(0)), negate(x!), x!), constant(-2)));
    const size = divide(subtract(constant(1), decay), add(constant(1), decay));
    const far = select(less(x!, constant(0)), negate(size), size);
    return select(less(squared, constant(1 / 16)), add(x!, multiply(x!, near)), far);
  },
  (_, y, dy) => [multiply(dy, subtract(constant(1), multiply(y, y)))],
);
