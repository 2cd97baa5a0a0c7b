import { parametersOf } from "../lib/architectures.ts";
import { ShapeError } from "../lib/errors.ts";
import type { Network } from "../lib/network.ts";
import type { Runtime } from "../lib/runtime.ts";
import { equalShapes, formatShape, type Shape } from "../lib/shape.ts";
import type { Tensor } from "../lib/tensor.ts";
import type { Weights } from "../lib/weights.ts";
import { augmentInTurns } from "./augment.ts";
import type { TrainingAugmentation } from "./batches.ts";
import { checkArrays } from "./check.ts";
import { checkIdentity, type Json, readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import type { OptimizerChoice, ScheduleChoice } from "./choices.ts";
import type { Dataset } from "./data/dataset.ts";
import { type Evaluation, evaluateParameters } from "./evaluate.ts";
import { type Feed, feedOf } from "./feed.ts";
import { forward } from "./forward.ts";
import { type EpochRecord, type FitProgress, Journal, type Past, type Totals } from "./journal.ts";
import { Learner, type Mask, readArrays } from "./learner.ts";
import { type Clock, pace, performanceClock, runSteps, waitingLine } from "./loop.ts";
import { hits, type Loss } from "./loss.ts";
import { type Pictures, picturesOn } from "./pictures.ts";
import { type Plan, planOf } from "./plan.ts";

/** How the network's tensors follow from what is trained, where these differ: shared weights, weights on a grid. */
export interface Parametrisation {
  /** Says with which settings it was made: a checkpoint is only continued under the same name. */
  readonly name: string;
  /**
   * The network's tensors, in order, from the trained arrays. Called inside a step, and recorded for the gradient.
   * `step` is its number in training, and undefined where the outcome is measured: noise belongs to the former alone.
   */
  readonly parameters: (trained: readonly Tensor[], step: number | undefined) => readonly Tensor[];
}

export interface FitOptions {
  readonly runtime: Runtime;
  readonly network: Network;
  readonly data: {
    readonly train: Dataset;
    /** Measured after every epoch, never trained on. */
    readonly validation?: Dataset;
  };
  /** How long: passes over the training images, or steps. One of the two. */
  readonly epochs?: number;
  readonly steps?: number;
  /** Where to start. Default: `initialise(network, seed)`. With a parametrisation: the arrays that are trained. */
  readonly weights?: Weights;
  /** Default: 64. */
  readonly batchSize?: number;
  /** Default: Adam. */
  readonly optimizer?: OptimizerChoice;
  /** Default: a cosine from 0.001 down to 0. */
  readonly schedule?: ScheduleChoice;
  /** Of starting weights, order of images, choice among copies and dropout. Default: 0. */
  readonly seed?: number;
  /** Trains on seeded copies of the images as well: see `augment`. Default: on the images as they are. */
  readonly augmentation?: TrainingAugmentation;
  /** Holds weights, moments and averages at zero where a mask is 0. Tensors without a mask are free. */
  readonly masks?: readonly Mask[];
  /** Keeps moving averages of the weights and gives those back, and measures them, instead of the last weights. */
  readonly average?: { readonly decay: number };
  /** Default: `hardLabels`. */
  readonly loss?: Loss;
  readonly parametrisation?: Parametrisation;
  /** Called a few times a second. */
  readonly onProgress?: (progress: FitProgress) => void;
  /** Called after every epoch, and after the last step. */
  readonly onEpoch?: (record: EpochRecord) => void;
  /** Aborting ends training after the step under way: a checkpoint is saved, and `fit` throws the signal's reason. */
  readonly signal?: AbortSignal;
  readonly checkpoint?: {
    /** Steps between checkpoints. Default: an epoch. One more is saved at the end. */
    readonly every?: number;
    readonly save: (bytes: Uint8Array, step: number) => void | Promise<void>;
  };
  /** A checkpoint to go on from, of the same network, data and options. `weights` then say shapes alone. */
  readonly resume?: Uint8Array;
  readonly clock?: Clock;
  /** Milliseconds between progress reports. Default: 250. */
  readonly interval?: number;
}

export interface FitResult {
  /** The network's tensors. */
  readonly weights: Weights;
  /** What was trained: the same, unless there is a parametrisation. */
  readonly trained: Weights;
  /** Passes over the training images, the last one perhaps not whole. */
  readonly epochs: number;
  readonly steps: number;
  readonly seconds: number;
  /** Of the last epoch, as in its record. */
  readonly loss: number;
  readonly accuracy: number;
  readonly validationLoss: number | null;
  readonly validationAccuracy: number | null;
  /** One record per epoch. */
  readonly history: readonly EpochRecord[];
}

/**
 * Trains a network. The outcome depends on its options, data and kind of device alone: not on the clock, on who
 * listens, or on how often it was stopped and resumed. `Batches` says which images a step sees.
 *
 * Options, data and weights that do not go together are a ShapeError, RangeError or DataError before the first step; a
 * loss or weight that is not finite ends training with a RangeError.
 */
export async function fit(options: FitOptions): Promise<FitResult> {
  const { runtime, signal, interval, clock } = options;
  signal?.throwIfAborted();
  const training = new Training(options);
  const { steps } = training.plan;
  const done = await runSteps({
    done: await training.begin(),
    steps,
    step: (number) => training.step(number),
    mustPause: (done) => training.mustPause(done),
    pause: (done) => training.pause(done),
    signal,
    pace: pace({ interval, clock }),
    line: runtime.remote ? waitingLine({ interval, clock }) : undefined,
  });
  if (done < steps) {
    await training.save(done);
    signal!.throwIfAborted();
  }
  return training.result();
}

const kind = "fit";

/** One training under way: its learner, its journal, and what is due when. */
class Training {
  readonly plan: Plan;
  readonly #options: FitOptions;
  readonly #learner: Learner;
  /** The unit matrix, by which hits are counted. */
  readonly #identity: Tensor;
  #feed!: Feed;
  #validation!: Pictures;
  #journal!: Journal;
  /** The step of the last checkpoint. */
  #saved = 0;

  constructor(options: FitOptions) {
    const { runtime, network, masks, average } = options;
    this.plan = planOf(options);
    this.#options = options;
    this.#learner = new Learner({ runtime, start: this.plan.start, optimizer: this.plan.optimizer, masks, average });
    const classes = network.classes.length;
    const identity = Float32Array.from({ length: classes * classes }, (_, i) => (i % (classes + 1) === 0 ? 1 : 0));
    this.#identity = runtime.tensor(identity, [classes, classes]);
  }

  /** Goes back to where a checkpoint was made, if there is one. Returns how many steps are done. */
  async begin(): Promise<number> {
    const { network, runtime, checkpoint, resume, clock = performanceClock } = this.#options;
    checkParameters(network, runtime.step(() => this.#measured()), this.plan.parametrisation);
    await this.#bringPictures();
    // A device whose numbers no checkpoint can hold says so now, not after an epoch.
    if (checkpoint !== undefined) await this.#learner.save();
    let past: Past = { step: 0, seconds: 0, history: [] };
    if (resume !== undefined) {
      const found = readCheckpoint(resume);
      checkIdentity(found, kind, this.plan.identity());
      past = found.progress as unknown as Past;
      await this.#learner.restore(past.step, found.arrays);
      this.#saved = past.step;
    }
    const { batches, steps, schedule: rate } = this.plan;
    const { perEpoch, size: batchSize } = batches;
    this.#journal = new Journal({ steps, perEpoch, batchSize, rate, clock }, past, await this.#learner.totals());
    return past.step;
  }

  /** Before the first step: a remote device is sent all pictures, copies included. */
  async #bringPictures(): Promise<void> {
    const { runtime, network, data, augmentation, signal, interval, clock } = this.#options;
    const { rest } = pace({ interval, clock });
    const pool =
      runtime.remote && augmentation !== undefined
        ? await augmentInTurns(data.train, augmentation, async () => {
            await rest();
            signal?.throwIfAborted();
          })
        : undefined;
    this.#feed = feedOf(runtime, this.plan.batches, pool);
    if (data.validation !== undefined) this.#validation = picturesOn(runtime, data.validation, network.input);
  }

  step(number: number): void {
    const { network } = this.#options;
    const { key, loss, parametrisation, schedule } = this.plan;
    this.#learner.step(schedule(number), (trained) => {
      const { images, ...pictures } = this.#feed(number);
      const { labels } = pictures;
      const parameters = parametrisation.parameters(trained, number);
      const logits = forward(network, parameters, images, { training: { key, step: number } });
      return {
        loss: loss.of({ logits, ...pictures, trained, parameters, step: number }),
        hits: hits(logits, labels, this.#identity),
      };
    });
  }

  mustPause(done: number): boolean {
    return this.#endsEpoch(done) || this.#isCheckpoint(done);
  }

  async pause(done: number): Promise<void> {
    const { onProgress, onEpoch } = this.#options;
    const totals = await this.#totals(done);
    const progress = this.#journal.report(done, totals);
    onProgress?.(progress);
    if (this.#endsEpoch(done)) {
      const validation = await this.#validate();
      this.#learner.clearTotals();
      const record = this.#journal.record(done, totals, validation);
      onEpoch?.(record);
    }
    if (this.#isCheckpoint(done)) await this.save(done);
    this.#journal.skip();
  }

  /** Saves a checkpoint, unless there is nowhere to save it or nothing new in it. */
  async save(done: number): Promise<void> {
    const { checkpoint } = this.#options;
    if (checkpoint === undefined || done === this.#saved) return;
    await this.#totals(done);
    const arrays = await this.#learner.save();
    checkArrays(arrays);
    const { seconds, history } = this.#journal;
    const progress = { step: done, seconds, history: history as unknown as Json };
    const bytes = writeCheckpoint({ kind, identity: this.plan.identity(), progress, arrays });
    await checkpoint.save(bytes, done);
    this.#saved = done;
  }

  async result(): Promise<FitResult> {
    const { network, runtime, parametrisation } = this.#options;
    const { steps, start, batches } = this.plan;
    const trained = await readArrays(start, this.#learner.result);
    const weights =
      parametrisation === undefined
        ? trained
        : await readArrays(parametersOf(network), runtime.step(() => this.#measured()));
    checkArrays(weights);
    const { seconds, history } = this.#journal;
    const { loss, accuracy, validationLoss, validationAccuracy } = history.at(-1)!;
    const epochs = steps / batches.perEpoch;
    return { weights, trained, epochs, steps, seconds, loss, accuracy, validationLoss, validationAccuracy, history };
  }

  #endsEpoch(done: number): boolean {
    return done % this.plan.batches.perEpoch === 0 || done === this.plan.steps;
  }

  #isCheckpoint(done: number): boolean {
    return this.#options.checkpoint !== undefined && (done % this.plan.every === 0 || done === this.plan.steps);
  }

  /** The network's tensors as they are measured and given back. */
  #measured(): readonly Tensor[] {
    return this.plan.parametrisation.parameters(this.#learner.result, undefined);
  }

  async #totals(done: number): Promise<Totals> {
    const totals = await this.#learner.totals();
    if (Number.isFinite(totals.loss)) return totals;
    const { steps } = this.plan;
    throw new RangeError(`fit: the loss is ${totals.loss} at step ${done} of ${steps}; try a lower learning rate`);
  }

  async #validate(): Promise<Evaluation | null> {
    const { runtime, network, data } = this.#options;
    if (data.validation === undefined) return null;
    const [parameters, pictures] = [() => this.#measured(), this.#validation];
    return evaluateParameters({ runtime, network, parameters, data: data.validation, pictures });
  }
}

/** Refuses a parametrisation whose tensors are not the network's. */
function checkParameters(network: Network, found: readonly Tensor[], { name }: Parametrisation): void {
  const parameters = parametersOf(network);
  const fits = found.length === parameters.length && found.every((x, i) => equalShapes(x.shape, parameters[i]!.shape));
  if (fits) return;
  const list = (tensors: readonly { readonly shape: Shape }[]): string =>
    tensors.map(({ shape }) => formatShape(shape)).join(", ");
  throw new ShapeError(`fit: ${network.name} has ${list(parameters)}; ${name} gives ${list(found)}`);
}
