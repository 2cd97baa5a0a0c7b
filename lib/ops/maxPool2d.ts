import { ShapeError } from "../errors.ts";
import { formatShape, type Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import * as gpu from "../backends/gpu/kernels/maxPool.ts";
import * as wasm from "../wasm/maxPool.ts";
import { checkFloats, type Operation } from "./operation.ts";

export interface Pooling {
  /** Side of the square window. */
  readonly size: number;
  readonly stride: number;
}

/** Saves, for each result, its place in the window, row by row: the first of equals, and NaN before any number. */
export const pool: Operation<Pooling> = {
  name: "maxPool2d",
  outputs: ([x], { size, stride }) => {
    checkFloats("maxPool2d", [x!]);
    if (!Number.isSafeInteger(size) || size < 1 || !Number.isSafeInteger(stride) || stride < 1) {
      throw new RangeError(`maxPool2d: size and stride must be whole numbers from 1 up, got ${size} and ${stride}`);
    }
    const { shape: image } = x!;
    const [n, h, w, c] = image as readonly [number, number, number, number];
    if (image.length !== 4 || h < size || w < size) {
      throw new ShapeError(
        `maxPool2d: needs images [n, h, w, c] of at least ${size}x${size}, got ${formatShape(image)}`,
      );
    }
    const shape = [n, Math.floor((h - size) / stride) + 1, Math.floor((w - size) / stride) + 1, c];
    return [
      { shape, type: "float" },
      { shape, type: "int" },
    ];
  },
  gradient: ({ inputs: [x], outputs: [, places], attributes, dy }) => [
    x!.runtime.run(unpool, [dy, places!], { attributes: { ...attributes, shape: x!.shape } })[0]!,
  ],
  reference: ({ inputs: [x], outputs: [y], attributes }, [from], [to, places]) => {
    visitWindows(x!.shape, y!.shape, attributes, (i, offsets) => {
      let place = 0;
      offsets.forEach((offset, k) => {
        const best = from![offsets[place]!]!;
        if (from![offset]! > best || (Number.isNaN(from![offset]!) && !Number.isNaN(best))) place = k;
      });
      to![i] = from![offsets[place]!]!;
      places![i] = place;
    });
  },
  wasm: ({ inputs: [x], attributes }) => ({
    plan: wasm.maxPool(kernelOptions(x!.shape, attributes)),
    words: ({ inputs: [from], outputs: [to, places] }) => [from!, to!, places!],
  }),
  gpu: gpu.pool,
};

/** dx: every dy goes to where its maximum was found. Inputs dy and the saved places; `shape` is that of x. */
export const unpool: Operation<Pooling & { readonly shape: Shape }> = {
  name: "maxPool2dGradient",
  outputs: (_, { shape }) => [{ shape, type: "float" }],
  gradient: null,
  reference: ({ inputs: [y], attributes }, [dy, places], [to]) => {
    const sums = new Float64Array(to!.length);
    visitWindows(attributes.shape, y!.shape, attributes, (i, offsets) => (sums[offsets[places![i]!]!]! += dy![i]!));
    to!.set(sums);
  },
  wasm: ({ attributes }) => ({
    plan: wasm.maxPoolGradient(kernelOptions(attributes.shape, attributes)),
    words: ({ inputs: [dy, places], outputs: [dx] }) => [dy!, places!, dx!],
  }),
  gpu: gpu.unpool,
};

/** Calls `visit` for every output, with the offsets of its window's elements in the image, row by row. */
function visitWindows(
  image: Shape,
  pooled: Shape,
  { size, stride }: Pooling,
  visit: (output: number, offsets: readonly number[]) => void,
): void {
  const [, h, w, c] = image as readonly [number, number, number, number];
  const [n, rows, columns] = pooled as readonly [number, number, number, number];
  const offsets = new Array<number>(size * size);
  let i = 0;
  for (let k = 0; k < n; k++) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        for (let channel = 0; channel < c; channel++, i++) {
          const first = ((k * h + row * stride) * w + column * stride) * c + channel;
          for (let place = 0; place < size * size; place++) {
            offsets[place] = first + (Math.floor(place / size) * w + (place % size)) * c;
          }
          visit(i, offsets);
        }
      }
    }
  }
}

function kernelOptions(image: Shape, { size, stride }: Pooling): wasm.MaxPoolOptions {
  const [batch, height, width, channels] = image as readonly [number, number, number, number];
  return { batch, height, width, channels, window: [size, size], stride: [stride, stride] };
}

/**
 * The largest of every `size` x `size` window of images [n, h, w, c], moved by `stride` (default: `size`). A window
 * that would cross the border is dropped.
 */
export function maxPool2d(x: Tensor, size: number, stride = size): Tensor {
  return x.runtime.run(pool, [x], { attributes: { size, stride } })[0]!;
}
