import { elementAt, fillNormal, fillUniform, seedKey, STREAMS } from "../lib/random.ts";
import { checkWhole } from "./check.ts";
import { checkDataset, type Dataset } from "./data/dataset.ts";
import { mostKnots, type Transform, warper } from "./warp.ts";

/** How far copies may differ from their pictures. Zeros mean not at all. */
export interface AugmentOptions {
  /** Default: 0. */
  readonly seed?: number;
  /** Copies of each picture. Default: 11. */
  readonly copies?: number;
  /** Turned by at most so many radians either way. Default: 0.17. */
  readonly rotation?: number;
  /** Made wider or narrower, and higher or lower, by at most this share. Below 1; default: 0.1. */
  readonly scale?: number;
  /** Columns moved sideways per row by at most so much either way. Default: 0.15. */
  readonly shear?: number;
  /** Moved by at most so many pixels along each axis. Default: 1.6. */
  readonly shift?: number;
  /**
   * Bent by a smooth field of displacements: normal ones, with this deviation in pixels along each axis, at the knots
   * of a grid of `grid` by `grid`. Default: 0.8 on a grid of 6.
   */
  readonly elastic?: { readonly grid: number; readonly deviation: number };
}

/** Options with the defaults filled in. */
export type Augmentation = Required<AugmentOptions>;

/** Pictures followed by copies of them: picture `copy * originals + i` is copy `copy` of image i; copy 0 is itself. */
export interface Pool extends Dataset {
  readonly originals: number;
}

/** Images are told apart by the block of their draws, copies by the index. */
const mostImages = 2 ** 24;
const mostCopies = 2 ** 20 - 1;
/** Positions of the draws of a copy. */
const style = 6;
const fieldFrom = 16;

/** Fills in defaults. RangeError, which names the option, for one that makes no sense. */
export function augmentationOf(options: AugmentOptions): Augmentation {
  const { seed = 0, copies = 11, rotation = 0.17, scale = 0.1, shear = 0.15, shift = 1.6 } = options;
  const { grid, deviation } = options.elastic ?? { grid: 6, deviation: 0.8 };
  const range = (name: string, value: number, most: number): void => {
    if (value >= 0 && value <= most) return;
    throw new RangeError(`augment: ${name} must be a number from 0 to ${most}, got ${value}`);
  };
  checkWhole("augment: seed", seed, 0, Number.MAX_SAFE_INTEGER);
  checkWhole("augment: copies", copies, 1, mostCopies);
  range("rotation", rotation, 3.2);
  range("scale", scale, 0.99);
  range("shear", shear, 10);
  range("shift", shift, 1000);
  checkWhole("augment: grid of elastic", grid, 2, mostKnots);
  range("deviation of elastic", deviation, 1000);
  return { seed, copies, rotation, scale, shear, shift, elastic: { grid, deviation } };
}

/**
 * A data set with `copies` slightly different copies of each of its images behind it, in the order of `Pool`; labels
 * follow their images. A copy is a pure function of seed, number of the image, number of the copy, ranges and the image
 * itself, the same bytes on every machine: `transformer` says which, `warper` how. RangeError for bad options.
 */
export function augment(data: Dataset, options: AugmentOptions = {}): Pool {
  const { pool, make } = blankPool(data, options);
  make(0, pool.count);
  return pool;
}

/** Pictures between two rests: about as many as are made in ten milliseconds. */
const atOnce = 256;

/** The same a few pictures at a time: `rest` is awaited in between, and may throw. */
export async function augmentInTurns(
  data: Dataset,
  options: AugmentOptions,
  rest: () => Promise<void>,
): Promise<Pool> {
  const { pool, make } = blankPool(data, options);
  for (let from = 0; from < pool.count; from += atOnce) {
    make(from, Math.min(from + atOnce, pool.count));
    await rest();
  }
  return pool;
}

/** A pool without its pictures, and what makes those at `from` to `to` - 1. */
function blankPool(
  data: Dataset,
  options: AugmentOptions,
): { readonly pool: Pool; readonly make: (from: number, to: number) => void } {
  const { copies } = augmentationOf(options);
  const copy = copier(data, options);
  const { count } = data;
  const size = data.images.length / count;
  const images = new Uint8Array((copies + 1) * data.images.length);
  const labels = new Uint8Array((copies + 1) * count);
  for (let c = 0; c <= copies; c++) labels.set(data.labels, c * count);
  const make = (from: number, to: number): void => {
    for (let place = from; place < to; place++) {
      const image = place % count;
      copy(images.subarray(place * size, (place + 1) * size), image, (place - image) / count);
    }
  };
  return { pool: { ...data, images, labels, count: (copies + 1) * count, originals: count }, make };
}

/** Makes a function that writes one copy of an image, the same that `augment` makes; copy 0 is the image itself. */
export function copier(
  data: Dataset,
  options: AugmentOptions,
): (into: Uint8Array, image: number, copy: number) => void {
  const augmentation = augmentationOf(options);
  const { count, images } = checkDataset(data);
  checkWhole("augment: number of images", count, 1, mostImages);
  const size = images.length / count;
  const transform = transformer(augmentation);
  const warp = warper(data, augmentation.elastic.grid);
  return (into, image, copy) => {
    const from = image * size;
    if (copy === 0) into.set(images.subarray(from, from + size));
    else warp(into, images, from, transform(image, copy));
  };
}

/**
 * Makes a function that draws how a copy differs, in memory that the next call overwrites. Its draws are block `image`,
 * index `copy` of the stream `augmentation`. With u the uniform draws of positions 0 to 5 and r(u) = 2 u - 1:
 *
 *     angle = rotation r(u0)    scaleX = 1 + scale r(u1)    scaleY = 1 + scale r(u2)
 *     shear = shear r(u3)       shiftX = shift r(u4)        shiftY = shift r(u5)
 *
 * and knot k of the field, those to the right before those down, is deviation times the normal draw of position 16 + k.
 */
export function transformer(augmentation: Augmentation): (image: number, copy: number) => Transform {
  const { seed, rotation, scale, shear, shift, elastic } = augmentation;
  const { grid, deviation } = elastic;
  const key = seedKey(seed);
  const uniform = new Float32Array(style);
  const normal = new Float32Array(2 * grid * grid);
  const field = deviation === 0 ? undefined : new Float64Array(normal.length);
  const between = (range: number, draw: number): number => range * (2 * uniform[draw]! - 1);
  return (image, copy) => {
    const place = { stream: STREAMS.augmentation, block: image };
    fillUniform(uniform, key, { ...place, start: elementAt(copy, 0) });
    if (field !== undefined) {
      fillNormal(normal, key, { ...place, start: elementAt(copy, fieldFrom) });
      for (let k = 0; k < field.length; k++) field[k] = deviation * normal[k]!;
    }
    return {
      angle: between(rotation, 0),
      scaleX: 1 + between(scale, 1),
      scaleY: 1 + between(scale, 2),
      shear: between(shear, 3),
      shiftX: between(shift, 4),
      shiftY: between(shift, 5),
      field,
    };
  };
}
