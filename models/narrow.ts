import type { Layer, Network } from "../lib/network.ts";

/**
 * The network with fewer units: `live` of them in each convolution or dense layer but the last, in order. Its weights
 * are those of the first units of the whole network. RangeError for counts that the layers do not have.
 */
export function narrow(network: Network, live: readonly number[]): Network {
  const layers = network.layers.filter((layer) => layer.type === "convolution" || layer.type === "dense");
  const counted = layers.length - 1;
  if (live.length !== counted) {
    throw new RangeError(`narrow: ${network.name} takes ${counted} live counts, got ${live.length}`);
  }
  let at = 0;
  const count = (most: number, name: string): number => {
    if (at === counted) return most;
    const units = live[at++]!;
    if (Number.isInteger(units) && units >= 1 && units <= most) return units;
    throw new RangeError(`narrow: ${name} has from 1 to ${most} live units, got ${units}`);
  };
  const narrowed = network.layers.map((layer): Layer => {
    if (layer.type === "convolution") return { ...layer, filters: count(layer.filters, layer.name) };
    if (layer.type === "dense") return { ...layer, units: count(layer.units, layer.name) };
    return layer;
  });
  return { ...network, name: `${network.name} ${live.join("-")}`, layers: narrowed };
}
