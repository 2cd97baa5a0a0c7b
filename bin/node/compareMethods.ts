import { gzipSync } from "node:zlib";
import {
  clearDead,
  type LevelWeights,
  lump,
  nearestScale,
  pack,
  type PruneRule,
  scaleOf,
  type Section,
  sectionsOf,
  toWeights,
} from "../../codecs/index.ts";
import { type Network, parametersOf, sizeOf, type Weights } from "../../lib/index.ts";
import { type Dataset, strongest, take } from "../../models/index.ts";
import { type ChainOptions, groupsOf, pruneAndRetrain, shareAndTune, tuningRate } from "../chain.ts";
import { recipeFor } from "../recipes.ts";
import type { PerLayer } from "../rules.ts";
import { miracle, type MiracleRecipe, miracleRecipe } from "./miracle.ts";
import { squeeze, squeezeHead, type SqueezeRecipe, squeezeRecipe } from "./squeeze.ts";

/** What a method made of a network: all of a file, and the network that is decoded from it. */
export interface Made {
  readonly file: Uint8Array;
  readonly network: Network;
  readonly weights: Weights;
}

/** Weights of the same network that several methods begin with. */
export type StageName = "trained" | "shared" | "pruned" | "chain" | "ternary";

/** What every method is given. */
export interface Workbench {
  readonly network: Network;
  /** As trained. */
  readonly weights: Weights;
  readonly chain: ChainOptions;
  /** 1 for as long as the recipes say, 0.1 for a tenth of it. */
  readonly effort: number;
  /** What each layer keeps, and how many values it shares; without them as `recipeFor` says. */
  readonly rules: Readonly<Record<string, PruneRule>>;
  readonly sizes: Readonly<Record<string, number>>;
  /** Of the file of a method that trains for a size. */
  readonly bytesFor: (method: SizedName) => number;
  /** Says how far a method is that trains for a size. */
  readonly onSized: (progress: { phase: string; done: number; total: number; loss: number }) => void;
  /** Makes what several methods need once. */
  readonly stage: (name: StageName, make: () => Promise<Weights>) => Promise<Weights>;
}

export interface Method {
  readonly name: string;
  /** For people, in a few words. */
  readonly what: string;
  readonly make: (bench: Workbench) => Made | Promise<Made>;
}

export type SizedName = "squeeze" | "miracle";

/** All methods, from those that lose nothing to those that go furthest. */
export const compareMethods: readonly Method[] = [
  {
    name: "float32",
    what: "as trained",
    make: ({ network, weights }) => asFile(network, raw(weights)),
  },
  {
    name: "gzip",
    what: "gzip of that file",
    make: ({ network, weights }) => ({ network, weights, file: gzipSync(rawFile(network, weights), { level: 9 }) }),
  },
  {
    name: "levels",
    what: "rounded to 8 bits, an even grid",
    make: ({ network, weights }) => asFile(network, roundedToLevels(network, weights)),
  },
  {
    name: "kmeans",
    what: "shared values (k-means), tuned",
    make: async (bench) => coded(bench.network, await shared(bench)),
  },
  {
    name: "ternary",
    what: "pruned, two values a layer and zero",
    make: async (bench) => coded(bench.network, await ternary(bench)),
  },
  {
    name: "prune",
    what: "pruned and retrained, values as they are",
    make: async (bench) => coded(bench.network, await pruned(bench)),
  },
  {
    name: "chain",
    what: "prune, share, Huffman",
    make: async (bench) => coded(bench.network, await chain(bench)),
  },
  { name: "lump", what: "equal units merged, exact", make: ({ network, weights }) => lumped(network, weights) },
  { name: "kmeans+lump", what: "that of kmeans", make: async (bench) => lumped(bench.network, await shared(bench)) },
  { name: "ternary+lump", what: "that of ternary", make: async (bench) => lumped(bench.network, await ternary(bench)) },
  { name: "chain+lump", what: "that of chain", make: async (bench) => lumped(bench.network, await chain(bench)) },
  { name: "squeeze", what: "levels, trained under their code length", make: bySqueeze },
  { name: "miracle", what: "random codes of a distribution", make: byMiracle },
];

function asFile(network: Network, sections: readonly Section[]): Made {
  return { network, file: pack({ network, sections }), weights: toWeights({ network, sections }) };
}

/** Weights as they are, in the smallest spelling. */
function coded(network: Network, weights: Weights): Made {
  return asFile(network, sectionsOf(weights));
}

function lumped(network: Network, weights: Weights): Made {
  const small = lump(network, weights);
  return coded(small.network, small.weights);
}

function raw(weights: Weights): Section[] {
  return weights.map(({ name, values }) => ({ tensors: [name], coded: { method: "float32", values } }));
}

function rawFile(network: Network, weights: Weights): Uint8Array {
  return pack({ network, sections: raw(weights) });
}

/** The most that a level of 8 bits may be, where as many go up as down. */
const mostLevel = 127;

function roundedToLevels(network: Network, weights: Weights): Section[] {
  const scales = new Uint8Array(weights.length);
  const levels = weights.map(({ values }, t) => {
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const wanted = Math.max(scaleOf(0), largest / mostLevel);
    const nearest = nearestScale(wanted);
    // The nearest scale may be the one below, by which the largest weight would be cut.
    const scale = largest / scaleOf(nearest) > mostLevel + 0.5 ? nearest + 1 : nearest;
    const rounded = Int32Array.from(values, (value) => Math.round(value / scaleOf(scale)));
    if (rounded.some((level) => level !== 0)) scales[t] = scale;
    return rounded;
  });
  const coded: LevelWeights = { method: "levels", scales, levels };
  return [{ tensors: parametersOf(network).map(({ name }) => name), coded }];
}

/** How often the images are seen, and which: below one pass fewer of them. */
export function passes(training: Dataset, epochs: number, effort: number): { epochs: number; training: Dataset } {
  const wanted = epochs * effort;
  if (wanted >= 1) return { epochs: Math.round(wanted), training };
  return { epochs: 1, training: take(training, 0, Math.max(1, Math.round(wanted * training.count))) };
}

/** How the steps of `compress` go by default; those of `quantize` for shared values alone. */
const extent = { rounds: 4, epochs: 2, tuning: 2, rate: 0.001 };
const sharing = { epochs: 1, rate: 0.0003 };

function shared({ weights, chain, effort, sizes, stage }: Workbench): Promise<Weights> {
  return stage("shared", () => sharedFrom(weights, { ...chain, sizes, ...sharing, effort }));
}

function pruned({ network, weights, chain, effort, rules, stage }: Workbench): Promise<Weights> {
  return stage("pruned", async () => {
    const { epochs, training } = passes(chain.training, extent.epochs, effort);
    const { rounds, rate } = extent;
    const plan = { ...chain, training, rules, rounds, epochs, lastEpochs: 2 * epochs, rate };
    return clearDead(network, await pruneAndRetrain(weights, plan)).weights;
  });
}

function chain(bench: Workbench): Promise<Weights> {
  return bench.stage("chain", () => tuned(bench, bench.sizes));
}

function ternary(bench: Workbench): Promise<Weights> {
  const { weights, sizes, stage } = bench;
  const two = Object.fromEntries(groupsOf(weights).map(({ name }) => [name, name === "biases" ? sizes[name]! : 2]));
  // Pruning leaves large weights of either sign, which two values stand for better than for all of a layer.
  return stage("ternary", () => tuned(bench, two));
}

async function tuned(bench: Workbench, sizes: Workbench["sizes"]): Promise<Weights> {
  const { chain, effort } = bench;
  const rate = tuningRate * extent.rate;
  return sharedFrom(await pruned(bench), { ...chain, sizes, epochs: extent.tuning, rate, effort });
}

interface Sharing extends ChainOptions {
  readonly sizes: Workbench["sizes"];
  readonly epochs: number;
  readonly rate: number;
  readonly effort: number;
}

async function sharedFrom(weights: Weights, { epochs, effort, ...rest }: Sharing): Promise<Weights> {
  const sections = await shareAndTune(weights, {
    ...rest,
    ...passes(rest.training, epochs, effort),
    start: "linear",
  });
  return toWeights({ network: rest.network, sections });
}

/** Sizes at which the methods that train for one were measured, and how. */
const goals: Readonly<Record<string, Readonly<Record<SizedName, Goal>>>> = {
  lenet5: { squeeze: { bytes: 950 }, miracle: { bytes: 1000 } },
  lenet300: { squeeze: { bytes: 2500 }, miracle: { bytes: 6000, live: [40, 20], refit: 15 } },
  softmax: { squeeze: { bytes: 600 }, miracle: { bytes: 336 } },
};

interface Goal {
  readonly bytes: number;
  readonly live?: readonly number[];
  readonly refit?: number;
}

/** The size that a method is to reach where none is asked for: a measured one, or four tenths of a bit a weight. */
export function usualBytes(network: Network, method: SizedName): number {
  const goal = goals[network.name]?.[method];
  if (goal !== undefined) return goal.bytes;
  const { live } = squeezeRecipe(network);
  const head = squeezeHead(network, { live, metadata: undefined, bytes: Number.MAX_SAFE_INTEGER });
  const numbers = parametersOf(network).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  return head + Math.max(8, Math.ceil(numbers / 20));
}

/** Weights of the units that live, to begin with, and everything else that both methods take. */
function sizedRun({ network, weights, chain, bytesFor, onSized }: Workbench, method: SizedName, usual?: Live) {
  const live = goals[network.name]?.[method].live ?? usual;
  const { runtime, seed, signal } = chain;
  return {
    ...{ runtime, seed, live, bytes: bytesFor(method), onProgress: onSized },
    ...(signal && { signal }),
    weights: live === undefined ? weights : strongest(network, weights, live),
  };
}

type Live = readonly number[];

const steps = (count: number, effort: number): number => Math.max(1, Math.round(count * effort));

async function bySqueeze(bench: Workbench): Promise<Made> {
  const { network, chain, effort } = bench;
  const recipe: SqueezeRecipe = squeezeRecipe(network);
  const run = sizedRun(bench, "squeeze", recipe.live);
  const training = steps(recipe.training, effort);
  const { bytes, weights } = await squeeze(network, { training: chain.training }, { ...run, training });
  return { network, weights, file: bytes };
}

async function byMiracle(bench: Workbench): Promise<Made> {
  const { network, chain, effort } = bench;
  const recipe: MiracleRecipe = miracleRecipe(network, bench.bytesFor("miracle"));
  const { bytes, weights } = await miracle(network, { training: chain.training }, {
    ...sizedRun(bench, "miracle", recipe.live),
    training: steps(recipe.training, effort),
    refit: steps(goals[network.name]?.miracle.refit ?? recipe.refit, effort),
    // A block tries 2^bits candidates.
    bits: Math.max(4, Math.min(recipe.bits, Math.round(recipe.bits + Math.log2(effort)))),
    samples: sharersOf(Math.min(recipe.batch, chain.training.count), recipe.samples),
  });
  return { network, weights, file: bytes };
}

/** The most samples, up to so many, that can share a batch evenly. */
function sharersOf(batch: number, most: number): number {
  let samples = Math.min(batch, most);
  while (batch % samples !== 0) samples -= 1;
  return samples;
}

/** The recipe's shares of a network as rules of pruning; a layer that it does not name keeps all. */
export function usualRules(network: Network): Record<string, PruneRule> {
  const { share } = recipeFor(network);
  const ruleOf = (layer: string): PruneRule => ({ share: numberFor(share, layer) ?? 1 });
  return Object.fromEntries(matricesOf(network).map((layer) => [`${layer}.weight`, ruleOf(layer)]));
}

/** The recipe's bits of a network as numbers of values; all biases together have as many as any layer. */
export function usualSizes(network: Network): Record<string, number> {
  const { bits } = recipeFor(network);
  const sizes = matricesOf(network).map((layer) => [`${layer}.weight`, 2 ** (numberFor(bits, layer) ?? 5)] as const);
  return { ...Object.fromEntries(sizes), biases: Math.max(...sizes.map(([, size]) => size)) };
}

function matricesOf({ layers }: Network): string[] {
  return layers.flatMap((layer) => ("name" in layer ? [layer.name] : []));
}

function numberFor(numbers: PerLayer, layer: string): number | undefined {
  return typeof numbers === "number" ? numbers : numbers[layer];
}
