import { sgdUpdate } from "../ops/update.ts";
import type { Variable } from "../tensor.ts";
import { checkShare, checkWeightDecay, Optimizer, updater } from "./optimizer.ts";

export interface SgdOptions {
  /** Share of the velocity kept at each step, from 0 to below 1, default 0. */
  readonly momentum?: number;
  /** Nesterov's form (Sutskever et al. 2013), default false. */
  readonly nesterov?: boolean;
  /** Factor of w added to its gradient, default 0. */
  readonly weightDecay?: number;
}

/** Stochastic gradient descent. RangeError for options outside their range. */
export function sgd(parameters: readonly Variable[], options: SgdOptions = {}): Optimizer {
  const { momentum = 0, nesterov = false, weightDecay = 0 } = options;
  checkShare("sgd: momentum", momentum);
  checkWeightDecay("sgd", weightDecay);
  const update = updater(sgdUpdate, (masked) => ({ nesterov, masked }));
  return new Optimizer(parameters, {
    moments: ["velocity"],
    begin: () => {},
    update: (target, gradient, rate) => update(target, gradient, [rate, momentum, weightDecay]),
  });
}
