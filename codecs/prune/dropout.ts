import type { Network } from "../../lib/network.ts";
import { countKept, type Masks } from "../prune.ts";

/**
 * The network with the dropout that suits what pruning left (arXiv 1506.02626, section 3.2): fewer connections need
 * less of it. A layer that dropped its units at rate D then drops them at `D sqrt(C' / C)`, where C and C' count the
 * connections into them before and after. Dropout before the first layer with weights stays as it is.
 */
export function rescaleDropout(network: Network, before: Masks, after: Masks): Network {
  const countOf = (masks: Masks, name: string): number => {
    const mask = masks.find((candidate) => candidate.name === name);
    if (mask === undefined) throw new RangeError(`rescaleDropout: there is no mask of "${name}"`);
    return countKept([mask]);
  };
  let remaining = 1;
  const layers = network.layers.map((layer) => {
    if (layer.type === "convolution" || layer.type === "dense") {
      const [was, is] = [before, after].map((masks) => countOf(masks, `${layer.name}.weight`)) as [number, number];
      if (is > was) throw new RangeError(`rescaleDropout: ${layer.name} has ${is} connections, and had ${was}`);
      remaining = was === 0 ? 1 : is / was;
    }
    return layer.type === "dropout" ? { ...layer, keep: 1 - (1 - layer.keep) * Math.sqrt(remaining) } : layer;
  });
  return { ...network, layers };
}
