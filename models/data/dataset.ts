import { DataError } from "./error.ts";

/** Labelled images as plain data: it can be cloned, sent to a worker and hashed. */
export interface Dataset {
  /** One byte per pixel and channel: [count, height, width, channels], row-major. */
  readonly images: Uint8Array;
  readonly count: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  /** One per image: its class, an index into `classes`. */
  readonly labels: Uint8Array;
  readonly classes: readonly string[];
}

/**
 * Gives back a data set whose parts fit together. DataError `data-empty`, `data-size`, `data-labels` (their number),
 * `data-classes` or `data-label` (one of them names no class) otherwise.
 */
export function checkDataset(dataset: Dataset): Dataset {
  const { images, count, height, width, channels, labels, classes } = dataset;
  if (count === 0) throw new DataError("data-empty", "data: the set is empty, at least one image is needed");
  for (const [name, size] of Object.entries({ count, height, width, channels })) {
    if (!Number.isSafeInteger(size) || size < 1) {
      throw new DataError("data-size", `data: ${name} must be a whole number from 1 up, got ${size}`);
    }
  }
  if (images.length !== count * height * width * channels) {
    const shape = [count, height, width, channels].join(", ");
    throw new DataError("data-size", `data: images of [${shape}] do not fit ${images.length} bytes`);
  }
  if (labels.length !== count) {
    throw new DataError("data-labels", `data: ${count} images, but ${labels.length} labels`);
  }
  if (classes.length < 1 || classes.length > 256) {
    throw new DataError("data-classes", `data: 1 to 256 classes are possible, got ${classes.length}`);
  }
  const stray = labels.findIndex((label) => label >= classes.length);
  if (stray >= 0) {
    const message = `data: labels go from 0 to ${classes.length - 1}, got ${labels[stray]} for image ${stray}`;
    throw new DataError("data-label", message);
  }
  return dataset;
}

/**
 * Images `start` to `end` - 1, sharing memory with the whole. RangeError unless 0 <= start < end <= count: an empty set
 * has no use.
 */
export function take(dataset: Dataset, start: number, end: number): Dataset {
  const { count, height, width, channels } = dataset;
  if (!(Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start < end && end <= count)) {
    throw new RangeError(`take: needs 0 <= start < end <= ${count}, got ${start} to ${end}`);
  }
  const size = height * width * channels;
  return {
    ...dataset,
    images: dataset.images.subarray(start * size, end * size),
    labels: dataset.labels.subarray(start, end),
    count: end - start,
  };
}

/**
 * Sets the last `validation` images aside, by which recipes are chosen so that the test set is read only for the final
 * figure. Both parts share memory with the whole. RangeError unless each gets at least one image.
 */
export function split(
  dataset: Dataset,
  options: { readonly validation: number },
): { readonly training: Dataset; readonly validation: Dataset } {
  const { count } = dataset;
  const { validation } = options;
  if (!(Number.isSafeInteger(validation) && validation >= 1 && validation < count)) {
    throw new RangeError(`split: validation must be a whole number from 1 to ${count - 1}, got ${validation}`);
  }
  return { training: take(dataset, 0, count - validation), validation: take(dataset, count - validation, count) };
}

/** The images with these numbers, in this order, copied. RangeError if there are none or one does not exist. */
export function subset(dataset: Dataset, numbers: ArrayLike<number>): Dataset {
  if (numbers.length === 0) throw new RangeError("subset: at least one image is needed, got none");
  const size = dataset.height * dataset.width * dataset.channels;
  const images = new Uint8Array(numbers.length * size);
  const labels = new Uint8Array(numbers.length);
  gatherLabels(labels, dataset, numbers);
  for (let i = 0; i < numbers.length; i++) {
    images.set(dataset.images.subarray(numbers[i]! * size, (numbers[i]! + 1) * size), i * size);
  }
  return { ...dataset, images, labels, count: numbers.length };
}

/**
 * Writes the images with these numbers into a batch [numbers, height, width, channels]; a byte p enters as
 * (p - offset) * scale, in double precision, rounded to float32 once. RangeError if the batch has another size or an
 * image does not exist.
 */
export function gatherImages(
  into: Float32Array,
  dataset: Dataset,
  numbers: ArrayLike<number>,
  options: { readonly scale: number; readonly offset: number },
): void {
  const { scale, offset } = options;
  const size = dataset.height * dataset.width * dataset.channels;
  checkBatch("gatherImages", into.length, numbers.length * size);
  const values = new Float32Array(256);
  for (let p = 0; p < 256; p++) values[p] = (p - offset) * scale;
  const { images } = dataset;
  for (let i = 0; i < numbers.length; i++) {
    const from = checkNumber("gatherImages", dataset, numbers[i]!) * size;
    const to = i * size;
    for (let j = 0; j < size; j++) into[to + j] = values[images[from + j]!]!;
  }
}

/** Writes the labels of the images with these numbers. RangeError as for `gatherImages`. */
export function gatherLabels(
  into: Uint8Array | Uint32Array | Int32Array | Float32Array,
  dataset: Dataset,
  numbers: ArrayLike<number>,
): void {
  checkBatch("gatherLabels", into.length, numbers.length);
  for (let i = 0; i < numbers.length; i++) {
    into[i] = dataset.labels[checkNumber("gatherLabels", dataset, numbers[i]!)]!;
  }
}

function checkBatch(name: string, got: number, want: number): void {
  if (got !== want) throw new RangeError(`${name}: the batch holds ${want} numbers, got room for ${got}`);
}

function checkNumber(name: string, { count }: Dataset, number: number): number {
  if (!(Number.isSafeInteger(number) && number >= 0 && number < count)) {
    throw new RangeError(`${name}: images are numbered from 0 to ${count - 1}, got ${number}`);
  }
  return number;
}
