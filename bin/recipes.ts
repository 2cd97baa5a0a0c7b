import type { Network } from "../lib/index.ts";
import type { PerLayer } from "./rules.ts";

/** How far the chain goes with a network: what its layers keep, and in how many bits. */
export interface Recipe {
  readonly share: PerLayer;
  readonly bits: PerLayer;
}

/** Shares of Deep Compression (arXiv 1510.00149, tables 2 and 3), or somewhat less where measurement allowed it. */
const recipes: Readonly<Record<string, Recipe>> = {
  lenet300: { share: { fc1: 0.07, fc2: 0.09, fc3: 0.26 }, bits: 4 },
  lenet5: { share: { conv1: 0.66, conv2: 0.12, fc1: 0.06, fc2: 0.19 }, bits: { conv1: 5, conv2: 4, fc1: 4, fc2: 4 } },
};

/** The recipe for a network: its own, or a careful one. */
export function recipeFor({ name }: Network): Recipe {
  return recipes[name] ?? { share: 0.2, bits: 5 };
}
