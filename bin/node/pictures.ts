import type { Network, Runtime, Tensor } from "../../lib/index.ts";
import {
  augment,
  type AugmentOptions,
  type Batch,
  batchesOf,
  type Dataset,
  forward,
  type Loss,
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
  readonly loss: Loss;
}

/** Which part of a step's batch a loss is for: all of it, unless several samples of the weights share it. */
export interface Part {
  readonly step: number;
  readonly sample?: number;
  readonly samples?: number;
}

/**
 * The loss of a network's tensors on a step's pictures, for methods that train by themselves. Copies are made once,
 * before the first step. RangeError, before the first step as well, where samples cannot share a batch evenly and for a
 * loss that knows other pictures than these.
 */
export function lossOnPictures(options: PicturesOptions): (parameters: readonly Tensor[], part: Part) => Tensor {
  const { runtime, network, training, batch: size, seed, copies, original, loss } = options;
  const { height, width, channels } = network.input;
  const augmentation = copies === 0 ? undefined : { seed, ...options.augment, copies, original };
  const pool = augmentation === undefined ? undefined : augment(training, augmentation);
  const batches = batchesOf(training, network.input, { size, seed, augmentation, pool });
  const shareOf = (samples: number): number => {
    if (batches.size % samples === 0) return batches.size / samples;
    throw new RangeError(`pictures: a batch of ${batches.size} images cannot be shared by ${samples} samples`);
  };
  shareOf(options.samples ?? 1);
  if (loss.pictures !== undefined && loss.pictures !== batches.pictures) {
    throw new RangeError(`pictures: the loss knows ${loss.pictures} pictures, training has ${batches.pictures}`);
  }
  const pixels = height * width * channels;
  let batch: Batch | undefined;
  let at = -1;
  return (parameters, { step, sample = 0, samples = 1 }) => {
    // All samples of a step share one batch.
    if (batch === undefined || step !== at) [batch, at] = [batches.at(step), step];
    const { images, labels, indices } = batch;
    const each = shareOf(samples);
    const [from, to] = [sample * each, (sample + 1) * each];
    const seen = runtime.tensor(images.subarray(from * pixels, to * pixels), [each, height, width, channels]);
    const answers = runtime.tensor(labels.subarray(from, to));
    const places = indices.subarray(from, to);
    const logits = forward(network, parameters, seen);
    return loss.of({ logits, labels: answers, indices: places, trained: parameters, parameters, step });
  };
}
