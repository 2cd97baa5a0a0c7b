// What a convolution's kernels need to know of it. Activations are [batch, height, width, channels], filters
// [kernelHeight, kernelWidth, channels, outputs]; y[n, oy, ox, o] = sum over ky, kx, c of
// x[n, oy * down + ky - top, ox * right + kx - left, c] * filter[ky, kx, c, o], zero outside the image.

import { memory } from "./assembler.ts";
import type { FunctionBuilder, Local } from "./assembler.ts";

export interface ConvolutionOptions {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly outputs: number;
  readonly kernel: readonly [height: number, width: number];
  /** One number for both directions. */
  readonly stride?: number | readonly [down: number, right: number];
  /** `same` gives `ceil(size / stride)` outputs and puts the odd row or column of zeros behind. */
  readonly padding?: "valid" | "same";
}

export interface ConvolutionShape extends Required<ConvolutionOptions> {
  readonly stride: readonly [down: number, right: number];
  readonly outHeight: number;
  readonly outWidth: number;
  /** Rows and columns of zeros before and behind the image. */
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
  readonly key: string;
}

/**
 * Completes the options of a convolution.
 * @throws RangeError where a size is not a whole number from 1, or the kernel is larger than the image it slides over.
 */
export function convolutionShape(options: ConvolutionOptions): ConvolutionShape {
  const { batch, height, width, channels, outputs, kernel, padding = "valid" } = options;
  const { stride: steps = 1 } = options;
  const stride = typeof steps === "number" ? ([steps, steps] as const) : steps;
  const [kernelHeight, kernelWidth, strideDown, strideRight] = [...kernel, ...stride] as [
    number,
    number,
    number,
    number,
  ];
  const sizes = { batch, height, width, channels, outputs, kernelHeight, kernelWidth, strideDown, strideRight };
  for (const [name, size] of Object.entries(sizes)) {
    if (!Number.isInteger(size) || size < 1) {
      throw new RangeError(`convolution: ${name} must be a whole number from 1, got ${size}`);
    }
  }
  const [outHeight, top, bottom] = slide(height, kernelHeight, strideDown, padding);
  const [outWidth, left, right] = slide(width, kernelWidth, strideRight, padding);
  const image = [batch, height, width, channels].join("x");
  const key = `${image}-${kernel.join("x")}x${outputs}-${stride.join("x")}-${padding}`;
  return {
    batch,
    height,
    width,
    channels,
    outputs,
    kernel,
    stride,
    padding,
    outHeight,
    outWidth,
    top,
    bottom,
    left,
    right,
    key,
  };
}

function slide(
  size: number,
  kernel: number,
  stride: number,
  padding: "valid" | "same",
): [outputs: number, before: number, behind: number] {
  if (padding === "valid") {
    if (kernel > size) throw new RangeError(`convolution: a kernel of ${kernel} does not fit into an image of ${size}`);
    return [Math.floor((size - kernel) / stride) + 1, 0, 0];
  }
  const outputs = Math.ceil(size / stride);
  const zeros = Math.max(0, (outputs - 1) * stride + kernel - size);
  return [outputs, zeros >> 1, zeros - (zeros >> 1)];
}

/** Numbers of one input image. */
export function imageFloats({ height, width, channels }: ConvolutionShape): number {
  return height * width * channels;
}

/** The same convolution over images that carry their zeros with them. */
export function paddedShape(shape: ConvolutionShape): ConvolutionShape {
  const { height, width, top, bottom, left, right } = shape;
  return { ...shape, height: height + top + bottom, width: width + left + right };
}

/** Copies one image between its zeros. */
export function padImage(f: FunctionBuilder, shape: ConvolutionShape, from: Local<"i32">, to: Local<"i32">): void {
  const { height, width, channels, top, bottom, left, right } = shape;
  const [row, before, behind] = [4 * width * channels, 4 * left * channels, 4 * right * channels];
  const zeros = (bytes: number) => {
    if (bytes > 0) f.do(memory.fill(to, 0, bytes));
    f.increment(to, bytes);
  };
  zeros(top * (before + row + behind));
  f.loop(0, height, 1, () => {
    zeros(before);
    f.do(memory.copy(to, from, row));
    f.increment(to, row);
    f.increment(from, row);
    zeros(behind);
  });
  zeros(bottom * (before + row + behind));
}

/** Copies an image out from between its zeros. */
export function cropImage(f: FunctionBuilder, shape: ConvolutionShape, from: Local<"i32">, to: Local<"i32">): void {
  const { height, width, channels, top, left } = shape;
  const [row, line] = [4 * width * channels, 4 * paddedShape(shape).width * channels];
  f.increment(from, top * line + 4 * left * channels);
  f.loop(0, height, 1, () => {
    f.do(memory.copy(to, from, row));
    f.increment(to, row);
    f.increment(from, line);
  });
}
