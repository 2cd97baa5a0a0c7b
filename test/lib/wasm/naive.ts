// Convolution and its gradients as seven nested loops in float64: what the kernels are held against. Next to each
// value stands the sum of the magnitudes of its terms, which bounds what rounding may have done to it.

import assert from "node:assert/strict";
import fc from "fast-check";
import type { ConvolutionShape } from "../../../lib/wasm/convolutionShape.ts";

export interface Sums {
  values: Float64Array;
  magnitudes: Float64Array;
}

/** Calls `visit` with the indices of every product of a convolution: of `x`, of `filter` and of `y`. */
export function eachProduct(s: ConvolutionShape, visit: (x: number, filter: number, y: number) => void): void {
  const [kernelHeight, kernelWidth] = s.kernel;
  for (let n = 0; n < s.batch; n++) {
    for (let oy = 0; oy < s.outHeight; oy++) {
      for (let ox = 0; ox < s.outWidth; ox++) {
        for (let ky = 0; ky < kernelHeight; ky++) {
          for (let kx = 0; kx < kernelWidth; kx++) {
            const [iy, ix] = [oy * s.stride[0] + ky - s.top, ox * s.stride[1] + kx - s.left];
            if (iy < 0 || iy >= s.height || ix < 0 || ix >= s.width) continue;
            for (let c = 0; c < s.channels; c++) {
              const x = ((n * s.height + iy) * s.width + ix) * s.channels + c;
              const filter = ((ky * kernelWidth + kx) * s.channels + c) * s.outputs;
              const y = ((n * s.outHeight + oy) * s.outWidth + ox) * s.outputs;
              for (let o = 0; o < s.outputs; o++) visit(x, filter + o, y + o);
            }
          }
        }
      }
    }
  }
}

export const sums = (length: number): Sums => ({
  values: new Float64Array(length),
  magnitudes: new Float64Array(length),
});

export function add(to: Sums, index: number, term: number): void {
  to.values[index]! += term;
  to.magnitudes[index]! += Math.abs(term);
}

export const sizeOf = (s: ConvolutionShape) => ({
  x: s.batch * s.height * s.width * s.channels,
  filter: s.kernel[0] * s.kernel[1] * s.channels * s.outputs,
  y: s.batch * s.outHeight * s.outWidth * s.outputs,
});

/** `x * filter + bias`, before any activation. */
export function forward(s: ConvolutionShape, x: Float32Array, filter: Float32Array, bias?: Float32Array): Sums {
  const y = sums(sizeOf(s).y);
  eachProduct(s, (i, j, k) => add(y, k, x[i]! * filter[j]!));
  if (bias !== undefined) y.values.forEach((_, i) => add(y, i, bias[i % s.outputs]!));
  return y;
}

const side = fc.integer({ min: 1, max: 9 });
const step = fc.integer({ min: 1, max: 3 });
const channels = fc.oneof(fc.constantFrom(1, 2, 3, 4, 5, 7, 8, 13, 20), fc.integer({ min: 1, max: 30 }));
/** Small convolutions with ragged sizes, all strides and paddings. */
export const shapes = fc
  .record({
    batch: fc.integer({ min: 1, max: 3 }),
    height: side,
    width: side,
    channels,
    outputs: channels,
    kernel: fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 })),
    stride: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.tuple(step, step)),
    padding: fc.constantFrom("valid" as const, "same" as const),
  })
  .filter(({ height, width, kernel, padding }) => padding === "same" || (kernel[0] <= height && kernel[1] <= width));

/** As many roundings as there may be terms, each of at most 2^-24 of what has been summed. */
export function agree(got: Float32Array, right: Sums, terms: number, what: string): void {
  got.forEach((value, i) => {
    const bound = (terms + 3) * 2 ** -24 * right.magnitudes[i]! + 1e-37;
    assert.ok(Math.abs(value - right.values[i]!) <= bound, `${what}: element ${i} is ${value}, not ${right.values[i]}`);
  });
}
