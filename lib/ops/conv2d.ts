import type { Tensor } from "../tensor.ts";
import { convolve, type Padding } from "./convolution.ts";
import type { Epilogue } from "./matmul.ts";
import { convolvePooled } from "./pooledConvolution.ts";

export interface ConvolutionOptions {
  /** Default 1. */
  readonly stride?: number | readonly [vertical: number, horizontal: number];
  /** Default `valid`. */
  readonly padding?: Padding;
  /** [f], added to every pixel. */
  readonly bias?: Tensor;
  readonly activation?: Epilogue;
  /** Keeps the largest of every 2x2 outputs, as `maxPool2d(…, 2)` behind it would, but in the same pass. */
  readonly maxPool?: 2;
}

/**
 * Cross-correlation of images [n, h, w, c] with filters [kh, kw, c, f] to [n, h', w', f]; bias, rectifier and 2x2
 * max pooling may be fused in. `same` pads with zeros to ⌈h / stride⌉, the odd one below and right.
 */
export function conv2d(x: Tensor, filter: Tensor, options: ConvolutionOptions = {}): Tensor {
  const { stride = 1, padding = "valid", bias, activation = "none", maxPool } = options;
  const steps = typeof stride === "number" ? ([stride, stride] as const) : stride;
  const inputs = bias === undefined ? [x, filter] : [x, filter, bias];
  const operation = maxPool === 2 ? convolvePooled : convolve;
  return x.runtime.run(operation, inputs, { attributes: { stride: steps, padding, activation } })[0]!;
}
