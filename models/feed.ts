import type { Runtime } from "../lib/runtime.ts";
import { augment, type Pool } from "./augment.ts";
import type { Batch, Batches } from "./batches.ts";
import { checkRoom, picturesOn, type Shown } from "./pictures.ts";

/** A step's pictures on its device. */
export interface Fed extends Shown {
  /** Place of each picture in the data set or pool, in memory that the next batch overwrites. */
  readonly indices: Uint32Array;
}

/** Brings batch `number`, or its pictures `from` to `to` - 1, to the device. Called inside a step. */
export type Feed = (number: number, from?: number, to?: number) => Fed;

/**
 * Brings batches to a device in the way that suits it: see `picturesOn`. To a remote one all copies go that there are
 * with augmentation; unless a pool is at hand, they are made here. DeviceError, before any is made, for more pictures
 * than it can hold.
 */
export function feedOf(runtime: Runtime, batches: Batches, pool?: Pool): Feed {
  const { data, input, augmentation, pool: known = pool } = batches.source;
  const { height, width, channels } = input;
  const pixels = height * width * channels;
  if (!runtime.remote) {
    let batch: Batch | undefined;
    let at = -1;
    return (number, from = 0, to = batches.size) => {
      // Parts of a batch are asked for one after the other.
      if (batch === undefined || number !== at) [batch, at] = [batches.at(number), number];
      const images = batch.images.subarray(from * pixels, to * pixels);
      return {
        images: runtime.tensor(images, [to - from, height, width, channels]),
        labels: runtime.tensor(batch.labels.subarray(from, to)),
        indices: batch.indices.subarray(from, to),
      };
    };
  }
  checkRoom("feed", runtime, batches.pictures, pixels);
  const all = augmentation === undefined ? data : (known ?? augment(data, augmentation));
  const pictures = picturesOn(runtime, all, input);
  return (number, from = 0, to = batches.size) => {
    const indices = batches.indicesAt(number).subarray(from, to);
    return { ...pictures(indices), indices };
  };
}
