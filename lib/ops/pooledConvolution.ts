import { ShapeError } from "../errors.ts";
import { type Shape, sizeOf } from "../shape.ts";
import { convolution, noGradient } from "../wasm/convolution.ts";
import { wordsOf } from "../wasm/launch.ts";
import { pooledConvolutionGradients } from "../wasm/pooledConvolution.ts";
import * as gpu from "../backends/gpu/kernels/convolution.ts";
import { type Convolution, convolve, filterGradient, geometry, inputGradient, kernelOptions } from "./convolution.ts";
import type { Epilogue } from "./matmul.ts";
import type { Operation } from "./operation.ts";

type Images = readonly [n: number, height: number, width: number, channels: number];

/** Output pixels of the convolution under each pooled one: offsets of its four, row by row. Odd edges are left out. */
function visitQuads(
  [n, height, width, channels]: Images,
  visit: (pooled: number, quad: readonly [number, number, number, number]) => void,
): void {
  const line = width * channels;
  let i = 0;
  for (let image = 0; image < n; image++) {
    for (let y = 0; y < height >> 1; y++) {
      for (let x = 0; x < width >> 1; x++) {
        const first = (image * height + 2 * y) * line + 2 * x * channels;
        for (let c = 0; c < channels; c++) {
          const at = first + c;
          visit(i++, [at, at + channels, at + line, at + line + channels]);
        }
      }
    }
  }
}

/**
 * Convolution, bias, rectifier and 2x2 max pooling in one: the same as `convolve` and a pooling of size and stride 2.
 * Saves the place of each maximum, 0 to 3 row by row (the first of equals, NaN before any number), or -1 where the
 * rectifier made it zero and no gradient comes back.
 */
export const convolvePooled: Operation<Convolution & { readonly activation: Epilogue }> = {
  name: "conv2dPooled",
  outputs: (inputs, attributes) => {
    const [n, height, width, filters] = convolve.outputs(inputs, attributes)[0]!.shape as Images;
    if (height < 2 || width < 2) {
      throw new ShapeError(`conv2d: pooling 2x2 needs an output of at least 2x2, got ${height}x${width}`);
    }
    const shape = [n, height >> 1, width >> 1, filters];
    return [
      { shape, type: "float" },
      { shape, type: "int" },
    ];
  },
  // Of every four outputs one at most has a gradient: the kernels take dy as it is, and never see the zeros.
  gradient: ({ attributes: { stride, padding }, inputs: [x, w, bias], outputs: [, places], dy, needs }) => {
    const attributes = { stride, padding, bias: bias !== undefined, input: needs[0]! };
    const [dw, ...others] = x!.runtime.run(pooledGradients, [x!, w!, dy, places!], { attributes });
    const dBias = bias === undefined ? null : others.shift()!;
    return [needs[0] ? others[0]! : null, dw!, dBias];
  },
  reference: (call, inputs, [to, places]) => {
    const [spec] = convolve.outputs(call.inputs, call.attributes);
    const whole = new Float64Array(sizeOf(spec!.shape));
    convolve.reference(call, inputs, [whole]);
    visitQuads(spec!.shape as Images, (i, quad) => {
      let place = 0;
      quad.forEach((offset, k) => {
        const [value, best] = [whole[offset]!, whole[quad[place]!]!];
        if (value > best || (Number.isNaN(value) && !Number.isNaN(best))) place = k;
      });
      to![i] = whole[quad[place]!]!;
      places![i] = call.attributes.activation === "relu" && to![i] === 0 ? noGradient : place;
    });
  },
  wasm: ({ inputs: [x, w, bias], attributes }) => {
    const { activation } = attributes;
    const options = kernelOptions(x!.shape, w!.shape, attributes);
    const plan = convolution({ ...options, bias: bias !== undefined, activation, pool: true, winograd: true });
    return {
      plan,
      words: ({ inputs: [image, filter, offsets], outputs: [y, argmax], scratch }) =>
        wordsOf(plan, { x: image, filter, y, argmax, bias: offsets, scratch }),
    };
  },
  gpu: ({ inputs: [x, w, bias], outputs: [y], attributes }) => {
    const g = geometry("conv2d", x!.shape, w!.shape, attributes);
    return gpu.convolvePooled(g, y!.shape, attributes.activation, bias !== undefined);
  },
};

/** Inputs x, w, dy and the saved places; gives dw, then the bias's gradient and dx if asked for. */
export const pooledGradients: Operation<Convolution & { readonly bias: boolean; readonly input: boolean }> = {
  name: "conv2dPooledGradients",
  outputs: ([x, w], { bias, input }) => [
    { shape: w!.shape, type: "float" },
    ...(bias ? [{ shape: [w!.shape[3]!], type: "float" } as const] : []),
    ...(input ? [{ shape: x!.shape, type: "float" } as const] : []),
  ],
  gradient: null,
  reference: (call, [x, w, dy, places], outputs) => {
    const { attributes, inputs: [xSpec, wSpec] } = call;
    const none = { ...attributes, activation: "none" as const };
    const shape = convolve.outputs([xSpec!, wSpec!], none)[0]!.shape as Images;
    const dz = new Float64Array(sizeOf(shape));
    visitQuads(shape, (i, quad) => {
      if (places![i] !== noGradient) dz[quad[places![i]!]!] = dy![i]!;
    });
    const dzSpec = { shape: shape as Shape, type: "float" } as const;
    const rest = [...outputs];
    const ofShape = (target: Shape) => ({ ...attributes, shape: target });
    const base = { outputs: [], scalars: [], words: [] };
    filterGradient.reference(
      { ...base, attributes: ofShape(wSpec!.shape), inputs: [xSpec!, dzSpec] }, [x!, dz], [rest.shift()!],
    );
    if (attributes.bias) {
      const sums = new Float64Array(shape[3]);
      dz.forEach((value, i) => (sums[i % shape[3]]! += value));
      rest.shift()!.set(sums);
    }
    if (attributes.input) {
      inputGradient.reference(
        { ...base, attributes: ofShape(xSpec!.shape), inputs: [dzSpec, wSpec!] }, [dz, w!], [rest.shift()!],
      );
    }
  },
  wasm: ({ inputs: [x, w], attributes }) => {
    const { bias, input } = attributes;
    const plan = pooledConvolutionGradients({ ...kernelOptions(x!.shape, w!.shape, attributes), bias, input });
    return {
      plan,
      words: ({ inputs: [image, filter, dy, argmax], outputs: [dFilter, ...others], scratch }) => {
        const dBias = bias ? others[0] : undefined;
        return wordsOf(plan, { x: image, filter, dy, argmax, dFilter, dBias, dx: others[bias ? 1 : 0], scratch });
      },
    };
  },
  gpu: ({ inputs: [x, w, dy], attributes }) => {
    const g = geometry("conv2d", x!.shape, w!.shape, attributes);
    return gpu.pooledGradients(g, dy!.shape, attributes.bias, attributes.input);
  },
};
