import { ShapeError } from "../errors.ts";
import { formatShape, type Shape } from "../shape.ts";
import { reluGradient } from "./activations.ts";
import type { Epilogue } from "./matmul.ts";
import { checkFloats, type Operation } from "./operation.ts";
import { sumTo } from "./sum.ts";
import * as gpu from "../backends/gpu/kernels/convolution.ts";
import { convolution } from "../wasm/convolution.ts";
import { convolutionFilterGradient } from "../wasm/convolutionFilter.ts";
import { convolutionInputGradient } from "../wasm/convolutionInput.ts";
import type { ConvolutionOptions as KernelOptions } from "../wasm/convolutionShape.ts";
import { wordsOf } from "../wasm/launch.ts";

export type Padding = "valid" | "same";

export interface Convolution {
  readonly stride: readonly [vertical: number, horizontal: number];
  readonly padding: Padding;
}

/** Where a convolution reads: input row = output row * stride + kernel row - top, and likewise for columns. */
export interface Geometry {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly kernelHeight: number;
  readonly kernelWidth: number;
  readonly filters: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly strideVertical: number;
  readonly strideHorizontal: number;
  readonly top: number;
  readonly left: number;
}

/** Output length and zeros in front. `same` gives ⌈length / stride⌉, the odd zero at the end. */
function along(length: number, kernel: number, stride: number, padding: Padding): [out: number, before: number] {
  if (padding === "valid") return [Math.floor((length - kernel) / stride) + 1, 0];
  const out = Math.ceil(length / stride);
  return [out, Math.floor(Math.max((out - 1) * stride + kernel - length, 0) / 2)];
}

/** How images [n, h, w, c] and filters [kh, kw, c, f] meet. Throws `ShapeError` where they do not. */
export function geometry(name: string, image: Shape, filter: Shape, { stride, padding }: Convolution): Geometry {
  const [batch, height, width, channels] = image as readonly [number, number, number, number];
  const [kernelHeight, kernelWidth, inputs, filters] = filter as readonly [number, number, number, number];
  const [strideVertical, strideHorizontal] = stride;
  if (image.length !== 4 || filter.length !== 4 || channels !== inputs) {
    const found = `${formatShape(image)} and ${formatShape(filter)}`;
    throw new ShapeError(`${name}: needs images [n, h, w, c] and filters [kh, kw, c, f], got ${found}`);
  }
  if (!stride.every((step) => Number.isSafeInteger(step) && step > 0)) {
    throw new RangeError(`${name}: strides must be whole numbers from 1 up, got ${stride.join(", ")}`);
  }
  const [outHeight, top] = along(height, kernelHeight, strideVertical, padding);
  const [outWidth, left] = along(width, kernelWidth, strideHorizontal, padding);
  if (outHeight < 1 || outWidth < 1) {
    const kernel = `${kernelHeight}x${kernelWidth}`;
    throw new ShapeError(`${name}: the kernel ${kernel} is larger than the image ${height}x${width}`);
  }
  const sizes = { batch, height, width, channels, kernelHeight, kernelWidth, filters, outHeight, outWidth };
  return { ...sizes, strideVertical, strideHorizontal, top, left };
}

/**
 * Calls `visit` for every pair of an output pixel and an input pixel under its kernel, with the offsets of their first
 * channel and of the kernel tap's first weight.
 */
function visitTaps(g: Geometry, visit: (output: number, image: number, tap: number) => void): void {
  for (let n = 0; n < g.batch; n++) {
    for (let oy = 0; oy < g.outHeight; oy++) {
      for (let ox = 0; ox < g.outWidth; ox++) {
        const output = ((n * g.outHeight + oy) * g.outWidth + ox) * g.filters;
        for (let ky = 0; ky < g.kernelHeight; ky++) {
          const y = oy * g.strideVertical + ky - g.top;
          if (y < 0 || y >= g.height) continue;
          for (let kx = 0; kx < g.kernelWidth; kx++) {
            const x = ox * g.strideHorizontal + kx - g.left;
            if (x < 0 || x >= g.width) continue;
            const image = ((n * g.height + y) * g.width + x) * g.channels;
            visit(output, image, (ky * g.kernelWidth + kx) * g.channels * g.filters);
          }
        }
      }
    }
  }
}

/** `act(x ⋆ w + bias)`, inputs x, w and, if given, the bias [f]. */
export const convolve: Operation<Convolution & { readonly activation: Epilogue }> = {
  name: "conv2d",
  outputs: (inputs, attributes) => {
    checkFloats("conv2d", inputs);
    const [x, w, bias] = inputs;
    const g = geometry("conv2d", x!.shape, w!.shape, attributes);
    if (bias !== undefined && (bias.shape.length !== 1 || bias.shape[0] !== g.filters)) {
      throw new ShapeError(`conv2d: the bias must be [${g.filters}], got ${formatShape(bias.shape)}`);
    }
    return [{ shape: [g.batch, g.outHeight, g.outWidth, g.filters], type: "float" }];
  },
  gradient: ({ attributes: { stride, padding, activation }, inputs: [x, w], outputs: [y], dy, needs }) => {
    const { runtime } = dy;
    const dz = activation === "relu" ? reluGradient(y!, dy) : dy;
    const like = (shape: Shape): { attributes: Convolution & { readonly shape: Shape } } => ({
      attributes: { stride, padding, shape },
    });
    return [
      needs[0] ? runtime.run(inputGradient, [dz, w!], like(x!.shape))[0]! : null,
      needs[1] ? runtime.run(filterGradient, [x!, dz], like(w!.shape))[0]! : null,
      needs[2] ? sumTo(dz, [dz.shape[3]!]) : null,
    ];
  },
  reference: ({ inputs: [xSpec, wSpec], attributes }, [x, w, bias], [to]) => {
    const g = geometry("conv2d", xSpec!.shape, wSpec!.shape, attributes);
    const sums = new Float64Array(to!.length);
    if (bias !== undefined) for (let i = 0; i < sums.length; i++) sums[i] = bias[i % g.filters]!;
    visitTaps(g, (output, image, tap) => {
      for (let c = 0; c < g.channels; c++) {
        for (let f = 0; f < g.filters; f++) sums[output + f]! += x![image + c]! * w![tap + c * g.filters + f]!;
      }
    });
    for (let i = 0; i < sums.length; i++) to![i] = attributes.activation === "relu" && sums[i]! < 0 ? 0 : sums[i]!;
  },
  wasm: ({ inputs: [x, w, bias], attributes }) => {
    const options = kernelOptions(x!.shape, w!.shape, attributes);
    const { activation } = attributes;
    const plan = convolution({ ...options, bias: bias !== undefined, activation, winograd: true });
    return {
      plan,
      words: ({ inputs: [image, filter, offsets], outputs: [y], scratch }) =>
        wordsOf(plan, { x: image, filter, y, bias: offsets, scratch }),
    };
  },
  gpu: ({ inputs: [x, w, bias], attributes }) =>
    gpu.convolve(geometry("conv2d", x!.shape, w!.shape, attributes), attributes.activation, bias !== undefined),
};

/** dx[pixel, c] = Σ over taps and filters of dz[output, f] · w[tap, c, f]. Inputs dz and w; `shape` is that of x. */
export const inputGradient: Operation<Convolution & { readonly shape: Shape }> = {
  name: "conv2dInputGradient",
  outputs: (_, { shape }) => [{ shape, type: "float" }],
  gradient: null,
  reference: ({ inputs: [, wSpec], attributes }, [dz, w], [to]) => {
    const g = geometry("conv2d", attributes.shape, wSpec!.shape, attributes);
    const sums = new Float64Array(to!.length);
    visitTaps(g, (output, image, tap) => {
      for (let c = 0; c < g.channels; c++) {
        let sum = 0;
        for (let f = 0; f < g.filters; f++) sum += dz![output + f]! * w![tap + c * g.filters + f]!;
        sums[image + c]! += sum;
      }
    });
    to!.set(sums);
  },
  wasm: ({ inputs: [, w], attributes }) => {
    const plan = convolutionInputGradient(kernelOptions(attributes.shape, w!.shape, attributes));
    return {
      plan,
      words: ({ inputs: [dy, filter], outputs: [dx], scratch }) => wordsOf(plan, { dy, filter, dx, scratch }),
    };
  },
  gpu: ({ inputs: [, w], attributes }) =>
    gpu.inputGradient(geometry("conv2d", attributes.shape, w!.shape, attributes)),
};

/** dw[tap, c, f] = Σ over output pixels of x[pixel, c] · dz[output, f]. Inputs x and dz; `shape` is that of w. */
export const filterGradient: Operation<Convolution & { readonly shape: Shape }> = {
  name: "conv2dFilterGradient",
  outputs: (_, { shape }) => [{ shape, type: "float" }],
  gradient: null,
  reference: ({ inputs: [xSpec], attributes }, [x, dz], [to]) => {
    const g = geometry("conv2d", xSpec!.shape, attributes.shape, attributes);
    const sums = new Float64Array(to!.length);
    visitTaps(g, (output, image, tap) => {
      for (let c = 0; c < g.channels; c++) {
        for (let f = 0; f < g.filters; f++) sums[tap + c * g.filters + f]! += x![image + c]! * dz![output + f]!;
      }
    });
    to!.set(sums);
  },
  wasm: ({ inputs: [x], attributes }) => {
    const plan = convolutionFilterGradient(kernelOptions(x!.shape, attributes.shape, attributes));
    return {
      plan,
      words: ({ inputs: [image, dy], outputs: [dFilter], scratch }) =>
        wordsOf(plan, { x: image, dy, dFilter, scratch }),
    };
  },
  gpu: ({ inputs: [x], attributes }) =>
    gpu.filterGradient(geometry("conv2d", x!.shape, attributes.shape, attributes)),
};

/** How the SIMD kernels name the same things. */
export function kernelOptions(image: Shape, filter: Shape, attributes: Convolution): KernelOptions {
  const g = geometry("conv2d", image, filter, attributes);
  const { batch, height, width, channels, kernelHeight, kernelWidth, filters } = g;
  const sizes = { batch, height, width, channels, outputs: filters, kernel: [kernelHeight, kernelWidth] as const };
  return { ...sizes, stride: attributes.stride, padding: attributes.padding };
}
