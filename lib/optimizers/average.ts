import { add, multiply, subtract } from "../ops/arithmetic.ts";
import { sizeOf } from "../shape.ts";
import type { Variable } from "../tensor.ts";

/** Exponential moving averages of parameters: after each step `average ← average + (1 - decay) (parameter - average)`. */
export interface Average {
  /** One variable per parameter, in order, named `<parameter>.average`. */
  readonly variables: readonly Variable[];
  /** Takes in the parameters as they are now. */
  update(): void;
}

/** Averages that begin at the parameters as they are now. `decay` is in [0, 1): 0 follows, 0.999 remembers long. */
export function movingAverage(parameters: readonly Variable[], decay: number): Average {
  if (!(decay >= 0 && decay < 1)) throw new RangeError(`movingAverage: decay must be from 0 to below 1, got ${decay}`);
  const variables = parameters.map((parameter) => {
    const variable = parameter.runtime.variable(new Float32Array(sizeOf(parameter.shape)), parameter.shape, `${parameter.name}.average`);
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
