import type { Network } from "../lib/network.ts";
import { permutation, seedKey, STREAMS } from "../lib/random.ts";
import { type Dataset, gatherImages, gatherLabels } from "./data/dataset.ts";

/** Images and labels of one step, in memory that the next batch overwrites. */
export interface Batch {
  /** Place of each image in the data set. */
  readonly indices: Uint32Array;
  /** [size, height, width, channels], scaled for the network. */
  readonly images: Float32Array;
  readonly labels: Int32Array;
}

/**
 * The batches of a training. Each is known by its number alone, so that a training can go on from anywhere: epoch e is
 * batches e * perEpoch up to (e + 1) * perEpoch - 1, and reads the images in the order of the draws of block e of the
 * stream `shuffle`. All batches have the same size. Images left over at the end of an epoch (fewer than a batch) wait
 * for the next one, where the order is another; a data set smaller than a batch is one batch.
 */
export interface Batches {
  /** Images in each batch: what was asked for, or the whole data set if that is smaller. */
  readonly size: number;
  readonly perEpoch: number;
  /** Batch `number`, from 0. The same object every time, with other numbers. */
  at(number: number): Batch;
}

/** Batches of `size` images in the order of `seed`, scaled as `input` says. */
export function batchesOf(
  data: Dataset,
  input: Network["input"],
  { size: wanted, seed }: { readonly size: number; readonly seed: number },
): Batches {
  const key = seedKey(seed);
  const size = Math.min(wanted, data.count);
  const perEpoch = Math.floor(data.count / size);
  let epoch = -1;
  let order: Uint32Array = new Uint32Array(0);
  const batch = {
    indices: new Uint32Array(size),
    images: new Float32Array(size * input.height * input.width * input.channels),
    labels: new Int32Array(size),
  };
  return {
    size,
    perEpoch,
    at(number) {
      const wantedEpoch = Math.floor(number / perEpoch);
      if (wantedEpoch !== epoch) {
        epoch = wantedEpoch;
        order = permutation(data.count, key, { stream: STREAMS.shuffle, block: epoch });
      }
      const from = (number - epoch * perEpoch) * size;
      batch.indices.set(order.subarray(from, from + size));
      gatherImages(batch.images, data, batch.indices, input);
      gatherLabels(batch.labels, data, batch.indices);
      return batch;
    },
  };
}
