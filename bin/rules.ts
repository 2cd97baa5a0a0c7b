import { InvalidArgumentError } from "commander";
import type { PruneRule } from "../codecs/index.ts";
import type { Network } from "../lib/index.ts";

/** A number for all layers, or numbers by layer: `0.1`, or `fc1=0.08,fc2=0.09`. */
export type PerLayer = number | Readonly<Record<string, number>>;

/** A parser of `PerLayer`, each of whose numbers `parse` accepts. */
export function perLayer(parse: (text: string) => number): (text: string) => PerLayer {
  return (text) => {
    if (!text.includes("=")) return parse(text);
    const pairs = text.split(",").map((pair) => {
      const [layer, value, ...rest] = pair.split("=");
      if (layer === undefined || layer === "" || value === undefined || rest.length > 0) {
        throw new InvalidArgumentError(`Write a number, or layer=number with commas between.`);
      }
      return [layer, parse(value)] as const;
    });
    return Object.fromEntries(pairs);
  };
}

/** The tensors that the layers mean: `fc1` is `fc1.weight`. Throws RangeError for a layer that the network has not. */
export function byTensor(numbers: PerLayer, network: Network): number | Record<string, number> {
  if (typeof numbers === "number") return numbers;
  const layers = network.layers.flatMap((layer) => ("name" in layer ? [layer.name] : []));
  return Object.fromEntries(
    Object.entries(numbers).map(([layer, value]) => {
      if (!layers.includes(layer)) {
        throw new RangeError(`${network.name} has no layer "${layer}" with weights; it has ${layers.join(", ")}`);
      }
      return [`${layer}.weight`, value];
    }),
  );
}

/** The same as rules of pruning, of one kind. */
export function rulesOf(kind: "share" | "deviations", numbers: PerLayer, network: Network): PruneRule | Record<string, PruneRule> {
  const ruleOf = (value: number): PruneRule => (kind === "share" ? { share: value } : { deviations: value });
  const tensors = byTensor(numbers, network);
  if (typeof tensors === "number") return ruleOf(tensors);
  return Object.fromEntries(Object.entries(tensors).map(([name, value]) => [name, ruleOf(value)]));
}

/** 2^bits for each. */
export function sizesOf(bits: PerLayer, network: Network): number | Record<string, number> {
  const counts = byTensor(bits, network);
  if (typeof counts === "number") return 2 ** counts;
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, 2 ** count]));
}
