import { divide, equal, multiply } from "../lib/ops/arithmetic.ts";
import { gather } from "../lib/ops/gather.ts";
import { max, mean } from "../lib/ops/reduce.ts";
import { crossEntropy } from "../lib/ops/softmax.ts";
import { sum } from "../lib/ops/sum.ts";
import type { Tensor } from "../lib/tensor.ts";

/** What a loss may look at: one batch, after the forward pass. All tensors live in the running step. */
export interface Outcome {
  /** [n, classes]. */
  readonly logits: Tensor;
  /** Ints [n]. */
  readonly labels: Tensor;
  /**
   * Place of each picture in the training set or, with augmentation, in the pool that `augment` makes of it, [n]: where
   * soft labels of a teacher are found.
   */
  readonly indices: Uint32Array;
  /** The same as ints on the device, [n], where that holds all pictures: a remote one. */
  readonly places?: Tensor;
  /** The arrays that are trained. */
  readonly trained: readonly Tensor[];
  /** The network's tensors that follow from them, as `forward` took them. */
  readonly parameters: readonly Tensor[];
  /** Number of the step, from 0. */
  readonly step: number;
}

/** What training minimises: one number for a batch. Plain training, distillation and penalties differ here alone. */
export interface Loss {
  /** Says with which settings it was made: a checkpoint is only continued under the same name. */
  readonly name: string;
  /** How many pictures it knows by their places, where it does: `fit` then refuses to train on another number. */
  readonly pictures?: number;
  readonly of: (outcome: Outcome) => Tensor;
}

/** The mean cross entropy of the labels, in nats. */
export const hardLabels: Loss = {
  name: "hardLabels",
  of: ({ logits, labels }) => mean(crossEntropy(logits, labels)),
};

/**
 * How many rows of `logits` [n, c] have their largest number at their label. Where k classes share the largest, the row
 * counts 1 / k: a network that says nothing gets what guessing would. `identity` is the unit matrix [c, c].
 */
export function hits(logits: Tensor, labels: Tensor, identity: Tensor): Tensor {
  const atTop = equal(logits, max(logits, { axes: [-1], keep: true }));
  const shares = divide(atTop, sum(atTop, { axes: [-1], keep: true }));
  return sum(multiply(shares, gather(identity, labels)));
}
