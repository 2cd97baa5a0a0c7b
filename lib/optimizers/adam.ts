import { adamUpdate } from "../ops/update.ts";
import type { Variable } from "../tensor.ts";
import { checkShare, checkWeightDecay, Optimizer, updater } from "./optimizer.ts";

export interface AdamOptions {
  /** Decay of the first moment, from 0 to below 1, default 0.9. */
  readonly beta1?: number;
  /** Decay of the second moment, from 0 to below 1, default 0.999. */
  readonly beta2?: number;
  /** Above 0, default 1e-8. */
  readonly epsilon?: number;
  /** Default 0. In `adam` added to the gradient, in `adamW` taken off the parameter. */
  readonly weightDecay?: number;
}

function make(
  name: string,
  parameters: readonly Variable[],
  { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0 }: AdamOptions,
): Optimizer {
  checkShare(`${name}: beta1`, beta1);
  checkShare(`${name}: beta2`, beta2);
  if (!(epsilon > 0 && epsilon < Infinity)) throw new RangeError(`${name}: epsilon must be above 0, got ${epsilon}`);
  checkWeightDecay(name, weightDecay);
  const update = updater(adamUpdate, (masked) => ({ decoupled: name === "adamW", masked }));
  let corrections: readonly [number, number] = [0, 0];
  return new Optimizer(parameters, {
    moments: ["first", "second"],
    begin: (step) => {
      corrections = [1 - power(beta1, step), 1 - power(beta2, step)];
    },
    update: (target, gradient, rate) =>
      update(target, gradient, [rate, beta1, beta2, epsilon, weightDecay, ...corrections]),
  });
}

/** `base^exponent` by squaring: the same bits on every engine, which `Math.pow` does not promise. */
function power(base: number, exponent: number): number {
  let result = 1;
  for (let factor = base, rest = exponent; rest > 0; rest = Math.floor(rest / 2), factor *= factor) {
    if (rest % 2 === 1) result *= factor;
  }
  return result;
}

/** Adam (Kingma & Ba 2015, arXiv 1412.6980). RangeError for options outside their range. */
export function adam(parameters: readonly Variable[], options: AdamOptions = {}): Optimizer {
  return make("adam", parameters, options);
}

/** Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101). RangeError as `adam`. */
export function adamW(parameters: readonly Variable[], options: AdamOptions = {}): Optimizer {
  return make("adamW", parameters, options);
}
