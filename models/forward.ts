import { ShapeError } from "../lib/errors.ts";
import type { Activation, Network } from "../lib/network.ts";
import { leakyRelu, relu, sigmoid, tanh } from "../lib/ops/activations.ts";
import { conv2d } from "../lib/ops/conv2d.ts";
import { dropout } from "../lib/ops/draws.ts";
import { reshape } from "../lib/ops/layout.ts";
import { matmul, type ProductOptions } from "../lib/ops/matmul.ts";
import { maxPool2d } from "../lib/ops/maxPool2d.ts";
import { derive, type Key, STREAMS } from "../lib/random.ts";
import { formatShape, sizeOf } from "../lib/shape.ts";
import type { Tensor } from "../lib/tensor.ts";

export interface ForwardOptions {
  /**
   * Makes dropout active. Layer number i drops by the draws of the stream `dropout`, block `step`, of the key
   * `derive(key, i)`: any step's can be repeated. `step` is below 2^24.
   */
  readonly training?: { readonly key: Key; readonly step: number };
}

/**
 * The network's outputs before any softmax, [n, classes], for images [n, height, width, channels] whose pixels are
 * scaled already. `parameters` come in the order of `parametersOf(network)`. Bias and rectifier are fused into what
 * makes them. Throws ShapeError when images or parameters are not the network's.
 *
 * Where runs of `k` neighbouring units have equal weights, their tensor may be [..., units / k], one output for each
 * run, which is then computed once.
 */
export function forward(
  network: Network,
  parameters: readonly Tensor[],
  images: Tensor,
  { training }: ForwardOptions = {},
): Tensor {
  const { height, width, channels } = network.input;
  const [, ...image] = images.shape;
  if (image.length !== 3 || image[0] !== height || image[1] !== width || image[2] !== channels) {
    throw new ShapeError(
      `forward: ${network.name} takes images [n, ${height}, ${width}, ${channels}], got ${formatShape(images.shape)}`,
    );
  }
  let taken = 0;
  const take = (): Tensor => {
    const parameter = parameters[taken++];
    if (parameter === undefined) {
      throw new ShapeError(`forward: ${network.name} has more tensors than the ${parameters.length} given`);
    }
    return parameter;
  };
  let x = images;
  for (const [i, layer] of network.layers.entries()) {
    switch (layer.type) {
      case "convolution":
      case "dense": {
        const weight = take();
        const activation = layer.activation === "relu" ? "relu" : "none";
        const fused = layer.bias ? { bias: take(), activation } as const : { activation } as const;
        const units = layer.type === "dense" ? layer.units : layer.filters;
        const distinct = weight.shape.at(-1) ?? 0;
        // Units that share their weights still have their own biases. Pooling may come before these: they keep order.
        const own = distinct === units ? fused : {};
        x =
          layer.type === "dense"
            ? matmul(x, weight, own)
            : conv2d(x, weight, { stride: layer.stride, padding: layer.padding, ...own, ...pooling(network, i) });
        if (distinct !== units) x = repeat(x, { name: layer.name, distinct, units }, fused);
        if (activation !== layer.activation) x = activate(x, layer.activation);
        break;
      }
      case "maxPool":
        if (pooling(network, i - 1).maxPool === undefined) x = maxPool2d(x, layer.size, layer.stride);
        break;
      case "flatten":
        x = reshape(x, [x.shape[0]!, sizeOf(x.shape.slice(1))]);
        break;
      case "dropout":
        if (training === undefined) break;
        x = dropout(x, layer.keep, { key: derive(training.key, i), stream: STREAMS.dropout, block: training.step });
        break;
    }
  }
  if (taken !== parameters.length) {
    throw new ShapeError(`forward: ${network.name} has ${taken} tensors, got ${parameters.length}`);
  }
  return x;
}

interface Repetition {
  readonly name: string;
  readonly distinct: number;
  readonly units: number;
}

/** Outputs [..., distinct] as those of all `units`, neighbours being equal; then, fused, what is each unit's own. */
function repeat(x: Tensor, { name, distinct, units }: Repetition, fused: ProductOptions): Tensor {
  if (units % distinct !== 0) {
    throw new ShapeError(`forward: ${name} has ${units} units, which its weight's ${distinct} outputs do not divide`);
  }
  // A product with ones and zeros is exact. Measured, it is faster than stretching rows of two units each.
  const ones = new Float32Array(distinct * units);
  for (let unit = 0; unit < units; unit++) ones[Math.floor((unit * distinct) / units) * units + unit] = 1;
  const y = matmul(reshape(x, [-1, distinct]), x.runtime.tensor(ones, [distinct, units]), fused);
  return reshape(y, [...x.shape.slice(0, -1), units]);
}

/** Pooling 2x2 by 2 right behind convolution `i`, which then does it, where nothing but a rectifier is between them. */
function pooling({ layers }: Network, i: number): { readonly maxPool?: 2 } {
  const [convolution, pool] = [layers[i], layers[i + 1]];
  if (convolution?.type !== "convolution" || pool?.type !== "maxPool") return {};
  const fits = pool.size === 2 && pool.stride === 2 && ["none", "relu"].includes(convolution.activation);
  return fits ? { maxPool: 2 } : {};
}

function activate(x: Tensor, activation: Activation): Tensor {
  switch (activation) {
    case "none":
      return x;
    case "relu":
      return relu(x);
    case "leakyRelu":
      return leakyRelu(x);
    case "sigmoid":
      return sigmoid(x);
    case "tanh":
      return tanh(x);
  }
}
