import {
  applyMasks,
  code,
  type Codebook,
  type Masks,
  masksOf,
  prune,
  type PruneRule,
  type Section,
  share,
  type ShareOptions,
  tidy,
} from "../codecs/index.ts";
import type { Network, Runtime, Weights } from "../lib/index.ts";
import { type Dataset, fit, type FitOptions, type FitProgress, type SharedGroup, sharedTraining } from "../models/index.ts";
import { type PerLayer, rulesOf, sizesOf } from "./rules.ts";

/** What the lossy steps between training and packing have in common. */
export interface ChainOptions {
  readonly runtime: Runtime;
  readonly network: Network;
  readonly training: Dataset;
  readonly seed: number;
  readonly batchSize?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (label: string, progress: FitProgress) => void;
}

export interface RetrainOptions extends ChainOptions {
  /** For every `<layer>.weight`, or by the name of the tensor. */
  readonly rules: PruneRule | Readonly<Record<string, PruneRule>>;
  /** How many times weights are taken away and the others trained again. */
  readonly rounds: number;
  /** Passes over the training images in each round; the last round has `lastEpochs`, if that is given. */
  readonly epochs: number;
  readonly lastEpochs?: number;
  readonly rate: number;
}

/**
 * Prunes in rounds, training what is left after each. Shares go down along a cubic ramp, steep first (Zhu & Gupta 2017,
 * arXiv 1710.01878); what is gone stays gone.
 */
export async function pruneAndRetrain(weights: Weights, options: RetrainOptions): Promise<{ weights: Weights; masks: Masks }> {
  const { runtime, network, training, rules, rounds, epochs, lastEpochs = epochs, rate, seed } = options;
  let masks = masksOf(weights.map((tensor) => ({ ...tensor, values: tensor.values.map(() => 1) })));
  for (let round = 1; round <= rounds; round++) {
    masks = prune(weights, rulesAt(rules, round / rounds), { masks });
    const result = await fit({
      runtime,
      network,
      data: { train: training },
      weights: applyMasks(weights, masks),
      masks,
      epochs: round === rounds ? lastEpochs : epochs,
      schedule: { name: "cosine", rate },
      seed: seed + round,
      ...optional("batchSize", options.batchSize),
      ...optional("signal", options.signal),
      ...reporting(options, rounds === 1 ? "prune" : `prune ${round}/${rounds}`),
    });
    weights = result.weights;
  }
  return { weights, masks };
}

/** The rules at `way` from 0 (nothing is pruned) to 1: only shares change on the way. */
function rulesAt(rules: RetrainOptions["rules"], way: number): RetrainOptions["rules"] {
  const ruleOf = (rule: PruneRule): PruneRule =>
    "share" in rule ? { share: rule.share + (1 - rule.share) * (1 - way) ** 3 } : rule;
  if (isRule(rules)) return ruleOf(rules);
  return Object.fromEntries(Object.entries(rules).map(([name, rule]) => [name, ruleOf(rule)]));
}

function isRule(rules: RetrainOptions["rules"]): rules is PruneRule {
  return Object.values(rules).every((value) => typeof value === "number");
}

export interface ShareAndTuneOptions extends ChainOptions {
  /** Centres of each codebook, zero not counted: one number for all, or by the name of the tensor. */
  readonly sizes: number | Readonly<Record<string, number>>;
  readonly start: ShareOptions["start"];
  /** Passes over the training images that move the centres; 0 leaves them where k-means put them. */
  readonly epochs: number;
  readonly rate: number;
}

/** One codebook per `<layer>.weight` and one for all biases, their centres trained with the assignment held. */
export async function shareAndTune(weights: Weights, options: ShareAndTuneOptions): Promise<Section[]> {
  const { runtime, network, training, sizes, start, epochs, rate, seed } = options;
  const groups = groupsOf(weights).map(({ name, tensors }) => {
    const values = joined(tensors);
    const wanted = typeof sizes === "number" ? sizes : (sizes[name] ?? 16);
    const distinct = new Set(values.filter((value) => value !== 0)).size;
    return { name, tensors, book: share(values, { size: Math.min(wanted, distinct), start, seed }) };
  });
  if (epochs === 0) return groups.map(sectionOf);
  const shared = sharedTraining(groups.map(sharedGroup), weights.map(({ name }) => name));
  const result = await fit({
    runtime,
    network,
    data: { train: training },
    weights: shared.weights,
    masks: shared.masks,
    parametrisation: shared.parametrisation,
    epochs,
    schedule: { name: "cosine", rate },
    seed,
    ...optional("batchSize", options.batchSize),
    ...optional("signal", options.signal),
    ...reporting(options, "tune centres"),
  });
  return groups.map((group, i) => sectionOf({ ...group, book: { ...group.book, entries: result.trained[i]!.values } }));
}

export interface CompressOptions extends ChainOptions {
  /** Of each layer's weights, how many to keep. */
  readonly share: PerLayer;
  /** Each layer's weights share 2^bits values. */
  readonly bits: PerLayer;
  readonly rounds: number;
  readonly epochs: number;
  readonly rate: number;
}

/** From trained weights to the sections of a small file: prune and retrain, share values, tune those. */
export async function compressChain(weights: Weights, options: CompressOptions): Promise<Section[]> {
  const { network, share: shares, bits, epochs } = options;
  const rules = rulesOf("share", shares, network);
  const pruned = await pruneAndRetrain(weights, { ...options, rules, lastEpochs: 2 * epochs });
  const sizes = sizesOf(bits, network);
  return shareAndTune(pruned.weights, { ...options, sizes, start: "linear", rate: 0.3 * options.rate });
}

interface Group {
  readonly name: string;
  readonly tensors: Weights;
  readonly book: Codebook;
}

function groupsOf(weights: Weights): Omit<Group, "book">[] {
  const biases = weights.filter(({ name }) => !name.endsWith(".weight"));
  return [
    ...weights.filter(({ name }) => name.endsWith(".weight")).map((tensor) => ({ name: tensor.name, tensors: [tensor] })),
    ...(biases.length > 0 ? [{ name: "biases", tensors: biases }] : []),
  ];
}

function joined(tensors: Weights): Float32Array {
  const all = new Float32Array(tensors.reduce((sum, { values }) => sum + values.length, 0));
  let at = 0;
  for (const { values } of tensors) {
    all.set(values, at);
    at += values.length;
  }
  return all;
}

function sharedGroup({ name, tensors, book }: Group): SharedGroup {
  let at = 0;
  return {
    name,
    entries: book.entries,
    tensors: tensors.map(({ name: tensor, shape, values }) => {
      at += values.length;
      return { name: tensor, shape, indices: book.indices.subarray(at - values.length, at) };
    }),
  };
}

function sectionOf({ tensors, book }: Group): Section {
  // Trained entries may have met or changed places.
  return { tensors: tensors.map(({ name }) => name), coded: code(tidy(book)) };
}

function reporting({ onProgress }: ChainOptions, label: string): Partial<Pick<FitOptions, "onProgress">> {
  return onProgress === undefined ? {} : { onProgress: (progress: FitProgress) => onProgress(label, progress) };
}

function optional<Key extends string, Value>(key: Key, value: Value | undefined): { [K in Key]?: Value } {
  return (value === undefined ? {} : { [key]: value }) as { [K in Key]?: Value };
}
