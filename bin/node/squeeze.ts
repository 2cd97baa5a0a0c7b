import {
  codedBytes,
  type LevelWeights,
  type Metadata,
  type ModelFile,
  pack,
  Squeeze,
  type SqueezeProgress,
  type SqueezeState,
  toWeights,
} from "../../codecs/index.ts";
import { type Network, parametersOf, sizeOf, type Weights } from "../../lib/index.ts";
import {
  checkIdentity,
  type Dataset,
  digest,
  digestOfData,
  type DropoutShares,
  type Evaluation,
  evaluate,
  fit,
  hardLabels,
  initialise,
  type Json,
  narrow,
  pace,
  readCheckpoint,
  withDropout,
  writeCheckpoint,
} from "../../models/index.ts";
import { lossOnPictures } from "./pictures.ts";
import { refineOnImages } from "./refine.ts";
import type { SizedRunOptions } from "./sizedRun.ts";

/** How a network becomes a file of levels. What is left out comes from `squeezeRecipe`. */
export interface SqueezeRecipe {
  /** Units of each layer but the last that are trained at all. Not given: all of them. */
  readonly live?: readonly number[] | undefined;
  /** Steps of training as usual, and with levels and a price on their bits. */
  readonly pretraining: number;
  readonly training: number;
  /** Images per step. */
  readonly batch: number;
  /** Highest learning rate of pretraining, and of the latents, in levels. */
  readonly pretrainingRate: number;
  readonly rate: number;
  /** Distance of levels, in root mean squares of each tensor's weights. */
  readonly step: number;
  /** Copies of each image to train on as well, and the share of pictures that are originals. */
  readonly copies: number;
  readonly original: number;
  /** Shares of the inputs of layers that training drops. */
  readonly dropout: DropoutShares;
  /** Rounds of refinement once training is over, judged by all training images as they are. */
  readonly refine: number;
}

/** The file comes within 2 % of `bytes`. */
export interface SqueezeRunOptions extends SizedRunOptions, Partial<SqueezeRecipe> {
  readonly onProgress?: (progress: SqueezeRunProgress) => void;
}

export interface SqueezeRunProgress {
  readonly phase: "pretrain" | "squeeze" | "refine";
  /** Steps of training and trials of refinement that are done, and how many there may be. */
  readonly done: number;
  readonly total: number;
  readonly loss: number;
  /** Bytes of the file as it would be now, in training estimated; null in pretraining. */
  readonly bytes: number | null;
}

export interface SqueezeResult {
  readonly bytes: Uint8Array;
  readonly file: ModelFile;
  /** The network's weights, decoded from the file. */
  readonly weights: Weights;
  /** Of the decoded file on the validation images, if there are any. */
  readonly validation: Evaluation | null;
}

const everyNetwork: Omit<SqueezeRecipe, "live"> = {
  pretraining: 5000,
  training: 40000,
  batch: 64,
  pretrainingRate: 2e-3,
  rate: 0.016,
  step: 1,
  copies: 0,
  original: 0.6,
  dropout: {},
  refine: 0,
};

/** What worked for a network; `docs/squeeze.md` has the figures. */
export function squeezeRecipe({ name }: Network): SqueezeRecipe {
  if (name === "lenet5") return { ...everyNetwork, live: [6, 12, 20] };
  if (name === "lenet300") return { ...everyNetwork, live: [100, 50], batch: 96, rate: 0.012, pretraining: 8000 };
  return everyNetwork;
}

/**
 * A file of about `bytes` bytes that holds a network trained on `data` under the length of its own code. The same
 * options and data give the same bytes, whatever the threads, and however often it was stopped and resumed.
 *
 * RangeError for options that do not go together and budgets that cannot hold the head of a file, before any training;
 * for a checkpoint of another run too.
 */
export async function squeeze(
  network: Network,
  data: { readonly training: Dataset; readonly validation?: Dataset },
  options: SqueezeRunOptions,
): Promise<SqueezeResult> {
  const { runtime, metadata, loss = hardLabels, signal, onProgress, checkpoint } = options;
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const recipe = { seed: 1, ...squeezeRecipe(network), ...given } as SqueezeRecipe & { readonly seed: number };
  const { live, batch, seed, copies, original, pretraining, training, pretrainingRate, rate, step } = recipe;
  const { dropout, refine: rounds } = recipe;
  if (!(Number.isSafeInteger(rounds) && rounds >= 0)) {
    throw new RangeError(`squeeze: rounds of refinement must be a whole number from 0 up, got ${rounds}`);
  }
  const own = live === undefined ? network : narrow(network, live);
  const head = squeezeHead(network, { live, metadata, bytes: options.bytes });
  const bits = 8 * (options.bytes - head);
  const augmentation = copies === 0 ? undefined : { seed, ...options.augment, copies, original };
  /** Everything that decides how training goes. Refinement comes after it, and begins anew when it was stopped. */
  const identity = (): Record<string, Json> => ({
    network: { ...network } as unknown as Json,
    data: digestOfData(data.training),
    device: runtime.device,
    loss: loss.name,
    start: options.weights === undefined ? null : digest(options.weights),
    augmentation: (options.augment ?? null) as Json,
    live: live ?? null,
    ...{ bytes: options.bytes, seed, batch, copies, original, pretraining, training, pretrainingRate, rate, step },
    // What is not asked for is not named, as in the checkpoints of versions that did not know it.
    ...(Object.keys(dropout).length > 0 && { dropout }),
  });
  const found = options.resume === undefined ? undefined : readCheckpoint(options.resume);
  const pretrained = found?.kind === kind;
  const trained = (options.weights === undefined ? pretraining : 0) + training;
  const total = trained + rounds * trials;

  let start = pretrained ? initialise(own, seed) : options.weights;
  start ??= (
    await fit({
      ...{ runtime, network: withDropout(own, dropout), data: { train: data.training } },
      ...{ steps: pretraining, batchSize: batch, seed, loss },
      schedule: { name: "cosine", rate: pretrainingRate },
      ...(augmentation && { augmentation }),
      ...(signal && { signal }),
      ...(checkpoint && { checkpoint: { save: checkpoint.save } }),
      ...(options.resume && { resume: options.resume }),
      onProgress: (at) => onProgress?.({ phase: "pretrain", done: at.step, total, loss: at.loss, bytes: null }),
    })
  ).weights;

  const lossOf = lossOnPictures({
    ...{ runtime, network: own, training: data.training, batch, seed, copies, original, dropout, loss },
    augment: options.augment,
  });
  const rest = pace();
  let saved = performance.now();
  const run = new Squeeze({
    ...{ runtime, start, live, bits, steps: training, rate, step },
    shapes: parametersOf(network).map(({ shape }) => shape),
    // Pictures of pretraining come again in another order.
    loss: (parameters, number) => lossOf(parameters, { step: pretraining + number }),
    onProgress: async (progress: SqueezeProgress) => {
      await rest.rest();
      const bytes = Math.ceil(progress.bits / 8) + head;
      onProgress?.({ phase: "squeeze", done: trained - training + progress.step, total, loss: progress.loss, bytes });
      if (performance.now() - saved >= 1000 * (checkpoint?.every ?? 60)) await save();
      signal?.throwIfAborted();
    },
  });
  const save = async (): Promise<void> => {
    if (checkpoint === undefined) return;
    const { progress, arrays } = await run.save();
    await checkpoint.save(writeCheckpoint({ kind, identity: identity(), progress: { ...progress }, arrays }));
    saved = performance.now();
  };
  if (pretrained) {
    checkIdentity(found, kind, identity());
    run.restore({ arrays: found.arrays, progress: found.progress as unknown as SqueezeState["progress"] });
  }
  let coded: LevelWeights;
  try {
    await run.train();
    coded = await run.coded();
    if (rounds > 0) {
      await save();
      coded = await refineOnImages(coded, {
        ...{ runtime, network, live, data: data.training, price: run.price, most: bits, rounds, trials, signal },
        onProgress: ({ round, trial, loss, bits }) => {
          const done = trained + round * trials + trial + 1;
          onProgress?.({ phase: "refine", done, total, loss, bytes: Math.ceil(bits / 8) + head });
        },
      });
    }
  } catch (error) {
    if (signal?.aborted === true && error === signal.reason) await save();
    throw error;
  }
  const file = fileOf(network, coded, metadata);
  const weights = toWeights(file);
  const { validation: held } = data;
  const validation = held === undefined ? null : await evaluate({ runtime, network, weights, data: held });
  return { bytes: pack(file), file, weights, validation };
}

const kind = "squeeze";

/** Of a round of refinement. */
const trials = 60;

function fileOf(network: Network, coded: LevelWeights, metadata: Metadata | undefined): ModelFile {
  return { network, metadata, sections: [{ tensors: parametersOf(network).map(({ name }) => name), coded }] };
}

/**
 * Bytes of such a file beside its levels. RangeError for live counts that the network does not have and for a budget
 * that holds no levels: before there are images.
 */
export function squeezeHead(
  network: Network,
  { bytes, live, metadata }: Pick<SqueezeRunOptions, "bytes" | "live" | "metadata">,
): number {
  if (live !== undefined) narrow(network, live);
  const shapes = parametersOf(network).map(({ shape }) => shape);
  const levels = shapes.map((shape) => new Int32Array(sizeOf(shape)));
  const coded: LevelWeights = { method: "levels", scales: new Uint8Array(shapes.length), levels };
  const { length } = pack(fileOf(network, coded, metadata));
  if (bytes > length) return length - codedBytes(shapes, levels);
  throw new RangeError(`squeeze: a file of ${network.name} needs ${length + 1} bytes, got a budget of ${bytes}`);
}
