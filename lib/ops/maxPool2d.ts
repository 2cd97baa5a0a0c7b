import { ShapeError } from "../errors.ts";
import { formatShape, type Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { checkFloats, type Operation } from "./operation.ts";

export interface Pooling {
  /** Side of the square window. */
  readonly size: number;
  readonly stride: number;
}

/** Saves, for each result, the offset in x where it was found: the first of equals, in row-major order. */
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
  gradient: ({ inputs: [x], outputs: [, at], dy }) => [
    x!.runtime.run(unpool, [dy, at!], { attributes: { shape: x!.shape } })[0]!,
  ],
  reference: ({ inputs: [x], outputs: [y], attributes: { size, stride } }, [from], [to, at]) => {
    const [, h, w, c] = x!.shape as readonly [number, number, number, number];
    const [n, rows, columns] = y!.shape as readonly [number, number, number, number];
    let i = 0;
    for (let image = 0; image < n; image++) {
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          for (let channel = 0; channel < c; channel++, i++) {
            const first = ((image * h + row * stride) * w + column * stride) * c + channel;
            at![i] = first;
            for (let dy = 0; dy < size; dy++) {
              for (let dx = 0; dx < size; dx++) {
                const offset = first + (dy * w + dx) * c;
                if (from![offset]! > from![at![i]!]!) at![i] = offset;
              }
            }
            to![i] = from![at![i]!]!;
          }
        }
      }
    }
  },
};

/** dx: every dy goes to where its maximum was found. Inputs dy and the saved offsets; `shape` is that of x. */
export const unpool: Operation<{ readonly shape: Shape }> = {
  name: "maxPool2dGradient",
  outputs: (_, { shape }) => [{ shape, type: "float" }],
  gradient: null,
  reference: (_, [dy, at], [to]) => {
    const sums = new Float64Array(to!.length);
    at!.forEach((offset, i) => (sums[offset]! += dy![i]!));
    to!.set(sums);
  },
};

/**
 * The largest of every `size` x `size` window of images [n, h, w, c], moved by `stride` (default: `size`). A window
 * that would cross the border is dropped.
 */
export function maxPool2d(x: Tensor, size: number, stride = size): Tensor {
  return x.runtime.run(pool, [x], { attributes: { size, stride } })[0]!;
}
