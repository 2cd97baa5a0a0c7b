import {
  blocksFor,
  Miracle,
  type MiracleProgress,
  type MiracleState,
  type ModelFile,
  pack,
  type Rates,
  toWeights,
} from "../../codecs/index.ts";
import { cosineRate, type NamedArray, type Network, parametersOf, type Tensor, type Weights } from "../../lib/index.ts";
import {
  type Checkpoint,
  checkIdentity,
  type Dataset,
  digest,
  digestOfData,
  type Evaluation,
  evaluate,
  hardLabels,
  initialise,
  type Json,
  narrow,
  pace,
  readCheckpoint,
  writeCheckpoint,
} from "../../models/index.ts";
import { miracleBlocks, type MiracleRunOptions, plainLive, type Settled, settled } from "./miracleRecipe.ts";
import { learnUnits, unitsKind } from "./miracleUnits.ts";
import { type LossOnPictures, lossOnPictures } from "./pictures.ts";

export { type MiracleRecipe, miracleRecipe, type MiracleRunOptions } from "./miracleRecipe.ts";

export interface MiracleRunProgress extends Omit<MiracleProgress, "phase"> {
  readonly phase: MiracleProgress["phase"] | "units";
  /** Units of each layer but the last, where they are not all of the network's. */
  readonly live: readonly number[] | undefined;
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

/**
 * A file of at most `bytes` bytes that holds a network trained on `data`, by minimal random code learning: pretraining,
 * training with noise under the budget, and coding block after block with retraining between them. The same options
 * and data give the same bytes, whatever the threads, and however often it was stopped and resumed.
 *
 * RangeError for options that do not go together and budgets that cannot hold the head of a file, before any training;
 * DataError for a checkpoint of another run.
 */
export async function miracle(network: Network, data: Images, given: MiracleRunOptions): Promise<MiracleResult> {
  miracleBlocks(network, given);
  const options = settled(network, given);
  if (options.patience !== undefined && data.validation === undefined) {
    throw new RangeError("miracle: patience looks at validation images, and there are none");
  }
  const { runtime, batch, samples, seed, copies, original, augment, dropout, loss = hardLabels } = options;
  const task: Task = {
    ...{ network, data, options },
    pictures: lossOnPictures({
      ...{ runtime, network, training: data.training, batch, samples, seed, copies, original, augment, dropout, loss },
    }),
    identity: identityOf(network, data, options),
    found: options.resume === undefined ? undefined : readCheckpoint(options.resume),
  };
  const run = new Run(task, await beginningOf(task));
  try {
    return await run.finish();
  } catch (error) {
    if (options.signal?.aborted === true && error === options.signal.reason) await run.save();
    throw error;
  }
}

interface Images {
  readonly training: Dataset;
  readonly validation?: Dataset;
}

interface Task {
  readonly network: Network;
  readonly data: Images;
  readonly options: Settled<MiracleRunOptions>;
  readonly pictures: LossOnPictures;
  /** Everything that decides the outcome. */
  readonly identity: Readonly<Record<string, Json>>;
  readonly found: Checkpoint | undefined;
}

/** Which units MIRACLE trains, and their weights when it begins. */
interface Beginning {
  readonly live: readonly number[] | undefined;
  readonly start: Weights;
}

const kind = "miracle";

async function beginningOf(task: Task): Promise<Beginning> {
  const { network, options, found } = task;
  const { live, weights, seed, bytes, bits, searching, onProgress } = options;
  const beginning = (live: readonly number[] | undefined, start: Weights | undefined): Beginning => {
    return { live, start: start ?? initialise(live === undefined ? network : narrow(network, live), seed) };
  };
  if (live !== "auto") return beginning(live, weights);
  if (found?.kind === kind) {
    checkIdentity(found, kind, task.identity);
    // The rest of the checkpoint holds what has become of the weights.
    return beginning((found.progress.live as readonly number[] | null) ?? undefined, undefined);
  }
  const blocks = Math.floor((8 * bytes) / bits);
  const total = searching + stepsOf(options, blocks);
  const units = await learnUnits(network, {
    ...task,
    onProgress: (progress) => {
      const nothing = { coded: 0, blocks, divergence: NaN, validation: null };
      onProgress?.({ phase: "units", ...progress, ...nothing, bytes, done: progress.step, total });
    },
  });
  return beginning(plainLive(network, units.live), units.weights);
}

/** Steps of a run with so many blocks: after the last one there is nothing to refit. */
function stepsOf({ pretraining, training, refit }: Settled<MiracleRunOptions>, blocks: number): number {
  return pretraining + training + refit * (blocks - 1);
}

function identityOf(network: Network, data: Images, options: Settled<MiracleRunOptions>): Record<string, Json> {
  const { runtime, loss = hardLabels, weights, choice, live, groups, prices, ...rest } = options;
  const { bytes, seed, bits, pretraining, training, refit, batch, samples, rate, refitRate, deviationRate } = rest;
  const { deviation, shared, copies, original, augment: augmentation, searching, bitsPerWeight } = rest;
  const { free, equal, patience, dropout } = rest;
  return {
    network: { ...network } as unknown as Json,
    data: digestOfData(data.training),
    device: runtime.device,
    start: weights === undefined ? null : digest(weights),
    loss: loss.name,
    blocks: live === "auto" ? null : blocksFor({ network, ...options, live }),
    choice: { ...choice } as unknown as Json,
    live: (live ?? null) as Json,
    groups: (groups ?? null) as Json,
    augmentation: (augmentation ?? null) as Json,
    ...{ bytes, seed, bits, pretraining, training, refit, batch, samples, rate, refitRate, deviationRate },
    ...{ deviation, shared, copies, original },
    // What is not asked for is not named, as in the checkpoints of versions that did not know it.
    ...(Object.keys(dropout).length > 0 && { dropout }),
    ...(live === "auto" && { searching, bitsPerWeight }),
    ...(free !== undefined && { free }),
    ...(equal !== undefined && { equal }),
    ...(prices !== undefined && { prices: { ...prices } as unknown as Json }),
    ...(patience !== undefined && { patience, validation: digestOfData(data.validation!) }),
  };
}

type Best = Readonly<Record<"accuracy" | "step", number>>;

/** MIRACLE under way. */
class Run {
  readonly #task: Task;
  readonly #live: readonly number[] | undefined;
  readonly #narrow: Network;
  readonly #miracle: Miracle;
  readonly #pace = pace();
  #validation: Evaluation | null = null;
  #measured = 0;
  /** The best accuracy since the budget is met, and the step of training that had it. */
  #best: Best | null = null;
  #saved = performance.now();

  constructor(task: Task, { live, start }: Beginning) {
    const { network, data, options, pictures, identity, found } = task;
    const { runtime, groups, bits, seed, samples, deviation, free, prices, equal, choice } = options;
    this.#task = task;
    this.#live = live;
    this.#narrow = live === undefined ? network : narrow(network, live);
    this.#miracle = new Miracle({
      runtime,
      shapes: parametersOf(network).map(({ shape }) => shape),
      ...{ start, live, groups, bits, seed, samples, deviation, free, prices, equal },
      distinct: true,
      loss: (parameters, draw) => pictures(parameters, { ...draw, network: this.#narrow }),
      blocks: blocksFor({ network, ...options, live }),
      choice: choice.by === "loss" ? { ...choice, judge: this.#judge(data.training, choice.images) } : choice,
      onProgress: (progress) => this.#progress(progress),
    });
    // What was found of the search for units is used up.
    if (found === undefined || (options.live === "auto" && found.kind === unitsKind)) return;
    checkIdentity(found, kind, identity);
    const { arrays, progress } = found;
    this.#miracle.restore({ arrays, progress: progress as unknown as MiracleState["progress"] });
    this.#best = (progress.best ?? null) as Best | null;
  }

  async finish(): Promise<MiracleResult> {
    const { network, data: { validation: data }, options } = this.#task;
    const { runtime, pretraining, training, refit, rate, refitRate, deviationRate, shared, metadata } = options;
    const miracle = this.#miracle;
    // A device whose numbers no checkpoint can hold says so now, not after a minute.
    if (options.checkpoint !== undefined) await miracle.save();
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
      until: (look) => this.#converged(look),
    });
    const coded = await miracle.compress({ refit, rates: (share) => ratesAt(refitRate * (1 - 0.9 * share)) });
    const file: ModelFile = {
      network,
      metadata,
      sections: [{ tensors: parametersOf(network).map(({ name }) => name), coded }],
    };
    const decoded = toWeights(file);
    const validation = data === undefined ? null : await evaluate({ runtime, network, weights: decoded, data });
    return { bytes: pack(file), file, weights: decoded, validation };
  }

  /** Saves a checkpoint, if there is somewhere to save it. */
  async save(): Promise<void> {
    const { options, identity } = this.#task;
    if (options.checkpoint === undefined) return;
    const { progress, arrays } = await this.#miracle.save();
    const learned = options.live === "auto" && { live: this.#live ?? null };
    const best = options.patience !== undefined && { best: this.#best };
    const all = { ...progress, ...learned, ...best };
    await options.checkpoint.save(writeCheckpoint({ kind, identity, progress: all, arrays }));
    this.#saved = performance.now();
  }

  async #progress(progress: MiracleProgress): Promise<void> {
    const { options } = this.#task;
    const { signal, onProgress, checkpoint, pretraining, training, refit, bytes, searching } = options;
    await this.#pace.rest();
    const { phase, step, coded, blocks } = progress;
    const learning = options.live === "auto" ? searching : 0;
    const refitted = refit * Math.max(0, coded - 1);
    const before = { pretrain: 0, train: pretraining, compress: pretraining + training + refitted };
    const done = before[phase] + step;
    // In training it is known from the step alone when to look, as training may end by what is seen.
    const due = phase === "train" ? done % this.#every === 0 : done - this.#measured >= measuring;
    if (due) {
      this.#measured = done;
      this.#validation = await this.#measure();
      if (phase === "train") this.#compare(progress);
    }
    const all = { done: learning + done, total: learning + stepsOf(options, blocks) };
    onProgress?.({ ...progress, live: this.#live, bytes, validation: this.#validation, ...all });
    if (performance.now() - this.#saved >= 1000 * (checkpoint?.every ?? 60)) await this.save();
    signal?.throwIfAborted();
  }

  /** Steps of training between measurements: with patience, five in the time that it lasts. */
  get #every(): number {
    const { patience } = this.#task.options;
    return patience === undefined ? measuring : Math.min(measuring, 10 * Math.ceil(patience / 50));
  }

  /** Whether the mean KL is what the bits of blocks can say, and no longer one price brings all blocks there. */
  #within({ step, divergence }: MiracleProgress): boolean {
    const { bits, shared, training, free } = this.#task.options;
    const settled = free === "divergences" || step >= Math.floor(shared * training);
    return settled && Math.abs(divergence / bits - 1) <= 0.01;
  }

  #compare(progress: MiracleProgress): void {
    if (this.#validation === null) return;
    const { accuracy } = this.#validation;
    if (!this.#within(progress)) this.#best = null;
    else if (this.#best === null || accuracy > this.#best.accuracy) this.#best = { accuracy, step: progress.step };
  }

  #converged(progress: MiracleProgress): boolean {
    const { patience } = this.#task.options;
    if (patience === undefined || this.#best === null) return false;
    return this.#within(progress) && progress.step - this.#best.step >= patience;
  }

  async #measure(): Promise<Evaluation | null> {
    const { runtime } = this.#task.options;
    const { validation: data } = this.#task.data;
    if (data === undefined) return null;
    const network = this.#narrow;
    const tensors = runtime.step(() => this.#miracle.parameters());
    const weights: NamedArray[] = [];
    for (const [i, { name, shape }] of parametersOf(network).entries()) {
      weights.push({ name, shape, values: Float32Array.from(await tensors[i]!.read()) });
    }
    return evaluate({ runtime, network, weights, data });
  }

  /** The cross entropy of the first `images` training images, in the order of the seed. */
  #judge(training: Dataset, images: number): (parameters: readonly Tensor[]) => Tensor {
    const { runtime, seed } = this.#task.options;
    const judging = { runtime, network: this.#narrow, training, batch: images, seed, copies: 0, original: 1 };
    const loss = lossOnPictures({ ...judging, loss: hardLabels });
    return (parameters) => loss(parameters, { step: 0 });
  }
}

/** Steps between measurements on the validation images. */
const measuring = 1000;
