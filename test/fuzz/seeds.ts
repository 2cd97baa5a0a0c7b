import fc from "fast-check";
import { sectionsOf } from "../../codecs/code.ts";
import { pack } from "../../codecs/container.ts";
import { lenet300, linear, parametersOf } from "../../lib/architectures.ts";
import type { Network } from "../../lib/network.ts";
import { sizeOf } from "../../lib/shape.ts";
import type { Weights } from "../../lib/weights.ts";
import { files } from "../codecs/arbitraries.ts";
import { readVectors } from "../vectors/vectors.ts";
import { Draws } from "./draws.ts";
import { type Seed, seedOf } from "./mutate.ts";

/** Files that the generators of the tests make, all of them valid. */
export function generated(count: number, seed: number): Uint8Array[] {
  return fc.sample(files, { numRuns: count, seed }).map((file) => pack(file));
}

export interface VectorSeeds {
  readonly seeds: readonly Seed[];
  readonly codes: readonly string[];
}

/** What is made of nothing but stored files is made once. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** All stored vectors, and the codes of those that are refused. */
export const vectorSeeds = once((): VectorSeeds => {
  const refused = readVectors("refused");
  const seeds = [
    ...readVectors("accepted").map(({ bytes }) => seedOf(bytes, true)),
    ...refused.map(({ bytes }) => seedOf(bytes, false)),
  ];
  return { seeds, codes: [...new Set(refused.map(({ code }) => code!))].sort() };
});

/** Files of the size that networks have: one that is framed because of it, one with many symbols. */
export const largeSeeds = once((): readonly Seed[] => {
  const draws = new Draws(1);
  const weightsOf = (network: Network, value: () => number): Weights =>
    parametersOf(network).map(({ name, shape }) => {
      return { name, shape, values: Float32Array.from({ length: sizeOf(shape) }, value) };
    });
  const units = 21;
  const network: Network = {
    ...linear,
    name: "large",
    layers: [{ type: "flatten" }, { type: "dense", name: "fc1", units, bias: false, activation: "none" }],
    classes: Array.from({ length: units }, (_, i) => String(i)),
  };
  const { values } = weightsOf(network, () => draws.word() / 2 ** 32)[0]!;
  const large = pack({ network, sections: [{ tensors: ["fc1.weight"], coded: { method: "float32", values } }] });
  const few = weightsOf(lenet300, () => (draws.once(12) ? (1 + draws.below(15)) / 8 : 0));
  return [large, pack({ network: lenet300, sections: sectionsOf(few) })].map((bytes) => seedOf(bytes, true));
});
