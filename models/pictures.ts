import { DeviceError } from "../lib/errors.ts";
import type { Network } from "../lib/network.ts";
import { gather } from "../lib/ops/gather.ts";
import { gatherBytes, packBytes, rowsPerTable } from "../lib/ops/gatherBytes.ts";
import { reshape } from "../lib/ops/layout.ts";
import type { Runtime } from "../lib/runtime.ts";
import type { Tensor } from "../lib/tensor.ts";
import { type Dataset, gatherImages, gatherLabels } from "./data/dataset.ts";

/** Some pictures on a device. All tensors live in the running step. */
export interface Shown {
  /** [n, height, width, channels], scaled for the network. */
  readonly images: Tensor;
  /** Ints [n], brought when they are asked for. */
  readonly labels: Tensor;
  /** Numbers of the pictures, ints [n]: on devices that hold all pictures. */
  readonly places?: Tensor;
}

/** Shows the pictures with these numbers. Called inside a step. */
export type Pictures = (numbers: Uint32Array) => Shown;

/** Tables of 64 MiB that pictures may take. */
const mostTables = 64;
/** An index is a float on some devices, which holds no more whole numbers without a gap. */
const mostPictures = 2 ** 24;

/** Refuses more pictures than a remote device is to hold: a DeviceError says what was asked and what there is. */
export function checkRoom(name: string, runtime: Runtime, count: number, bytesEach: number): void {
  if (!runtime.remote) return;
  const rows = rowsPerTable(bytesEach);
  if (count <= Math.min(mostTables * rows, mostPictures)) return;
  const asked = count * 4 * Math.ceil(bytesEach / 3);
  const most = `${mostTables} arrays of 67108864 bytes and ${mostPictures} pictures`;
  throw new DeviceError(
    `${name}: gatherBytes is asked for ${asked} bytes, ${count} pictures, and takes ${most} at most` +
      ` on ${runtime.description}; fewer copies fit`,
  );
}

/**
 * Pictures of a data set for steps to look up. To a remote device all of them travel here, once, as bytes; a step then
 * sends their numbers alone. Anywhere else a step brings the pictures that it wants. What a network sees is
 * the same to the bit. DeviceError as `checkRoom`.
 */
export function picturesOn(runtime: Runtime, data: Dataset, input: Network["input"]): Pictures {
  const { height, width, channels } = input;
  const bytes = height * width * channels;
  if (!runtime.remote) {
    return (numbers) => {
      const images = new Float32Array(numbers.length * bytes);
      gatherImages(images, data, numbers, input);
      return {
        images: runtime.tensor(images, [numbers.length, height, width, channels]),
        get labels() {
          const labels = new Int32Array(numbers.length);
          gatherLabels(labels, data, numbers);
          return runtime.tensor(labels);
        },
      };
    };
  }
  checkRoom("pictures", runtime, data.count, bytes);
  const rows = rowsPerTable(bytes);
  const tables: Tensor[] = [];
  for (let from = 0; from < data.count; from += rows) {
    const to = Math.min(from + rows, data.count);
    const packed = packBytes(data.images.subarray(from * bytes, to * bytes), bytes);
    tables.push(runtime.tensor(packed, [to - from, packed.length / (to - from)]));
  }
  const values = runtime.tensor(Float32Array.from({ length: 256 }, (_, p) => (p - input.offset) * input.scale));
  const answers = runtime.tensor(Int32Array.from(data.labels));
  return (numbers) => {
    const places = runtime.tensor(new Int32Array(numbers.buffer, numbers.byteOffset, numbers.length));
    const images = reshape(gatherBytes(tables, places, values, bytes), [numbers.length, height, width, channels]);
    return {
      images,
      get labels() {
        return gather(answers, places);
      },
      places,
    };
  };
}
