import type { Runtime } from "../../lib/runtime.ts";
import type { Tensor } from "../../lib/tensor.ts";
import type { Weights } from "../../lib/weights.ts";
import type { Group } from "../scalars.ts";
import type { Rates } from "./posterior.ts";
import type { PriceOptions } from "./prices.ts";
import type { Weighing } from "./score.ts";

/** Which draw of the weights a loss is asked for. */
export interface Draw {
  /** Counted through all phases, so that a step's images can be found again by its number. */
  readonly step: number;
  /** From 0 to `samples` - 1: each sees the weights with a noise of its own. */
  readonly sample: number;
  readonly samples: number;
}

/**
 * What the network's mistakes cost, in nats per image: one number, from its tensors. Called inside a step. With several
 * samples a step, each is given its own part of the batch.
 */
export type MiracleLoss = (parameters: readonly Tensor[], draw: Draw) => Tensor;

/** How the index of a block is chosen. */
export type Choice =
  /** The sample with the largest weight. */
  | { readonly by: "maximum"; readonly weighing?: Weighing }
  /** One drawn by its weight, as published. */
  | { readonly by: "sampling"; readonly weighing?: Weighing }
  /** Of the `among` largest the one with the least loss: what `judge` says, all other scalars being at their means. */
  | { readonly by: "loss"; readonly among: number; readonly judge: (parameters: readonly Tensor[]) => Tensor };

export interface MiracleOptions {
  readonly runtime: Runtime;
  /** Tensors of the file, in the order of its network. */
  readonly shapes: readonly (readonly number[])[];
  /** Where training starts: the live weights of each tensor, in the shapes that the loss wants. */
  readonly start: Weights;
  /** Live outputs of each tensor of weights but the last. Default: all. */
  readonly live?: readonly number[] | undefined;
  /** Per tensor. Default: no weights share a scalar. */
  readonly groups?: readonly Group[] | undefined;
  /**
   * Whether `loss` and `judge` take [..., outputs / size] in place of [..., outputs] where groups, not hashed, are runs
   * of neighbouring outputs: as `forward` of `kilonet/models` does, which then computes each run once. Default: no.
   */
  readonly distinct?: boolean | undefined;
  readonly loss: MiracleLoss;
  /** Bits per block, 4 to 20. */
  readonly bits: number;
  /** What `blocksFor` says. Cut to equal KL, they become as many as fit in the same bytes: a few more or fewer. */
  readonly blocks: number;
  /** Settles all draws of the file, and the noise of training. From 0 to 2^32 - 1; below 128 it takes one byte. */
  readonly seed: number;
  /**
   * What is trained beside the means: deviations, whose KL has a price, or each scalar's share of its block's KL, which
   * fits by construction (`meanKl.ts`). Default: deviations.
   */
  readonly free?: "deviations" | "divergences" | undefined;
  /** Draws of the weights per step. Default: 1. */
  readonly samples?: number | undefined;
  /** Deviation of each scalar at the start. Default: 0.01. */
  readonly deviation?: number | undefined;
  /** Of deviations. */
  readonly prices?: PriceOptions | undefined;
  /** Default: the sample with the largest importance weight. */
  readonly choice?: Choice | undefined;
  /**
   * Blocks of equal size, or cut to equal KL when coding begins, which spends bits on their sizes: `blocksFor` must
   * know. Default: size.
   */
  readonly equal?: "size" | "divergence" | undefined;
  /** Called every ten steps and after each block. What it returns is awaited; throwing ends the phase. */
  readonly onProgress?: ((progress: MiracleProgress) => void | Promise<void>) | undefined;
}

export interface MiracleProgress {
  readonly phase: "pretrain" | "train" | "compress";
  /** Steps done in the phase, and in all. */
  readonly step: number;
  readonly steps: number;
  /** Blocks that have their index. */
  readonly coded: number;
  readonly blocks: number;
  /** Loss without the price of KL, in nats, of the last step that was looked at; NaN before the first. */
  readonly loss: number;
  /** Mean KL of the blocks that were not coded then, in bits; NaN where there is none yet. */
  readonly divergence: number;
}

export interface PretrainOptions {
  readonly steps: number;
  readonly rate: (step: number) => number;
}

export interface TrainOptions {
  readonly steps: number;
  readonly rates: (step: number) => Rates;
  /** Steps in which all blocks have the same price. Default: none. */
  readonly shared?: number;
  /** The step at which prior scales are rounded, from where they stay. Default: when coding begins. */
  readonly roundScales?: number;
  /** Asked every ten steps; `true` ends training. */
  readonly until?: (progress: MiracleProgress) => boolean;
}

export interface CompressOptions {
  /** Steps of retraining after each block. */
  readonly refit: number | ((block: number) => number);
  /** By the share of blocks that is coded, from 0 to 1. */
  readonly rates: (share: number) => Rates;
}

/** What a training needs to go on, as plain data. */
export interface MiracleState {
  readonly progress: {
    readonly phase: MiracleProgress["phase"];
    /** Steps done in the phase: in `compress`, since the last block was coded. */
    readonly step: number;
    readonly total: number;
    readonly pretrained: boolean;
    readonly trained: boolean;
    readonly prices: readonly number[];
    readonly scales: readonly number[] | null;
    readonly sizes: readonly number[] | null;
    readonly indices: readonly number[];
    readonly updates: readonly number[];
  };
  readonly arrays: Weights;
}
