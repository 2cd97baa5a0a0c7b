import {
  applyMasks,
  code,
  type Codebook,
  masksOf,
  prune,
  type PruneRule,
  type Section,
  share,
  type ShareOptions,
  tidy,
} from "../codecs/index.ts";
import type { Network, Runtime, Weights } from "../lib/index.ts";
import { type Dataset, fit, type FitProgress, type SharedGroup, sharedTraining } from "../models/index.ts";

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
  /** By the name of the tensor; those without a rule keep all they have. */
  readonly rules: Readonly<Record<string, PruneRule>>;
  /** How many times weights are taken away and the others trained again. */
  readonly rounds: number;
  /** Passes over the training images in each round; the last round has `lastEpochs`, if that is given. */
  readonly epochs: number;
  readonly lastEpochs?: number;
  /** The highest learning rate of each round. */
  readonly rate: number;
}

/**
 * Prunes in rounds, training what is left after each. Shares go down along a cubic ramp, steep first (Zhu & Gupta 2017,
 * arXiv 1710.01878); what is gone stays gone.
 */
export async function pruneAndRetrain(weights: Weights, options: RetrainOptions): Promise<Weights> {
  const { rules, rounds, epochs, lastEpochs = epochs } = options;
  let masks = masksOf(weights.map((tensor) => ({ ...tensor, values: tensor.values.map(() => 1) })));
  for (let round = 1; round <= rounds; round++) {
    masks = prune(weights, rulesAt(rules, round / rounds), { masks });
    const retrained = await fit({
      ...fitOptions(options, rounds === 1 ? "prune" : `prune ${round}/${rounds}`),
      weights: applyMasks(weights, masks),
      masks,
      epochs: round === rounds ? lastEpochs : epochs,
      // Each round sees the images in another order.
      seed: options.seed + round,
    });
    weights = retrained.weights;
  }
  return weights;
}

/** The rules at `way` from 0 (nothing is pruned) to 1: only shares change on the way. */
function rulesAt(rules: RetrainOptions["rules"], way: number): RetrainOptions["rules"] {
  const ruleAt = (rule: PruneRule): PruneRule =>
    "share" in rule ? { share: rule.share + (1 - rule.share) * cube(1 - way) } : rule;
  return Object.fromEntries(Object.entries(rules).map(([name, rule]) => [name, ruleAt(rule)]));
}

function cube(x: number): number {
  return x * x * x;
}

export interface ShareAndTuneOptions extends ChainOptions {
  /** Centres of each codebook, zero not counted, by the name of the tensor, and `biases` for the one of all biases. */
  readonly sizes: Readonly<Record<string, number>>;
  readonly start: NonNullable<ShareOptions["start"]>;
  /** Passes over the training images that move the centres; 0 leaves them where k-means put them. */
  readonly epochs: number;
  /** The highest learning rate of the centres. */
  readonly rate: number;
}

/** One codebook per `<layer>.weight` and one for all biases, their centres trained with the assignment held. */
export async function shareAndTune(weights: Weights, options: ShareAndTuneOptions): Promise<Section[]> {
  const { sizes, start, epochs, seed } = options;
  const groups = groupsOf(weights).map(({ name, tensors }) => {
    const values = joined(tensors);
    const distinct = new Set(values.filter((value) => value !== 0)).size;
    const size = Math.max(1, Math.min(sizes[name]!, distinct));
    return { name, tensors, book: share(values, { size, start, seed }) };
  });
  if (epochs === 0) return groups.map(sectionOf);
  const names = weights.map(({ name }) => name);
  const { trained } = await fit({
    ...fitOptions(options, "tune centres"),
    ...sharedTraining(groups.map(sharedGroup), names),
    epochs,
    seed,
  });
  return groups.map((group, i) => sectionOf({ ...group, book: { ...group.book, entries: trained[i]!.values } }));
}

export interface CompressOptions extends ChainOptions {
  readonly rules: RetrainOptions["rules"];
  readonly sizes: ShareAndTuneOptions["sizes"];
  /** Rounds of pruning, and passes over the training images in each; twice as many in the last one. */
  readonly rounds: number;
  readonly epochs: number;
  /** Passes that move the centres. */
  readonly tuning: number;
  readonly rate: number;
}

/** From trained weights to the sections of a small file: prune and retrain, share values, tune those. */
export async function compressChain(weights: Weights, options: CompressOptions): Promise<Section[]> {
  const { epochs, tuning, rate } = options;
  const pruned = await pruneAndRetrain(weights, { ...options, lastEpochs: 2 * epochs });
  return shareAndTune(pruned, { ...options, start: "linear", epochs: tuning, rate: 0.3 * rate });
}

function fitOptions(options: ChainOptions & { readonly rate: number }, label: string) {
  const { runtime, network, training, batchSize, signal, onProgress, rate } = options;
  return {
    runtime,
    network,
    data: { train: training },
    batchSize,
    signal,
    schedule: { name: "cosine", rate } as const,
    onProgress: (progress: FitProgress) => onProgress?.(label, progress),
  };
}

interface Group {
  readonly name: string;
  readonly tensors: Weights;
  readonly book: Codebook;
}

function groupsOf(weights: Weights): Omit<Group, "book">[] {
  const isMatrix = ({ name }: Weights[number]): boolean => name.endsWith(".weight");
  const biases = weights.filter((tensor) => !isMatrix(tensor));
  return [
    ...weights.filter(isMatrix).map((tensor) => ({ name: tensor.name, tensors: [tensor] })),
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
