import { DeviceError } from "../../lib/errors.ts";
import { fillNormal, STREAMS } from "../../lib/random.ts";
import { sizeOf } from "../../lib/shape.ts";
import { add, divide } from "../../lib/ops/arithmetic.ts";
import type { Tensor } from "../../lib/tensor.ts";
import type { RandomCode } from "../randomCode.ts";
import { scalarsOf, type TensorScalars } from "../scalars.ts";
import { scaleOf } from "../scale.ts";
import { blankCode, cutToFit } from "./budget.ts";
import type {
  CompressOptions,
  MiracleOptions,
  MiracleProgress,
  MiracleState,
  PretrainOptions,
  TrainOptions,
} from "./options.ts";
import { Posterior, type Rates } from "./posterior.ts";
import { Prices } from "./prices.ts";
import { drawn, largest, largestFew, scores, type Target } from "./score.ts";

/** Steps between looks at the KL of blocks. Prices change in steps ten times as long. */
const interval = 10;

/**
 * Minimal random code learning (Havasi, Peharz, Hernández-Lobato 2018, arXiv 1810.00440): weights are trained as
 * distributions whose KL to a prior fits the budget; then, block after block, the number of one random sample that fits
 * its distribution is written down, the block is fixed, and the others are trained on. `pretrain`, `train` and
 * `compress` follow each other. A step's noise and samples have addresses, so the outcome depends on the options alone.
 */
export class Miracle {
  readonly #options: MiracleOptions;
  /** The code before there is anything in it. */
  readonly #blank: RandomCode;
  readonly #tensors: readonly TensorScalars[];
  readonly #posterior: Posterior;
  readonly #prices: Prices;
  readonly #samples: number;
  readonly #indices: number[] = [];
  #blocks: number;
  #scales: Uint8Array | null = null;
  #sizes: Uint16Array | null = null;
  #phase: MiracleProgress["phase"] = "pretrain";
  #step = 0;
  #total = 0;
  #pretrained = false;
  #trained = false;
  #seen = { loss: NaN, divergence: NaN };

  /** Throws RangeError for options outside their range, before anything is trained. */
  constructor(options: MiracleOptions) {
    const { runtime, shapes, start, live, groups, bits, blocks, seed, samples = 1 } = options;
    const { deviation = 0.01, free = "deviations", choice } = options;
    checkWhole("blocks", blocks, 0, 2 ** 24);
    this.#blank = blankCode(shapes, { bits, seed, live, groups }, blocks);
    checkWhole("samples", samples, 1, 2 ** 10);
    if (choice?.by === "loss") checkWhole("the samples that are judged", choice.among, 1, 2 ** bits);
    if (!(deviation > 0 && deviation < Infinity)) {
      throw new RangeError(`miracle: the first deviation must be above 0, got ${deviation}`);
    }
    this.#options = options;
    this.#tensors = scalarsOf(shapes, { live, groups });
    if (start.length !== this.#tensors.length) {
      throw new RangeError(`miracle: ${this.#tensors.length} tensors must start somewhere, got ${start.length}`);
    }
    for (const [t, { weights }] of this.#tensors.entries()) {
      const found = sizeOf(start[t]!.shape);
      if (found !== weights) throw new RangeError(`miracle: tensor ${t} has ${weights} live weights, got ${found}`);
    }
    this.#samples = samples;
    this.#blocks = blocks;
    this.#posterior = new Posterior({
      ...{ runtime, start, tensors: this.#tensors, seed, blocks, deviation, free },
      divergence: bits * Math.LN2,
    });
    this.#prices = new Prices(blocks, options.prices);
    this.#setPrices();
  }

  /** Trained scalars in all. */
  get scalars(): number {
    return this.#posterior.scalars;
  }

  /** Trains the means alone, without noise or budget. */
  async pretrain({ steps, rate }: PretrainOptions): Promise<void> {
    if (this.#pretrained) return;
    while (this.#step < steps) {
      const looks = (this.#step + 1) % interval === 0 || this.#step + 1 === steps;
      const total = this.#total;
      const loss = this.#options.runtime.step(() => {
        const loss = this.#loss(total, false);
        this.#posterior.learnMeans(loss, rate(this.#step));
        return looks ? loss : null;
      });
      this.#advance();
      if (loss !== null) await this.#report(this.#look(steps, { loss: await lossOf(loss), divergence: NaN }));
    }
    await this.#skipPretraining();
  }

  /** Trains means, deviations and prior scales until each block's KL fits its bits. */
  async train({ steps, rates, shared = 0, roundScales = Infinity, until }: TrainOptions): Promise<void> {
    if (this.#trained) return;
    await this.#skipPretraining();
    while (!this.#trained && this.#step < steps) {
      if (this.#scales === null && this.#step >= roundScales) await this.#freezeScales();
      const look = await this.#learn(rates(this.#step), this.#step < shared, steps);
      if (look === null) continue;
      // What is saved while progress is reported must know that training is over.
      if (until?.(look) === true) this.#endTraining();
      await this.#report(look);
    }
    this.#endTraining();
  }

  /** Codes block after block. Prior scales stay as they are from here on. */
  async compress({ refit, rates }: CompressOptions): Promise<RandomCode> {
    await this.#skipPretraining();
    this.#endTraining();
    if (this.#scales === null) await this.#freezeScales();
    if (this.#options.equal === "divergence" && this.#sizes === null && this.#indices.length === 0) {
      await this.#cutEqually();
    }
    const stepsAfter = (block: number): number => (typeof refit === "number" ? refit : refit(block));
    for (;;) {
      const coded = this.#indices.length;
      if (coded > 0 && coded < this.#blocks) {
        const steps = stepsAfter(coded - 1);
        while (this.#step < steps) {
          const look = await this.#learn(rates(coded / this.#blocks), false, steps);
          if (look !== null) await this.#report(look);
        }
      }
      if (coded === this.#blocks) break;
      await this.#code(coded);
      this.#begin("compress");
      await this.#report(this.#progress(stepsAfter(coded)));
    }
    return this.#result();
  }

  /** The network's tensors at the means, or at their final values where they are coded. */
  parameters(): readonly Tensor[] {
    return this.#posterior.parameters(null);
  }

  /** Where training stands, between two steps. DeviceError in float64, which a state does not hold. */
  async save(): Promise<MiracleState> {
    if (!((await this.#posterior.read()).means instanceof Float32Array)) {
      throw new DeviceError(`miracle: a saved training is float32, got ${this.#options.runtime.description}`);
    }
    const { arrays, updates } = await this.#posterior.save();
    return {
      progress: {
        phase: this.#phase,
        step: this.#step,
        total: this.#total,
        pretrained: this.#pretrained,
        trained: this.#trained,
        prices: [...this.#prices.logs],
        scales: this.#scales && [...this.#scales],
        sizes: this.#sizes && [...this.#sizes],
        indices: [...this.#indices],
        updates,
      },
      arrays,
    };
  }

  /** Goes on where `save` was called, with the same options. */
  restore({ progress, arrays }: MiracleState): void {
    const { phase, step, total, pretrained, trained, prices, scales, sizes, indices, updates } = progress;
    if (sizes !== null) {
      this.#sizes = Uint16Array.from(sizes);
      this.#blocks = sizes.length;
      this.#posterior.cut(this.#sizes);
    }
    this.#posterior.restore({ arrays, updates }, pretrained);
    this.#prices.logs = Float64Array.from(prices);
    this.#scales = scales && Uint8Array.from(scales);
    this.#indices.splice(0, this.#indices.length, ...indices);
    this.#phase = phase;
    this.#step = step;
    this.#total = total;
    this.#pretrained = pretrained;
    this.#trained = trained;
  }

  async #skipPretraining(): Promise<void> {
    if (this.#pretrained) return;
    this.#pretrained = true;
    await this.#posterior.begin();
    this.#begin("train");
  }

  #endTraining(): void {
    if (this.#trained) return;
    this.#trained = true;
    this.#begin("compress");
  }

  #begin(phase: MiracleProgress["phase"]): void {
    this.#phase = phase;
    this.#step = 0;
  }

  #advance(): void {
    this.#step += 1;
    this.#total += 1;
  }

  /** As the loss takes them. */
  #parameters(draw: number | null): readonly Tensor[] {
    return this.#posterior.parameters(draw, this.#options.distinct);
  }

  /** The mean loss over the samples of step number `step`. */
  #loss(step: number, noisy: boolean): Tensor {
    const samples = noisy ? this.#samples : 1;
    let all: Tensor | undefined;
    for (let sample = 0; sample < samples; sample++) {
      const parameters = this.#parameters(noisy ? step * samples + sample : null);
      const loss = this.#options.loss(parameters, { step, sample, samples });
      all = all === undefined ? loss : add(all, loss);
    }
    return samples === 1 ? all! : divide(all!, samples);
  }

  /** One step with noise and prices. Every tenth one looks at the KL and adapts the prices. */
  async #learn(rates: Rates, shared: boolean, steps: number): Promise<MiracleProgress | null> {
    const looks = (this.#total + 1) % interval === 0;
    const total = this.#total;
    const used = this.#scales === null ? rates : { ...rates, scale: 0 };
    const seen = this.#options.runtime.step(() => {
      const loss = this.#loss(total, true);
      const divergences = looks ? this.#posterior.blockDivergences() : null;
      this.#posterior.learn(this.#options.free === "divergences" ? loss : add(loss, this.#posterior.penalty()), used);
      return looks ? { loss, divergences } : null;
    });
    this.#advance();
    if (seen === null) return null;
    const loss = await lossOf(seen.loss);
    const divergences = await seen.divergences!.read();
    const coded = this.#indices.length;
    this.#prices.adapt(divergences, { target: this.#options.bits * Math.LN2, steps: interval, coded, shared });
    this.#setPrices();
    let sum = 0;
    for (let b = coded; b < this.#blocks; b++) sum += divergences[b]!;
    return this.#look(steps, { loss, divergence: sum / (this.#blocks - coded) / Math.LN2 });
  }

  /** Takes down what a step showed. */
  #look(steps: number, seen: { readonly loss: number; readonly divergence: number }): MiracleProgress {
    if (!Number.isFinite(seen.loss)) {
      const at = `step ${this.#step} of ${this.#phase}`;
      throw new RangeError(`miracle: the loss is ${seen.loss} at ${at}; try lower rates`);
    }
    this.#seen = seen;
    return this.#progress(steps);
  }

  #progress(steps: number): MiracleProgress {
    return {
      phase: this.#phase,
      step: this.#step,
      steps,
      coded: this.#indices.length,
      blocks: this.#blocks,
      ...this.#seen,
    };
  }

  async #report(progress: MiracleProgress): Promise<void> {
    await this.#options.onProgress?.(progress);
  }

  #setPrices(): void {
    this.#posterior.price(this.#prices.values(this.#indices.length));
  }

  async #freezeScales(): Promise<void> {
    this.#scales = await this.#posterior.roundScales();
  }

  /** Cuts blocks anew where the KL so far has reached their share of it all. */
  async #cutEqually(): Promise<void> {
    const { runtime } = this.#options;
    const each = await runtime.step(() => this.#posterior.divergences()).read();
    this.#sizes = cutToFit(this.#blank, this.#posterior.order, each);
    if (this.#sizes === null) return;
    this.#blocks = this.#sizes.length;
    this.#posterior.cut(this.#sizes);
    this.#prices.share(this.#blocks);
    this.#setPrices();
  }

  /** Chooses the sample of a block, and fixes its scalars to it. */
  async #code(block: number): Promise<void> {
    const { runtime, bits, choice = { by: "maximum" } } = this.#options;
    const { order, starts, key, tensorOf } = this.#posterior;
    const scalars = order.slice(starts[block], starts[block + 1]);
    const { means, logDeviations } = await this.#posterior.read();
    const target: Target = {
      means: Float64Array.from(scalars, (s) => means[s]!),
      logDeviations: Float64Array.from(scalars, (s) => logDeviations[s]!),
      scales: Float64Array.from(scalars, (s) => scaleOf(this.#scales![tensorOf[s]!]!)),
    };
    const weighing = choice.by === "loss" ? "importance" : (choice.weighing ?? "importance");
    const all = await scores(runtime, { key, block, bits, target, weighing });
    const valuesAt = (index: number): Float32Array => {
      const values = new Float32Array(scalars.length);
      fillNormal(values, key, { stream: STREAMS.candidates, block, start: index * values.length });
      return values.map((z, j) => target.scales[j]! * z);
    };
    let index: number;
    if (choice.by === "loss") {
      index = -1;
      let least = Infinity;
      for (const candidate of largestFew(all, choice.among)) {
        await this.#posterior.fix(scalars, valuesAt(candidate));
        const loss = await lossOf(runtime.step(() => choice.judge(this.#parameters(null))));
        if (loss < least) [least, index] = [loss, candidate];
      }
      if (index < 0) throw new RangeError(`miracle: the loss of every sample of block ${block} is not finite`);
    } else {
      index = choice.by === "sampling" ? drawn(all, key, block) : largest(all);
    }
    if (!Number.isFinite(all[index])) {
      throw new RangeError(`miracle: the weights of block ${block}'s samples are not finite; try lower rates`);
    }
    await this.#posterior.fix(scalars, valuesAt(index));
    this.#indices.push(index);
    this.#setPrices();
  }

  #result(): RandomCode {
    return {
      ...this.#blank,
      scales: this.#scales!,
      ...(this.#sizes && { sizes: this.#sizes }),
      indices: Uint32Array.from(this.#indices),
    };
  }
}

async function lossOf(loss: Tensor): Promise<number> {
  return (await loss.read())[0]!;
}

function checkWhole(what: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new RangeError(`miracle: ${what} must be a whole number from ${least} to ${most}, got ${value}`);
}
