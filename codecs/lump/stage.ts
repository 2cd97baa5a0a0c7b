import { exp } from "../../lib/math.ts";
import type { Activation } from "../../lib/network.ts";

/**
 * A layer with weights as lumping sees it: units that each read all units of the layer before (its sources). A unit is
 * a neuron of a dense layer or a filter of a convolution, and a source is read at one or more positions: the cells of
 * the kernel, or the places of the image that was flattened. Both have the weights [positions, sources, units], which
 * is how their tensors lie in memory already.
 */
export interface Stage {
  readonly positions: number;
  readonly sources: number;
  readonly units: number;
  readonly weights: Float64Array;
  /** One per unit; zeros where the layer has none. */
  readonly bias: Float64Array;
  /** One per unit: a layer of a network has one for all, a dictionary may mix them. */
  readonly activations: readonly Activation[];
  /** Whether a maximum over several places stands between these units and whoever reads them. */
  readonly pooled: boolean;
  /** Whether some positions read zeros beyond the border instead of their source. */
  readonly padded: boolean;
}

/** A number that is known only to lie between two others. */
export interface Range {
  readonly low: number;
  readonly high: number;
}

export const magnitude = ({ low, high }: Range): number => Math.max(Math.abs(low), Math.abs(high));

/** The slope of `leakyRelu` below 0, as `lib/ops` has it. */
const slope = 0.01;

/** An activation of one number. */
export function activate(activation: Activation, x: number): number {
  switch (activation) {
    case "none":
      return x;
    case "relu":
      return Math.max(0, x);
    case "leakyRelu":
      return x < 0 ? slope * x : x;
    case "sigmoid":
      return 1 / (1 + exp(-x));
    case "tanh": {
      const decay = exp(-2 * Math.abs(x));
      return (Math.sign(x) * (1 - decay)) / (1 + decay);
    }
  }
}

/** The most that an activation moves when its argument moves by 1. */
export function steepness(activation: Activation): number {
  return activation === "sigmoid" ? 1 / 4 : 1;
}

/** Which factors an activation lets through, `act(f x) = f act(x)` for every x. */
export interface Factors {
  /** All magnitudes, or 1 alone. */
  readonly free: boolean;
  readonly negative: boolean;
}

/** The maximum of pooling lets positive factors through only. */
export function factorsOf(activation: Activation, pooled: boolean): Factors {
  switch (activation) {
    case "none":
      return { free: true, negative: !pooled };
    case "relu":
    case "leakyRelu":
      return { free: true, negative: false };
    case "tanh":
      return { free: false, negative: !pooled };
    case "sigmoid":
      return { free: false, negative: false };
  }
}
