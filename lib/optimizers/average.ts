import { add, multiply, subtract } from "../ops/arithmetic.ts";
import type { Variable } from "../tensor.ts";
import { checkShare, zeros } from "./optimizer.ts";

/**
 * Exponential moving averages of parameters: after each step
 *   average ← average + (1 - decay) (parameter - average).
 */
export interface Average {
  /** One variable per parameter, in order, named `<parameter>.average`. */
  readonly variables: readonly Variable[];
  /** Takes in the parameters as they are now. */
  update(): void;
}

/**
 * Averages that begin at the parameters as they are now. `decay` is from 0 (follows at once) to below 1 (0.999
 * remembers some thousand updates), a RangeError otherwise.
 */
export function movingAverage(parameters: readonly Variable[], decay: number): Average {
  checkShare("movingAverage: decay", decay);
  const variables = parameters.map((parameter) => {
    const variable = zeros(parameter, `${parameter.name}.average`);
    variable.assign(parameter);
    return variable;
  });
  return {
    variables,
    update: () =>
      parameters.forEach((parameter, i) => {
        const average = variables[i]!;
        average.assign(add(average, multiply(subtract(parameter, average), 1 - decay)));
      }),
  };
}
