import type { Clock } from "./loop.ts";

/** How training stands. Loss and accuracy are those of the steps since the last report. */
export interface FitProgress {
  /** Counted from 1. */
  readonly epoch: number;
  readonly epochs: number;
  /** Steps done. */
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly accuracy: number;
  /** Learning rate of the last step. */
  readonly rate: number;
  readonly imagesPerSecond: number;
  readonly secondsLeft: number;
}

/** One line of a training's metrics, for an epoch or what there was of the last one. */
export interface EpochRecord {
  /** Counted from 1. */
  readonly epoch: number;
  /** Steps done. */
  readonly step: number;
  /** Means over the epoch, while weights changed. */
  readonly loss: number;
  readonly accuracy: number;
  /** Learning rate of the last step. */
  readonly rate: number;
  /** `null` without validation data; the loss also where an output is not finite. */
  readonly validationLoss: number | null;
  readonly validationAccuracy: number | null;
  /** Since the start of training, without the time between a stop and its resumption. */
  readonly seconds: number;
}

/** Sums over the steps of the epoch under way. */
export interface Totals {
  readonly loss: number;
  readonly hits: number;
}

/** What a checkpoint remembers of the journal. */
export interface Past {
  /** Steps done. */
  readonly step: number;
  readonly seconds: number;
  readonly history: readonly EpochRecord[];
}

export interface JournalOptions {
  readonly steps: number;
  readonly perEpoch: number;
  readonly batchSize: number;
  readonly rate: (step: number) => number;
  readonly clock: Clock;
}

/** Keeps time, and makes reports and records from what was measured. */
export class Journal {
  readonly history: EpochRecord[];
  readonly #options: JournalOptions;
  readonly #past: Past;
  readonly #started: number;
  #last: Totals & { readonly done: number; readonly time: number };

  /** Goes on from `past`, in the middle of an epoch whose sums are `totals`. */
  constructor(options: JournalOptions, past: Past, totals: Totals) {
    this.#options = options;
    this.#past = past;
    this.history = [...past.history];
    this.#started = options.clock();
    this.#last = { ...totals, done: past.step, time: this.#started };
  }

  /** Since the start of training, without the time between a stop and its resumption. */
  get seconds(): number {
    return this.#past.seconds + this.#elapsed(this.#started);
  }

  #elapsed(from: number): number {
    return (this.#options.clock() - from) / 1000;
  }

  report(done: number, { loss, hits }: Totals): FitProgress {
    const { steps, perEpoch, batchSize, rate } = this.#options;
    const last = this.#last;
    const since = done - last.done;
    // A clock may be too coarse for a few quick steps.
    const seconds = Math.max(this.#elapsed(last.time), 1e-6);
    const pace = this.#elapsed(this.#started) / (done - this.#past.step);
    this.#last = { loss, hits, done, time: this.#options.clock() };
    return {
      epoch: Math.ceil(done / perEpoch),
      epochs: Math.ceil(steps / perEpoch),
      step: done,
      steps,
      loss: (loss - last.loss) / since,
      accuracy: (hits - last.hits) / (since * batchSize),
      rate: rate(done - 1),
      imagesPerSecond: (since * batchSize) / seconds,
      secondsLeft: pace * (steps - done),
    };
  }

  /** Closes the epoch. What follows counts from zero. */
  record(done: number, { loss, hits }: Totals, validation: { loss: number; accuracy: number } | null): EpochRecord {
    const { perEpoch, batchSize, rate } = this.#options;
    const since = ((done - 1) % perEpoch) + 1;
    const record: EpochRecord = {
      epoch: Math.ceil(done / perEpoch),
      step: done,
      loss: loss / since,
      accuracy: hits / (since * batchSize),
      rate: rate(done - 1),
      // JSON has no NaN, and a checkpoint holds the history as JSON.
      validationLoss: validation !== null && Number.isFinite(validation.loss) ? validation.loss : null,
      validationAccuracy: validation === null ? null : validation.accuracy,
      seconds: this.seconds,
    };
    this.history.push(record);
    this.#last = { ...this.#last, loss: 0, hits: 0 };
    return record;
  }

  /** Leaves out the time since the last report: it went into measuring and saving. */
  skip(): void {
    this.#last = { ...this.#last, time: this.#options.clock() };
  }
}
