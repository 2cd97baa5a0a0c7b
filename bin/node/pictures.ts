import { derive, type Network, type Runtime, seedKey, type Tensor } from "../../lib/index.ts";
import {
  augment,
  type AugmentOptions,
  batchesOf,
  type Dataset,
  type DropoutShares,
  feedOf,
  forward,
  type Loss,
  withDropout,
} from "../../models/index.ts";

export interface PicturesOptions {
  readonly runtime: Runtime;
  readonly network: Network;
  readonly training: Dataset;
  /** Images per step. */
  readonly batch: number;
  /** Samples of the weights that share a step's images. Default: 1. */
  readonly samples?: number;
  readonly seed: number;
  /** Copies of each image to train on as well, what they are like, and the share of pictures that are originals. */
  readonly copies: number;
  readonly original: number;
  readonly augment?: Omit<AugmentOptions, "copies"> | undefined;
  /** Not given: none. */
  readonly dropout?: DropoutShares | undefined;
  readonly loss: Loss;
}

/** Which part of a step's batch a loss is for: all of it, unless several samples of the weights share it. */
export interface Part {
  readonly step: number;
  readonly sample?: number;
  readonly samples?: number;
  /** Whose tensors they are, where units come and go. Default: the network of the options. */
  readonly network?: Network;
}

export type LossOnPictures = (parameters: readonly Tensor[], part: Part) => Tensor;

/**
 * The loss of a network's tensors on a step's pictures, for methods that train by themselves. Copies are made once,
 * before the first step. RangeError, before the first step as well, where samples cannot share a batch evenly and for a
 * loss that knows other pictures than these.
 */
export function lossOnPictures(options: PicturesOptions): LossOnPictures {
  const { runtime, network, training, batch: size, seed, copies, original, dropout = {}, loss } = options;
  const augmentation = copies === 0 ? undefined : { seed, ...options.augment, copies, original };
  // For a remote device the feed makes them, once it knows that they fit.
  const pool = augmentation === undefined || runtime.remote ? undefined : augment(training, augmentation);
  const batches = batchesOf(training, network.input, { size, seed, augmentation, pool });
  const shareOf = (samples: number): number => {
    if (batches.size % samples === 0) return batches.size / samples;
    throw new RangeError(`pictures: a batch of ${batches.size} images cannot be shared by ${samples} samples`);
  };
  shareOf(options.samples ?? 1);
  if (loss.pictures !== undefined && loss.pictures !== batches.pictures) {
    throw new RangeError(`pictures: the loss knows ${loss.pictures} pictures, training has ${batches.pictures}`);
  }
  withDropout(network, dropout);
  const feed = feedOf(runtime, batches);
  const key = seedKey(seed);
  return (parameters, { step, sample = 0, samples = 1, network: now = network }) => {
    const each = shareOf(samples);
    // All samples of a step share one batch.
    const { images, ...pictures } = feed(step, sample * each, (sample + 1) * each);
    const training = { key: derive(key, sample), step };
    const logits = forward(withDropout(now, dropout), parameters, images, { training });
    return loss.of({ logits, ...pictures, trained: parameters, parameters, step });
  };
}
