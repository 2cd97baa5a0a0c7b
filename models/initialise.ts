import { parametersOf } from "../lib/architectures.ts";
import type { Network } from "../lib/network.ts";
import { fillUniform, seedKey, STREAMS } from "../lib/random.ts";
import { sizeOf } from "../lib/shape.ts";
import type { Weights } from "../lib/weights.ts";

/**
 * Starting weights of a network, the same for a seed on every device: uniform in ±√(6 / inputs) before a rectifier (He
 * et al. 2015, arXiv 1502.01852), in ±√(6 / (inputs + outputs)) elsewhere (Glorot & Bengio 2010), biases 0. Inputs and
 * outputs of a convolution count its kernel's positions. Tensor number i takes the draws of block i of the stream
 * `initialization`. Throws RangeError for a seed that is not a whole number, ShapeError as `parametersOf`.
 */
export function initialise(network: Network, seed: number): Weights {
  const key = seedKey(seed);
  const rectified = new Map<string, boolean>();
  for (const layer of network.layers) {
    if (!("activation" in layer)) continue;
    rectified.set(`${layer.name}.weight`, layer.activation === "relu" || layer.activation === "leakyRelu");
  }
  return parametersOf(network).map(({ name, shape }, block) => {
    const values = new Float32Array(sizeOf(shape));
    const rectifier = rectified.get(name);
    if (rectifier === undefined) return { name, shape, values };
    const positions = sizeOf(shape.slice(0, -2));
    const inputs = positions * shape.at(-2)!;
    const outputs = positions * shape.at(-1)!;
    const limit = Math.sqrt(6 / (rectifier ? inputs : inputs + outputs));
    fillUniform(values, key, { stream: STREAMS.initialization, block });
    for (let i = 0; i < values.length; i++) values[i] = (2 * values[i]! - 1) * limit;
    return { name, shape, values };
  });
}
