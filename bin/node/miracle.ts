import {
  blocksFor,
  type Choice,
  type Group,
  type Metadata,
  Miracle,
  type MiracleProgress,
  type MiracleState,
  type ModelFile,
  pack,
  type Rates,
  toWeights,
} from "../../codecs/index.ts";
import {
  cosineRate,
  type NamedArray,
  type Network,
  parametersOf,
  type Runtime,
  type Weights,
} from "../../lib/index.ts";
import {
  type AugmentOptions,
  checkIdentity,
  type Dataset,
  digest,
  digestOfData,
  type Evaluation,
  evaluate,
  hardLabels,
  initialise,
  type Json,
  type Loss,
  narrow,
  pace,
  readCheckpoint,
  writeCheckpoint,
} from "../../models/index.ts";
import { lossOnPictures } from "./pictures.ts";

/** How a network becomes a file by MIRACLE. What is left out comes from `miracleRecipe`. */
export interface MiracleRecipe {
  /** Units of each layer but the last that are trained at all. Not given: all of them. */
  readonly live?: readonly number[] | undefined;
  /** Weights per trained scalar, by tensor. Not given: one. */
  readonly groups?: readonly Group[] | undefined;
  /** Bits per block, 4 to 20. */
  readonly bits: number;
  /** Steps of training without noise, with noise and budget, and after each block. */
  readonly pretraining: number;
  readonly training: number;
  readonly refit: number;
  /** Images per step, and draws of the weights that share them. */
  readonly batch: number;
  readonly samples: number;
  /** Highest learning rate of the means, in training and in refitting. */
  readonly rate: number;
  readonly refitRate: number;
  /** How many times faster deviations learn than means. */
  readonly deviationRate: number;
  /** Deviation of each scalar when noise begins. */
  readonly deviation: number;
  /** Share of the training steps in which all blocks have one price. */
  readonly shared: number;
  /** Copies of each image to train on as well, and the share of pictures that are originals. */
  readonly copies: number;
  readonly original: number;
  readonly choice: Choice;
}

export interface MiracleRunOptions extends Partial<MiracleRecipe> {
  readonly runtime: Runtime;
  /** Of the whole file. */
  readonly bytes: number;
  /** Below 128 it takes one byte of the file. Default: 1. */
  readonly seed?: number;
  /** Weights to start from, in place of pretraining: those of the live units. */
  readonly weights?: Weights;
  /** What training minimises beside the budget. Default: `hardLabels`. */
  readonly loss?: Loss;
  /** What the copies are like. */
  readonly augment?: Omit<AugmentOptions, "copies">;
  readonly metadata?: Metadata;
  readonly onProgress?: (progress: MiracleRunProgress) => void;
  /** Aborting saves a checkpoint and throws the signal's reason. */
  readonly signal?: AbortSignal;
  readonly checkpoint?: {
    /** Seconds between checkpoints; 0 means as often as progress is reported. Default: 60. */
    readonly every?: number | undefined;
    readonly save: (bytes: Uint8Array) => void | Promise<void>;
  };
  /** A checkpoint to go on from, of the same network, data and options. */
  readonly resume?: Uint8Array;
}

export interface MiracleRunProgress extends MiracleProgress {
  /** Of the file in the end. */
  readonly bytes: number;
  /** The latest measurement, of the means as they stood then. */
  readonly validation: Evaluation | null;
  /** Steps done of all phases together, and how many there are. */
  readonly done: number;
  readonly total: number;
}

export interface MiracleResult {
  readonly bytes: Uint8Array;
  readonly file: ModelFile;
  /** The network's weights, decoded from the file. */
  readonly weights: Weights;
  /** Of the decoded file on the validation images, if there are any. */
  readonly validation: Evaluation | null;
}

const everyNetwork: Omit<MiracleRecipe, "live" | "groups"> = {
  bits: 18,
  pretraining: 8000,
  training: 20000,
  refit: 60,
  batch: 128,
  samples: 8,
  rate: 2e-3,
  refitRate: 1e-3,
  deviationRate: 5,
  deviation: 0.01,
  shared: 0.5,
  copies: 0,
  original: 0.35,
  choice: { by: "maximum" },
};

/** What worked for a network and a size; `docs/miracle.md` has the figures. */
export function miracleRecipe({ name }: Network, bytes: number): MiracleRecipe {
  if (name !== "lenet5") return everyNetwork;
  const live = bytes < 900 ? [5, 10, 16] : bytes < 1400 ? [6, 12, 16] : [10, 20, 32];
  return { ...everyNetwork, live };
}

/**
 * A file of at most `bytes` bytes that holds a network trained on `data`, by minimal random code learning: pretraining,
 * training with noise under the budget, and coding block after block with retraining between them. The same options
 * and data give the same bytes, whatever the threads, and however often it was stopped and resumed.
 *
 * RangeError for options that do not go together and budgets that cannot hold the head of a file, before any training;
 * DataError for a checkpoint of another run.
 */
export async function miracle(
  network: Network,
  data: { readonly training: Dataset; readonly validation?: Dataset },
  options: MiracleRunOptions,
): Promise<MiracleResult> {
  const run = new Run(network, data, options);
  try {
    return await run.finish();
  } catch (error) {
    if (options.signal?.aborted === true && error === options.signal.reason) await run.save();
    throw error;
  }
}

/**
 * How many blocks the file of such a run has. RangeError, as `miracle` throws it, for options that do not go together
 * and budgets that are too small: before there are images.
 */
export function miracleBlocks(network: Network, options: Omit<MiracleRunOptions, "runtime">): number {
  const filled = settled(network, options);
  if (filled.live !== undefined) narrow(network, filled.live);
  return blocksFor({ network, ...filled });
}

/** The options with what is left out. */
function settled<Options extends Omit<MiracleRunOptions, "runtime">>(
  network: Network,
  given: Options,
): Options & MiracleRecipe & { readonly seed: number } {
  const filled = { seed: 1, ...miracleRecipe(network, given.bytes), ...defined(given) };
  // Weights to start from stand for all of pretraining.
  const pretraining = given.weights === undefined ? filled.pretraining : 0;
  // A file says which units live only where some do not.
  const live = filled.live !== undefined && isWhole(network, filled.live) ? undefined : filled.live;
  return { ...filled, live, pretraining };
}

function isWhole({ layers }: Network, live: readonly number[]): boolean {
  const units = layers.flatMap((layer) =>
    layer.type === "convolution" ? [layer.filters] : layer.type === "dense" ? [layer.units] : [],
  );
  return live.length === units.length - 1 && live.every((count, i) => count === units[i]);
}

interface Images {
  readonly training: Dataset;
  readonly validation?: Dataset;
}

const kind = "miracle";

/** One run under way. */
class Run {
  readonly #options: MiracleRunOptions & MiracleRecipe & { readonly seed: number };
  readonly #network: Network;
  readonly #narrow: Network;
  readonly #data: Images;
  readonly #miracle: Miracle;
  readonly #blocks: number;
  readonly #pace = pace();
  #validation: Evaluation | null = null;
  #measured = 0;
  #saved = performance.now();

  constructor(network: Network, data: Images, given: MiracleRunOptions) {
    const options = settled(network, given);
    const { runtime, live, groups, bits, seed, weights, samples, deviation, choice } = options;
    const { batch, copies, original, augment, loss = hardLabels } = options;
    this.#options = options;
    this.#network = network;
    this.#narrow = live === undefined ? network : narrow(network, live);
    this.#data = data;
    this.#blocks = blocksFor({ network, ...options });
    this.#miracle = new Miracle({
      runtime,
      shapes: parametersOf(network).map(({ shape }) => shape),
      start: weights ?? initialise(this.#narrow, seed),
      live,
      groups,
      loss: lossOnPictures({
        ...{ runtime, network: this.#narrow, training: data.training, batch, samples, seed, copies, original },
        ...{ augment, loss },
      }),
      bits,
      blocks: this.#blocks,
      seed,
      samples,
      deviation,
      choice,
      onProgress: (progress) => this.#progress(progress),
    });
    if (options.resume !== undefined) this.#resume(options.resume);
  }

  async finish(): Promise<MiracleResult> {
    // A device whose numbers no checkpoint can hold says so now, not after a minute.
    if (this.#options.checkpoint !== undefined) await this.#miracle.save();
    const { runtime, pretraining, training, refit, rate, refitRate, deviationRate, shared, metadata } = this.#options;
    const [network, miracle] = [this.#network, this.#miracle];
    if (pretraining > 0) {
      await miracle.pretrain({ steps: pretraining, rate: cosineRate(rate, { steps: pretraining, end: rate / 20 }) });
    }
    const ratesAt = (mean: number): Rates => ({ mean, deviation: deviationRate * mean, scale: mean / 2 });
    const cosine = cosineRate(rate, { steps: Math.max(1, training), end: rate / 4 });
    await miracle.train({
      steps: training,
      shared: Math.floor(shared * training),
      roundScales: Math.floor(0.85 * training),
      rates: (step) => ratesAt(cosine(step)),
    });
    const coded = await miracle.compress({ refit, rates: (share) => ratesAt(refitRate * (1 - 0.9 * share)) });
    const file: ModelFile = {
      network,
      metadata,
      sections: [{ tensors: parametersOf(network).map(({ name }) => name), coded }],
    };
    const decoded = toWeights(file);
    const { validation: data } = this.#data;
    const validation = data === undefined ? null : await evaluate({ runtime, network, weights: decoded, data });
    return { bytes: pack(file), file, weights: decoded, validation };
  }

  /** Saves a checkpoint, if there is somewhere to save it. */
  async save(): Promise<void> {
    const { checkpoint } = this.#options;
    if (checkpoint === undefined) return;
    const { progress, arrays } = await this.#miracle.save();
    await checkpoint.save(writeCheckpoint({ kind, identity: this.#identity(), progress: { ...progress }, arrays }));
    this.#saved = performance.now();
  }

  #resume(bytes: Uint8Array): void {
    const found = readCheckpoint(bytes);
    checkIdentity(found, kind, this.#identity());
    const { arrays, progress } = found;
    this.#miracle.restore({ arrays, progress: progress as unknown as MiracleState["progress"] });
  }

  /** Everything that decides the outcome. */
  #identity(): Record<string, Json> {
    const { runtime, loss = hardLabels, weights, choice, live, groups, ...numbers } = this.#options;
    const { bytes, seed, bits, pretraining, training, refit, batch, samples, rate, refitRate, deviationRate } = numbers;
    const { deviation, shared, copies, original, augment: augmentation } = numbers;
    return {
      network: { ...this.#network } as unknown as Json,
      data: digestOfData(this.#data.training),
      device: runtime.device,
      start: weights === undefined ? null : digest(weights),
      loss: loss.name,
      blocks: this.#blocks,
      choice: { ...choice } as unknown as Json,
      live: live ?? null,
      groups: (groups ?? null) as Json,
      augmentation: (augmentation ?? null) as Json,
      ...{ bytes, seed, bits, pretraining, training, refit, batch, samples, rate, refitRate, deviationRate },
      ...{ deviation, shared, copies, original },
    };
  }

  async #progress(progress: MiracleProgress): Promise<void> {
    const { signal, onProgress, checkpoint, pretraining, training, refit, bytes } = this.#options;
    await this.#pace.rest();
    // After the last block there is nothing to refit.
    const refitted = refit * Math.max(0, progress.coded - 1);
    const before = { pretrain: 0, train: pretraining, compress: pretraining + training + refitted };
    const done = before[progress.phase] + progress.step;
    const total = pretraining + training + refit * (this.#blocks - 1);
    if (done - this.#measured >= measuring) {
      this.#measured = done;
      this.#validation = await this.#measure();
    }
    onProgress?.({ ...progress, bytes, validation: this.#validation, done, total });
    if (performance.now() - this.#saved >= 1000 * (checkpoint?.every ?? 60)) await this.save();
    signal?.throwIfAborted();
  }

  async #measure(): Promise<Evaluation | null> {
    const { runtime } = this.#options;
    const { validation: data } = this.#data;
    if (data === undefined) return null;
    const network = this.#narrow;
    const tensors = runtime.step(() => this.#miracle.parameters());
    const weights: NamedArray[] = [];
    for (const [i, { name, shape }] of parametersOf(network).entries()) {
      weights.push({ name, shape, values: Float32Array.from(await tensors[i]!.read()) });
    }
    return evaluate({ runtime, network, weights, data });
  }
}

/** Without the options that are there but not set, so that defaults hold. */
function defined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

/** Steps between measurements on the validation images. */
const measuring = 1000;
