import { blocksFor, type Choice, type Group, type PriceOptions } from "../../codecs/index.ts";
import { type Network, parametersOf } from "../../lib/index.ts";
import { type DropoutShares, narrow, withDropout } from "../../models/index.ts";
import type { MiracleRunProgress } from "./miracle.ts";
import type { SizedRunOptions } from "./sizedRun.ts";

/** How a network becomes a file by MIRACLE. What is left out comes from `miracleRecipe`. */
export interface MiracleRecipe {
  /** Units of each layer but the last that are trained at all. Not given: all of them. */
  readonly live?: readonly number[] | undefined;
  /** Where unit counts are learned: steps for it, and bits of the file for each weight that may be left. */
  readonly searching: number;
  readonly bitsPerWeight: number;
  /** Weights per trained scalar, by tensor. Not given: one. */
  readonly groups?: readonly Group[] | undefined;
  /** Bits per block, 4 to 20. */
  readonly bits: number;
  /** Steps of training without noise, with noise and budget, and after each block. */
  readonly pretraining: number;
  readonly training: number;
  readonly refit: number;
  /**
   * Training with noise may end before its steps are done: once the mean KL has been within 1 % of the blocks' bits,
   * and accuracy on the validation images has not risen, for so many steps. Not given: it does not.
   */
  readonly patience?: number | undefined;
  /** Images per step, and draws of the weights that share them. */
  readonly batch: number;
  readonly samples: number;
  /** Highest learning rate of the means, in training and in refitting. */
  readonly rate: number;
  readonly refitRate: number;
  /** How many times faster deviations learn than means. */
  readonly deviationRate: number;
  /** Deviation of each scalar when noise begins. */
  readonly deviation: number;
  /** Share of the training steps in which all blocks have one price. */
  readonly shared: number;
  /** What is trained beside the means: deviations, or shares of the KL of a block (Mean-KL). Default: deviations. */
  readonly free?: "deviations" | "divergences" | undefined;
  /** Of KL, where deviations are free. */
  readonly prices?: PriceOptions | undefined;
  /** Blocks of equal size or of equal KL. Default: size. */
  readonly equal?: "size" | "divergence" | undefined;
  /** Copies of each image to train on as well, and the share of pictures that are originals. */
  readonly copies: number;
  readonly original: number;
  /** Shares of the inputs of layers that training drops. */
  readonly dropout: DropoutShares;
  readonly choice: RunChoice;
}

/** As `Choice`; the loss that judges is the cross entropy of so many training images, the same for all blocks. */
export type RunChoice =
  | Exclude<Choice, { readonly by: "loss" }>
  | { readonly by: "loss"; readonly among: number; readonly images: number };

/** Below 128 the seed takes one byte of the file. Where units are learned, `weights` are those of all of them. */
export interface MiracleRunOptions extends SizedRunOptions, Omit<Partial<MiracleRecipe>, "live"> {
  /** `auto`: learned, from all units on, so that what is left fits the file (`UnitSearch`). */
  readonly live?: readonly number[] | "auto" | undefined;
  readonly onProgress?: (progress: MiracleRunProgress) => void;
}

const everyNetwork: Omit<MiracleRecipe, "live" | "groups"> = {
  searching: 4500,
  bitsPerWeight: 1.7,
  bits: 18,
  pretraining: 8000,
  training: 20000,
  refit: 60,
  batch: 128,
  samples: 8,
  rate: 2e-3,
  refitRate: 1e-3,
  deviationRate: 5,
  deviation: 0.01,
  shared: 0.5,
  copies: 0,
  original: 0.35,
  dropout: {},
  choice: { by: "maximum" },
};

/** What worked for a network and a size; `docs/miracle.md` has the figures. */
export function miracleRecipe({ name }: Network, bytes: number): MiracleRecipe {
  if (name !== "lenet5") return everyNetwork;
  const live = bytes < 900 ? [5, 10, 16] : bytes < 1400 ? [6, 12, 16] : [10, 20, 32];
  return { ...everyNetwork, live };
}

/** The options of a run with what is left out. */
export type Settled<Options> = Options & Omit<MiracleRecipe, "live"> & { readonly seed: number };

type Given = Omit<MiracleRunOptions, "runtime">;

/** Fills in what is left out. RangeError for options that do not go together. */
export function settled<Options extends Given>(network: Network, given: Options): Settled<Options> {
  const filled = { seed: 1, ...miracleRecipe(network, given.bytes), ...defined(given) };
  const { choice, free, prices, patience, bits, groups, bitsPerWeight } = filled;
  const refuse = (message: string): never => {
    throw new RangeError(`miracle: ${message}`);
  };
  if (free === "divergences" && prices !== undefined) refuse("where divergences are free, KL has no price");
  if (choice.by === "loss") {
    checkWhole("the samples that are judged", choice.among, 1, 2 ** bits);
    checkWhole("the images that judge", choice.images, 1, 2 ** 20);
  }
  withDropout(network, filled.dropout);
  if (patience !== undefined) checkWhole("patience", patience, 1, 2 ** 22);
  if (filled.live === "auto") {
    if (groups !== undefined) refuse("groups are of weights that are known: say which units live, or learn no groups");
    if (!(bitsPerWeight > 0 && bitsPerWeight < Infinity)) {
      refuse(`bits per weight must be above 0, got ${bitsPerWeight}`);
    }
  }
  // Weights to start from stand for all of pretraining.
  const pretraining = given.weights === undefined ? filled.pretraining : 0;
  return { ...filled, live: plainLive(network, filled.live), pretraining };
}

/** A file says which units live only where some do not. */
export function plainLive<Live extends readonly number[] | "auto" | undefined>(
  { layers }: Network,
  live: Live,
): Live | undefined {
  if (live === undefined || live === "auto") return live;
  const units = layers.flatMap((layer) =>
    layer.type === "convolution" ? [layer.filters] : layer.type === "dense" ? [layer.units] : [],
  );
  return live.length === units.length - 1 && live.every((count, i) => count === units[i]) ? undefined : live;
}

/**
 * How many blocks the file of such a run has; `null` where that depends on units that are learned. RangeError, as
 * `miracle` throws it, for options that do not go together and budgets that are too small: before there are images.
 */
export function miracleBlocks(network: Network, options: Given): number | null {
  const { live, ...filled } = settled(network, options);
  if (live !== "auto") {
    if (live !== undefined) narrow(network, live);
    return blocksFor({ network, live, ...filled });
  }
  // The least that could be left of the network must fit.
  const layers = parametersOf(network).filter(({ shape }) => shape.length > 1).length - 1;
  if (layers === 0) throw new RangeError(`miracle: ${network.name} has no hidden units, so there are none to learn`);
  blocksFor({ network, live: new Array<number>(layers).fill(1), ...filled });
  return null;
}

/** Without the options that are there but not set, so that defaults hold. */
function defined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

function checkWhole(what: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new RangeError(`miracle: ${what} must be a whole number from ${least} to ${most}, got ${value}`);
}
