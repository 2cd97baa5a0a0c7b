import { grad } from "../../lib/grad.ts";
import * as exact from "../../lib/math.ts";
import { abs, add, maximum, minimum, multiply, round, subtract } from "../../lib/ops/arithmetic.ts";
import { reshape, slice } from "../../lib/ops/layout.ts";
import { sum } from "../../lib/ops/sum.ts";
import { adam } from "../../lib/optimizers/adam.ts";
import type { Optimizer } from "../../lib/optimizers/optimizer.ts";
import type { Runtime } from "../../lib/runtime.ts";
import type { Tensor, Variable } from "../../lib/tensor.ts";
import type { Weights } from "../../lib/weights.ts";
import { codedBits, codedBytes } from "../levels.ts";
import type { LevelWeights } from "../levelWeights.ts";
import { placesOf, scalarsOf, type TensorScalars } from "../scalars.ts";
import { nearestScale, scaleOf } from "../scale.ts";
import { estimateRate } from "./rate.ts";
import { roundToEven, roundToFit } from "./roundToFit.ts";

export interface SqueezeOptions {
  readonly runtime: Runtime;
  /** Tensors of the file, in the order of its network. */
  readonly shapes: readonly (readonly number[])[];
  /** Where training starts: the live weights of each tensor, in the shapes that the loss wants. */
  readonly start: Weights;
  /** Live outputs of each tensor of weights but the last: the others stay 0. Default: all. */
  readonly live?: readonly number[] | undefined;
  /** What the network's mistakes cost, in nats per image, from its tensors. Called inside a step. */
  readonly loss: (parameters: readonly Tensor[], step: number) => Tensor;
  /** Bits that all levels together may take in the end. */
  readonly bits: number;
  /** Training steps. */
  readonly steps: number;
  /** Learning rate of the latents, in levels; it falls to 0 over the last part of training. Default: 0.016. */
  readonly rate?: number | undefined;
  /** Share of the steps after which the size has reached its goal. Default: 0.4. */
  readonly reach?: number | undefined;
  /** Distance of levels, in root mean squares of the tensor's weights at the start. Default: 1. */
  readonly step?: number | undefined;
  /** Called every twenty steps. What it returns is awaited; throwing ends training. */
  readonly onProgress?: ((progress: SqueezeProgress) => void | Promise<void>) | undefined;
}

export interface SqueezeProgress {
  readonly step: number;
  readonly steps: number;
  /** Of the last step, without the price of bits, in nats. */
  readonly loss: number;
  /** What the levels take now, estimated, and what they should. */
  readonly bits: number;
  readonly goal: number;
  /** Of a bit, in nats. */
  readonly price: number;
}

/** What a training needs to go on, as plain data. */
export interface SqueezeState {
  readonly progress: {
    readonly step: number;
    readonly logPrice: number;
    readonly correction: number;
    readonly free: number | null;
    readonly updates: number;
    readonly scales: readonly number[];
  };
  readonly arrays: Weights;
}

/** Steps between looks at the levels, and between looks with the coder itself. */
const interval = 20;
const calibration = 500;
/** The most by which the logarithm of the price changes at a look; more, where there are few looks. */
const mostChange = 0.05;
const reachable = 12;
/** Last part of training, in which the learning rate falls. */
const cooling = 0.3;

/**
 * Rate-aware training: weights are `scale * round(latent)`, straight through, and the loss also pays for the estimated
 * code length of the rounded latents (compare Oktay et al., "Scalable Model Compression by Entropy Penalized
 * Reparameterization", arXiv 1906.06624). The price of a bit follows a schedule of sizes: from the free one down to the
 * goal, and there it stays. The coder itself corrects the estimate now and then.
 */
export class Squeeze {
  readonly #options: SqueezeOptions;
  readonly #tensors: readonly TensorScalars[];
  readonly #places: readonly Uint32Array[];
  readonly #scales: Uint8Array;
  readonly #latents: Variable;
  /** Distance of the levels of each weight. */
  readonly #distances: Variable;
  /** Price of a latent's way from 0 to 1 and beyond, in nats. */
  readonly #first: Variable;
  readonly #further: Variable;
  readonly #optimizer: Optimizer;
  readonly #count: number;
  /** What the levels took at the latest look. */
  #bits = 0;
  #step = 0;
  #logPrice = exact.log(1e-7);
  /** Real bits per estimated bit. */
  #correction = 1;
  /** Bits before anything was paid for. */
  #free: number | null = null;

  /** Throws RangeError for options that do not go together, before anything is trained. */
  constructor(options: SqueezeOptions) {
    const { runtime, shapes, start, live, step: width = 1, bits, steps } = options;
    if (!(bits > 0)) throw new RangeError(`squeeze: the budget must be above 0 bits, got ${bits}`);
    if (!(Number.isSafeInteger(steps) && steps >= 1)) {
      throw new RangeError(`squeeze: steps must be a whole number from 1 up, got ${steps}`);
    }
    if (!(width > 0 && width < Infinity)) throw new RangeError(`squeeze: the step must be above 0, got ${width}`);
    this.#options = options;
    this.#tensors = scalarsOf(shapes, { live });
    this.#places = this.#tensors.map(placesOf);
    this.#scales = new Uint8Array(shapes.length);
    this.#count = this.#tensors.reduce((sum, { weights }) => sum + weights, 0);
    const latents = new Float32Array(this.#count);
    let at = 0;
    for (const [t, { weights }] of this.#tensors.entries()) {
      const values = start[t]?.values;
      if (values?.length !== weights) {
        throw new RangeError(`squeeze: tensor ${t} has ${weights} live weights, got ${values?.length ?? 0}`);
      }
      const mean = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / weights);
      this.#scales[t] = nearestScale(Math.min(Math.max(width * Math.max(mean, smallest), scaleOf(0)), scaleOf(255)));
      const distance = scaleOf(this.#scales[t]!);
      for (const value of values) latents[at++] = value / distance;
    }
    const variable = (name: string, values: Float32Array): Variable => runtime.variable(values, [values.length], name);
    this.#latents = variable("latents", latents);
    this.#distances = variable("distances", new Float32Array(this.#count));
    this.#spread();
    this.#first = variable("first", new Float32Array(this.#count));
    this.#further = variable("further", new Float32Array(this.#count));
    this.#optimizer = adam([this.#latents]);
  }

  /** Gives each weight the distance of its tensor's levels. */
  #spread(): void {
    const distances = new Float32Array(this.#count);
    let at = 0;
    for (const [t, { weights }] of this.#tensors.entries()) {
      distances.fill(scaleOf(this.#scales[t]!), at, at + weights);
      at += weights;
    }
    this.#distances.assign(distances);
  }

  /** The network's tensors, of whole levels, inside a step. */
  parameters(): Tensor[] {
    const values = multiply(round(this.#latents, { straightThrough: true }), this.#distances);
    let first = 0;
    return this.#tensors.map(({ weights }, t) => {
      const own = slice(values, [first], [weights]);
      first += weights;
      return reshape(own, this.#options.start[t]!.shape);
    });
  }

  /** Trains to the end, from wherever it stands. */
  async train(): Promise<void> {
    const { runtime, loss: lossOf, steps, rate = 0.016, onProgress, bits, reach = 0.4 } = this.#options;
    while (this.#step < steps) {
      if (this.#step % interval === 0) await this.#look();
      const number = this.#step;
      const looks = (number + 1) % interval === 0 || number + 1 === steps;
      const left = (steps - number) / (cooling * steps);
      const seen = runtime.step(() => {
        const loss = lossOf(this.parameters(), number);
        const [gradient] = grad(add(loss, this.#penalty()), [this.#latents]);
        this.#optimizer.update([gradient!], rate * Math.min(1, left));
        return looks ? loss : null;
      });
      this.#step += 1;
      if (seen === null) continue;
      const loss = (await seen.read())[0]!;
      if (!Number.isFinite(loss)) {
        throw new RangeError(`squeeze: the loss is ${loss} at step ${this.#step} of ${steps}; try a lower rate`);
      }
      const goal = goalAt(this.#free!, bits, number / (reach * steps));
      await onProgress?.({ step: this.#step, steps, loss, bits: this.#bits, goal, price: this.price });
    }
  }

  /** What the levels as they are would take; the price follows. */
  async #look(): Promise<void> {
    const { bits, steps, reach = 0.4 } = this.#options;
    const all = (await this.#latentsByTensor()).map((values) => Int32Array.from(values, roundToEven));
    const first = new Float32Array(this.#count);
    const further = new Float32Array(this.#count);
    let estimated = 0;
    let at = 0;
    for (const [t, { grid, liveInputs, liveOutputs, weights }] of this.#tensors.entries()) {
      // Dead units cost next to nothing, and are not the estimate's business.
      const own = { ...grid, inputs: liveInputs, outputs: liveOutputs, size: weights };
      const rate = estimateRate(own, all[t]!);
      first.set(rate.first, at);
      further.set(rate.further, at);
      estimated += rate.bits;
      at += weights;
    }
    if (this.#step % calibration === 0) this.#correction = this.#coderBits(all) / Math.max(estimated, 1);
    this.#bits = estimated * this.#correction;
    this.#free ??= this.#bits;
    const goal = goalAt(this.#free, bits, this.#step / (reach * steps));
    const most = Math.max(mostChange, (reachable * interval) / (reach * steps));
    this.#logPrice += Math.min(Math.max(4 * (this.#bits / goal - 1), -1), 1) * most;
    const price = this.price * this.#correction;
    this.#first.assign(first.map((cost) => cost * price));
    this.#further.assign(further.map((cost) => cost * price));
  }

  /** What all latents cost at their prices, inside a step: linear between levels. */
  #penalty(): Tensor {
    const magnitudes = abs(this.#latents);
    const near = multiply(minimum(magnitudes, 1), this.#first);
    const far = multiply(maximum(subtract(magnitudes, 1), 0), this.#further);
    return sum(add(near, far));
  }

  /** Latents of the live weights, by tensor. */
  async #latentsByTensor(): Promise<Float32Array[]> {
    const latents = await this.#latents.read();
    let at = 0;
    return this.#tensors.map(({ weights }) => Float32Array.from(latents.slice(at, (at += weights))));
  }

  #whole(live: readonly Int32Array[]): Int32Array[] {
    return this.#tensors.map(({ grid }, t) => {
      const levels = new Int32Array(grid.size);
      this.#places[t]!.forEach((place, i) => (levels[place] = live[t]![i]!));
      return levels;
    });
  }

  #coderBits(live: readonly Int32Array[]): number {
    return codedBits(this.#options.shapes, this.#whole(live));
  }

  /** What a file holds of the latents as they are: levels that take as much of the budget as they can. */
  async coded(): Promise<LevelWeights> {
    const { shapes, bits } = this.#options;
    const live = roundToFit(
      await this.#latentsByTensor(),
      (tried) => 8 * codedBytes(shapes, this.#whole(tried)) <= bits,
    );
    const levels = this.#whole(live);
    const scales = this.#scales.map((scale, t) => (levels[t]!.some((level) => level !== 0) ? scale : 0));
    return { method: "levels", scales, levels };
  }

  /** What a bit costs now, in nats per image: at the end of training what it is worth to a network of this size. */
  get price(): number {
    return exact.exp(this.#logPrice);
  }

  /** Takes effect between two steps. */
  async save(): Promise<SqueezeState> {
    const { moments, steps } = await this.#optimizer.state();
    const arrays = [];
    for (const variable of [this.#latents, this.#first, this.#further]) {
      arrays.push({ name: variable.name, shape: variable.shape, values: Float32Array.from(await variable.read()) });
    }
    return {
      progress: {
        step: this.#step,
        logPrice: this.#logPrice,
        correction: this.#correction,
        free: this.#free,
        updates: steps,
        scales: [...this.#scales],
      },
      arrays: [...arrays, ...moments],
    };
  }

  /** Goes on where `save` was called, with the same options. */
  restore({ progress, arrays }: SqueezeState): void {
    for (const [i, variable] of [this.#latents, this.#first, this.#further].entries()) {
      variable.assign(arrays[i]!.values);
    }
    this.#optimizer.restore({ steps: progress.updates, moments: arrays.slice(3) });
    this.#scales.set(progress.scales);
    this.#spread();
    this.#step = progress.step;
    this.#logPrice = progress.logPrice;
    this.#correction = progress.correction;
    this.#free = progress.free;
  }
}

/** A tensor that starts at zero has levels of this size. */
const smallest = 0.02;

/** Geometric from the free size to the goal, `way` going from 0 to 1. */
function goalAt(free: number, goal: number, way: number): number {
  if (way >= 1 || free <= goal) return goal;
  return free * exact.exp(exact.log(goal / free) * way);
}
