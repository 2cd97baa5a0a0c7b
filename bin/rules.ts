import { type Command, InvalidArgumentError } from "commander";
import type { PruneRule } from "../codecs/index.ts";
import { type Network, parametersOf, sizeOf } from "../lib/index.ts";
import type { DropoutShares } from "../models/index.ts";
import { UsageError } from "./errors.ts";
import { decay } from "./options.ts";

/** A number for all layers, or numbers by layer: `0.1`, or `fc1=0.08,fc2=0.09`. */
export type PerLayer = number | Readonly<Record<string, number>>;

/** A parser of `PerLayer`, each of whose numbers `parse` accepts. */
export function perLayer(parse: (text: string) => number): (text: string) => PerLayer {
  return (text) => {
    if (!text.includes("=")) return parse(text);
    const numbers = new Map<string, number>();
    for (const pair of text.split(",")) {
      const [layer, value, ...rest] = pair.split("=");
      if (layer === undefined || layer === "" || value === undefined || rest.length > 0 || numbers.has(layer)) {
        throw new InvalidArgumentError("Write a number, or layer=number once for each layer, with commas between.");
      }
      numbers.set(layer, parse(value));
    }
    return Object.fromEntries(numbers);
  };
}

/**
 * The numbers by tensor: `fc1` means `fc1.weight`. A layer that is not named has its number from `rest`, or none.
 * Throws UsageError for a layer that the network does not have.
 */
function byTensor(numbers: PerLayer, network: Network, rest: PerLayer = {}): Map<string, number> {
  const layers = network.layers.flatMap((layer) => ("name" in layer ? [layer.name] : []));
  const stray = Object.keys(numbers).find((layer) => !layers.includes(layer));
  if (stray !== undefined) {
    throw new UsageError(`${network.name} has no layer "${stray}" with weights; it has ${layers.join(", ")}`);
  }
  const of = (from: PerLayer, layer: string): number | undefined => (typeof from === "number" ? from : from[layer]);
  return new Map(
    layers.flatMap((layer) => {
      const number = of(numbers, layer) ?? of(rest, layer);
      return number === undefined ? [] : [[`${layer}.weight`, number] as const];
    }),
  );
}

/** Adds the option that `dropoutOf` understands. */
export function withDropoutShares(command: Command): Command {
  const text = "of a layer's inputs that training zeroes: fc1=0.1, or 0.1 for all dense layers";
  return command.option("--dropout <shares>", text, perLayer(decay));
}

/** Shares of inputs that training drops: a number alone is for every dense layer. Throws as `byTensor`. */
export function dropoutOf(network: Network, shares: PerLayer | undefined): DropoutShares | undefined {
  if (shares === undefined) return undefined;
  if (typeof shares === "number") {
    const dense = network.layers.filter((layer) => layer.type === "dense");
    return Object.fromEntries(dense.map(({ name }) => [name, shares]));
  }
  byTensor(shares, network);
  return shares;
}

/** Rules of pruning, all of one kind. Layers without a number keep all they have. */
export function rulesOf(
  kind: "share" | "threshold" | "deviations" | "unitDeviations",
  numbers: PerLayer,
  network: Network,
  rest?: PerLayer,
): Readonly<Record<string, PruneRule>> {
  const ruleOf = (value: number): PruneRule => {
    switch (kind) {
      case "share":
        return { share: value };
      case "threshold":
        return { threshold: value };
      case "deviations":
        return { deviations: value };
      case "unitDeviations":
        return { unitDeviations: value };
    }
  };
  return Object.fromEntries([...byTensor(numbers, network, rest)].map(([name, value]) => [name, ruleOf(value)]));
}

/**
 * How many values the tensors of each group share: 2^bits, and of all biases together as many as of any layer. Throws
 * UsageError where `bits` asks for more values than a layer has weights; `rest` gives those fewer.
 */
export function sizesOf(bits: PerLayer, network: Network, rest: PerLayer): Readonly<Record<string, number>> {
  const asked = byTensor(bits, network);
  for (const { name, shape } of parametersOf(network)) {
    const size = 2 ** (asked.get(name) ?? 0);
    const count = sizeOf(shape);
    if (size > count) throw new UsageError(`${name} has ${count} weights, which cannot share ${size} values`);
  }
  const sizes = [...byTensor(bits, network, rest)].map(([name, count]) => [name, 2 ** count] as const);
  return { ...Object.fromEntries(sizes), biases: Math.max(...sizes.map(([, size]) => size)) };
}
