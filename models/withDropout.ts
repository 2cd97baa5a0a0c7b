import type { Layer, Network } from "../lib/network.ts";

/** By layer, the share of its inputs that training sets to zero, each step others: from 0 up, below 1. */
export type DropoutShares = Readonly<Record<string, number>>;

/**
 * The network with a dropout layer in front of each layer that is named (Srivastava et al. 2014, "Dropout: a simple way
 * to prevent neural networks from overfitting"), for training alone: its tensors and its outputs outside training are
 * those of `network`. RangeError for a layer that it does not have and for a share out of range.
 */
export function withDropout(network: Network, shares: DropoutShares): Network {
  const names = network.layers.flatMap((layer) => ("name" in layer ? [layer.name] : []));
  for (const [name, share] of Object.entries(shares)) {
    if (!names.includes(name)) {
      throw new RangeError(`dropout: ${network.name} has no layer "${name}" with weights; it has ${names.join(", ")}`);
    }
    if (!(share >= 0 && share < 1)) {
      throw new RangeError(`dropout: the share of ${name} must be from 0 up and below 1, got ${share}`);
    }
  }
  const layers = network.layers.flatMap((layer): readonly Layer[] => {
    const share = "name" in layer && Object.hasOwn(shares, layer.name) ? shares[layer.name]! : 0;
    return share === 0 ? [layer] : [{ type: "dropout", keep: 1 - share }, layer];
  });
  return { ...network, layers };
}
