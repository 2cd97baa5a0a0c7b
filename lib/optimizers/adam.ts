import { adamUpdate } from "../ops/update.ts";
import type { Variable } from "../tensor.ts";
import { Optimizer, runUpdate } from "./optimizer.ts";

export interface AdamOptions {
  /** Decay of the first moment, default 0.9. */
  readonly beta1?: number;
  /** Decay of the second moment, default 0.999. */
  readonly beta2?: number;
  /** Default 1e-8. */
  readonly epsilon?: number;
  /** Default 0. In `adam` added to the gradient, in `adamW` taken off the parameter. */
  readonly weightDecay?: number;
}

function make(parameters: readonly Variable[], options: AdamOptions, decoupled: boolean): Optimizer {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0 } = options;
  let corrections: readonly [number, number] = [0, 0];
  return new Optimizer(parameters, {
    moments: ["first", "second"],
    begin: (step) => {
      corrections = [1 - power(beta1, step), 1 - power(beta2, step)];
    },
    update: (target, gradient, rate) =>
      runUpdate(adamUpdate, target, gradient, { decoupled }, [rate, beta1, beta2, epsilon, weightDecay, ...corrections]),
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

/** Adam (Kingma & Ba 2015, arXiv 1412.6980). */
export function adam(parameters: readonly Variable[], options: AdamOptions = {}): Optimizer {
  return make(parameters, options, false);
}

/** Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101). */
export function adamW(parameters: readonly Variable[], options: AdamOptions = {}): Optimizer {
  return make(parameters, options, true);
}
