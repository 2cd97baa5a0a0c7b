import type { Network } from "../lib/network.ts";
import { derive, fillWords, type Key, permutation, seedKey, STREAMS } from "../lib/random.ts";
import { augmentationOf, type AugmentOptions, copier, type Pool } from "./augment.ts";
import { checkWhole } from "./check.ts";
import { type Dataset, gatherImages, gatherLabels } from "./data/dataset.ts";

/** Training on copies as well: which copies there are, and how often an image is seen as it is. */
export interface TrainingAugmentation extends AugmentOptions {
  /** The share of pictures that are originals, from 0 to 1. Default: 0.35. */
  readonly original?: number;
}

/** Fills in defaults. RangeError, which names the option, for one that makes no sense. */
export function trainingAugmentationOf(options: TrainingAugmentation): Required<TrainingAugmentation> {
  const { original = 0.35 } = options;
  if (!(original >= 0 && original <= 1)) {
    throw new RangeError(`augment: original must be a number from 0 to 1, got ${original}`);
  }
  return { ...augmentationOf(options), original };
}

/** Images and labels of one step, in memory that the next batch overwrites. */
export interface Batch {
  /** Place of each picture in the data set or, with augmentation, in the pool that `augment` makes of it. */
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
 *
 * With augmentation, image i is seen in epoch e as itself if the word of element 2 i is below `original` * 2^32, else
 * as the copy 1 + floor(w * copies / 2^32) with w the word of element 2 i + 1, both of block e of the stream
 * `augmentation` under key `derive(key, 0)`. Copies are made when they are wanted, and have the bytes of those in the
 * pool: memory holds the originals alone.
 */
export interface Batches {
  /** Images in each batch: what was asked for, or the whole data set if that is smaller. */
  readonly size: number;
  readonly perEpoch: number;
  /** Pictures that `indices` may name. */
  readonly pictures: number;
  /** What the batches are made of. */
  readonly source: BatchSource;
  /** Batch `number`, from 0. The same object every time, with other numbers. */
  at(number: number): Batch;
  /** Its `indices` alone, in the same memory: all that a device needs that has the pictures. */
  indicesAt(number: number): Uint32Array;
}

export interface BatchSource {
  readonly data: Dataset;
  readonly input: Network["input"];
  readonly augmentation?: TrainingAugmentation | undefined;
  readonly pool?: Pool | undefined;
}

/**
 * Batches of `size` images in the order of `seed`, scaled as `input` says. RangeError for a bad seed or augmentation.
 */
export function batchesOf(
  data: Dataset,
  input: Network["input"],
  options: {
    readonly size: number;
    readonly seed: number;
    readonly augmentation?: TrainingAugmentation | undefined;
    /** What `augment` makes of `data` under `augmentation`: copies that are at hand need not be made again. */
    readonly pool?: Pool | undefined;
  },
): Batches {
  const { size: wanted, seed, augmentation, pool } = options;
  const key = seedKey(seed);
  const size = Math.min(wanted, data.count);
  const perEpoch = Math.floor(data.count / size);
  const pictures =
    augmentation === undefined ? plain(data, input) : augmented(data, input, { augmentation, pool, key, size });
  let epoch = -1;
  let order: Uint32Array = new Uint32Array(0);
  const batch = {
    indices: new Uint32Array(size),
    images: new Float32Array(size * input.height * input.width * input.channels),
    labels: new Int32Array(size),
  };
  /** The numbers of a batch's images. Where they are seen as what is in its indices then. */
  const choose = (number: number): Uint32Array => {
    const wantedEpoch = Math.floor(number / perEpoch);
    if (wantedEpoch !== epoch) {
      epoch = wantedEpoch;
      order = permutation(data.count, key, { stream: STREAMS.shuffle, block: epoch });
      pictures.begin(epoch);
    }
    const from = (number - epoch * perEpoch) * size;
    const numbers = order.subarray(from, from + size);
    pictures.choose(batch.indices, numbers);
    return numbers;
  };
  return {
    size,
    perEpoch,
    pictures: pictures.count,
    source: { data, input, augmentation, pool },
    at(number) {
      const numbers = choose(number);
      gatherLabels(batch.labels, data, numbers);
      pictures.show(batch, numbers);
      return batch;
    },
    indicesAt(number) {
      choose(number);
      return batch.indices;
    },
  };
}

/** As what the images of a batch are seen. */
interface Pictures {
  readonly count: number;
  begin(epoch: number): void;
  /** Fills in the places of the pictures as which the images with these numbers are seen. */
  choose(indices: Uint32Array, numbers: Uint32Array): void;
  /** Fills in the pictures at the batch's indices. */
  show(batch: Batch, numbers: Uint32Array): void;
}

function plain(data: Dataset, input: Network["input"]): Pictures {
  return {
    count: data.count,
    begin: () => {},
    choose: (indices, numbers) => indices.set(numbers),
    show: ({ images }, numbers) => gatherImages(images, data, numbers, input),
  };
}

function augmented(
  data: Dataset,
  input: Network["input"],
  { augmentation, pool, key, size }: {
    readonly augmentation: TrainingAugmentation;
    readonly pool: Pool | undefined;
    readonly key: Key;
    readonly size: number;
  },
): Pictures {
  const { count } = data;
  const { original, copies } = trainingAugmentationOf(augmentation);
  checkWhole("augment: pictures", count * (copies + 1), 1, 2 ** 32);
  if (pool !== undefined && (pool.originals !== count || pool.count !== count * (copies + 1))) {
    throw new RangeError(`augment: the pool must hold ${count} images and ${copies} copies of each`);
  }
  const copy = copier(data, augmentation);
  const bytes = data.images.length / count;
  const made = { ...data, images: new Uint8Array(size * bytes), count: size };
  const all = Uint32Array.from({ length: size }, (_, i) => i);
  const choices = derive(key, 0);
  const words = new Uint32Array(2 * count);
  return {
    count: count * (copies + 1),
    begin: (epoch) => fillWords(words, choices, { stream: STREAMS.augmentation, block: epoch }),
    choose: (indices, numbers) =>
      numbers.forEach((number, i) => {
        const asItIs = words[2 * number]! < original * 2 ** 32;
        const which = asItIs ? 0 : 1 + Math.floor((words[2 * number + 1]! * copies) / 2 ** 32);
        indices[i] = which * count + number;
      }),
    show: ({ indices, images }, numbers) => {
      if (pool !== undefined) return gatherImages(images, pool, indices, input);
      numbers.forEach((number, i) =>
        copy(made.images.subarray(i * bytes, (i + 1) * bytes), number, (indices[i]! - number) / count),
      );
      gatherImages(images, made, all, input);
    },
  };
}
