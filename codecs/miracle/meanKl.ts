import * as scalar from "../../lib/expression.ts";
import { maximum } from "../../lib/ops/arithmetic.ts";
import { elementwise } from "../../lib/ops/elementwise.ts";
import type { Tensor } from "../../lib/tensor.ts";

/**
 * Mean-KL parameterisation (arXiv 2307.07816): the mean and the KL of a scalar are free, and its variance follows. With
 * d = mean / p, k the KL in nats, and s = sigma^2 / p^2,
 *
 *     k = (s - ln s - 1 + d^2) / 2,    so that    s - ln s = 1 + 2 k - d^2
 *
 * whose solution below 1 is s = -W0(-exp(d^2 - 2 k - 1)), W0 being Lambert's function.
 */

const { add, constant, divide, exp, negate, subtract } = scalar;

/** From y = -c every step of Newton's method goes up to the root, and near it the error is squared. */
const rounds = 8;

const solve = elementwise(
  "logVarianceRatio",
  1,
  ([c]) => {
    let y = negate(c!);
    for (let round = 0; round < rounds; round++) {
      const power = exp(y);
      y = subtract(y, divide(subtract(subtract(power, y), c!), subtract(power, constant(1))));
    }
    return y;
  },
  // (e^y - 1) dy = dc
  (_, y, dy) => [divide(dy, add(exp(y), constant(-1)))],
);

/** Where s comes near 1 its slope has no bound. */
const least = 1.001;

/** ln s for c = 1 + 2 k - d^2, which is kept at 1.001 or above. */
export function logVarianceRatio(c: Tensor): Tensor {
  return solve(maximum(c, least));
}
