import {
  applyMasks,
  clearDead,
  code,
  type Codebook,
  type Masks,
  prune,
  type PruneRule,
  pruneTogether,
  rescaleDropout,
  rulesAt,
  type Section,
  share,
  shareAt,
  type ShareOptions,
  tidy,
} from "../codecs/index.ts";
import type { Network, Runtime, Weights } from "../lib/index.ts";
import {
  type Dataset,
  fit,
  type FitProgress,
  type Loss,
  type SharedGroup,
  sharedTraining,
  type TrainingAugmentation,
} from "../models/index.ts";

/** What the lossy steps between training and packing have in common. */
export interface ChainOptions {
  readonly runtime: Runtime;
  readonly network: Network;
  readonly training: Dataset;
  readonly seed: number;
  readonly batchSize?: number;
  readonly augmentation?: TrainingAugmentation | undefined;
  readonly loss?: Loss | undefined;
  readonly signal?: AbortSignal;
  readonly onProgress?: (label: string, progress: FitProgress) => void;
}

/** Weights of which some are pruned, after so many rounds. */
export interface Pruned {
  readonly weights: Weights;
  readonly masks: Masks;
  readonly round: number;
}

export interface RetrainOptions extends ChainOptions {
  /** By the name of the tensor; those without a rule keep all they have. */
  readonly rules?: Readonly<Record<string, PruneRule>>;
  /** Or one share of the weights of all layers together. */
  readonly together?: number | undefined;
  /** What is pruned already. */
  readonly masks?: Masks | undefined;
  /** How many times weights are taken away and the others trained again. */
  readonly rounds: number;
  /** Passes over the training images in each round; the last round has `lastEpochs`, if that is given. */
  readonly epochs: number;
  readonly lastEpochs?: number;
  /** The highest learning rate of each round. */
  readonly rate: number;
  /** Where an earlier run of the same got to; `weights` and `masks` are what that one began with. */
  readonly from?: Pruned | undefined;
  /** Called after each round. */
  readonly onRound?: ((pruned: Pruned) => void | Promise<void>) | undefined;
}

/**
 * Prunes in rounds along a ramp (`rulesAt`), training what is left after each; what is gone stays gone. Deviations are
 * those before the first round. Dropout gets weaker as connections get fewer.
 */
export async function pruneAndRetrain(weights: Weights, options: RetrainOptions): Promise<Weights> {
  const { network, rules = {}, together, rounds, epochs, lastEpochs = epochs, from, onRound } = options;
  const whole = prune(weights, {});
  let { masks = whole } = options;
  const measured = { weights, masks };
  if (from !== undefined) ({ weights, masks } = from);
  for (let round = (from?.round ?? 0) + 1; round <= rounds; round++) {
    const way = round / rounds;
    masks =
      together === undefined
        ? prune(weights, rulesAt(rules, way), { masks, measured })
        : pruneTogether(weights, shareAt(together, way), { masks });
    const retrained = await fit({
      ...fitOptions(options, rounds === 1 ? "prune" : `prune ${round}/${rounds}`),
      network: rescaleDropout(network, whole, masks),
      weights: applyMasks(weights, masks),
      masks,
      epochs: round === rounds ? lastEpochs : epochs,
      // Each round sees the images in another order.
      seed: options.seed + round,
    });
    weights = retrained.weights;
    await onRound?.({ weights, masks, round });
  }
  return weights;
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

export interface CompressOptions extends Omit<RetrainOptions, "lastEpochs"> {
  readonly sizes: ShareAndTuneOptions["sizes"];
  /** Passes that move the centres. */
  readonly tuning: number;
}

/**
 * From trained weights to the sections of a small file: prune and retrain (twice as long in the last round), clear
 * units that this leaves dead, share values, tune those.
 */
export async function compressChain(weights: Weights, options: CompressOptions): Promise<Section[]> {
  const { epochs, tuning, rate } = options;
  const pruned = await pruneAndRetrain(weights, { ...options, lastEpochs: 2 * epochs });
  const { weights: cleared } = clearDead(options.network, pruned);
  return shareAndTune(cleared, { ...options, start: "linear", epochs: tuning, rate: tuningRate * rate });
}

/** Of the rate of retraining: a centre moves all its members, and has come near to its place by then. */
export const tuningRate = 0.3;

function fitOptions(options: ChainOptions & { readonly rate: number }, label: string) {
  const { runtime, network, training, batchSize, augmentation, loss, signal, onProgress, rate } = options;
  return {
    runtime,
    network,
    data: { train: training },
    batchSize,
    augmentation,
    loss,
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

/** The tensors that have a codebook in common: each matrix alone, and all biases together. */
export function groupsOf(weights: Weights): { readonly name: string; readonly tensors: Weights }[] {
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
