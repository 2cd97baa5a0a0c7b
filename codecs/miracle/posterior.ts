import { grad } from "../../lib/grad.ts";
import * as exact from "../../lib/math.ts";
import { add, divide, exp, multiply, sqrt, square, subtract } from "../../lib/ops/arithmetic.ts";
import { normal } from "../../lib/ops/draws.ts";
import { gather } from "../../lib/ops/gather.ts";
import { concat, reshape, slice } from "../../lib/ops/layout.ts";
import { tanh } from "../../lib/ops/activations.ts";
import { softmax } from "../../lib/ops/softmax.ts";
import { sum } from "../../lib/ops/sum.ts";
import { adam } from "../../lib/optimizers/adam.ts";
import type { Optimizer } from "../../lib/optimizers/optimizer.ts";
import { type Key, seedKey, STREAMS } from "../../lib/random.ts";
import type { Runtime } from "../../lib/runtime.ts";
import type { Tensor, Variable } from "../../lib/tensor.ts";
import type { NamedArray, Weights } from "../../lib/weights.ts";
import { blockOrder, blockStarts, sharesOutputs, sourcesOf, type TensorScalars } from "../scalars.ts";
import { nearestScale, scaleOf } from "../scale.ts";
import { logVarianceRatio } from "./meanKl.ts";

/** How fast each kind of number learns, at one step. */
export interface Rates {
  readonly mean: number;
  readonly deviation: number;
  readonly scale: number;
}

export interface PosteriorOptions {
  readonly runtime: Runtime;
  /** Where the means start: the live weights of each tensor, in the shapes that the loss wants. */
  readonly start: Weights;
  readonly tensors: readonly TensorScalars[];
  /** Of the file: it settles blocks, groups and noise. */
  readonly seed: number;
  readonly blocks: number;
  /** Deviation of each scalar when noise begins, where deviations are free. */
  readonly deviation: number;
  /** What is free beside the means: deviations, or each scalar's share of the KL of its block, `divergence` nats. */
  readonly free: "deviations" | "divergences";
  readonly divergence: number;
}

/**
 * What is trained instead of weights: for each scalar a normal distribution N(mean, deviation^2), and for each tensor
 * the scale of its prior N(0, scale^2). All scalars are in one row, those of the first tensor first.
 *
 *     KL = sum over scalars of ln(p / sigma) + (sigma^2 + mu^2) / (2 p^2) - 1/2          (algorithm: section 1)
 *
 * A scalar that is coded is fixed: it has its value, and neither noise nor KL.
 */
export class Posterior {
  readonly key: Key;
  readonly scalars: number;
  /** Scalars in the order of blocks, and where each block begins. */
  readonly order: Uint32Array;
  /** The tensor of each scalar. */
  readonly tensorOf: Uint16Array;
  readonly #runtime: Runtime;
  readonly #start: Weights;
  readonly #tensors: readonly TensorScalars[];
  /** Means; with free divergences, once noise has begun, what `#moments` makes means of. */
  readonly #means: Variable;
  /** Logarithms of deviations, or of shares of the block's KL but for a constant per block. */
  readonly #spreads: Variable;
  readonly #logScales: Variable;
  /** 1 for scalars that are not coded yet, 0 for the others. */
  readonly #free: Variable;
  readonly #fixed: Variable;
  /** What a nat of each scalar's KL costs. */
  readonly #prices: Variable;
  readonly #optimizers: readonly [mean: Optimizer, deviation: Optimizer, scale: Optimizer];
  /** For tensors whose weights share scalars, which one each has, and with which sign. */
  readonly #sources: readonly ({ readonly scalars: Tensor; readonly signs?: Tensor } | null)[];
  /** The tensor of each scalar, and numbers that fill up rows: what never changes stays on the device. */
  readonly #tensorOf: Tensor;
  readonly #zero: Tensor;
  readonly #nothing: Tensor;
  /** KL of a block in nats, where divergences are free. */
  readonly #divergence: number | null;
  #noisy = false;
  #starts: Float64Array;
  /** For each block a row of places of its scalars, filled up with the place of a zero. */
  #rows: Tensor;
  /** The place of each scalar in these rows. */
  #places: Tensor;

  constructor({ runtime, start, tensors, seed, blocks, deviation, free, divergence }: PosteriorOptions) {
    this.#divergence = free === "divergences" ? divergence : null;
    this.#runtime = runtime;
    this.#start = start;
    this.#tensors = tensors;
    this.key = seedKey(seed);
    this.order = blockOrder(tensors, this.key);
    this.scalars = this.order.length;
    this.tensorOf = new Uint16Array(this.scalars);
    const variable = (name: string, values: Float32Array | Int32Array): Variable =>
      runtime.variable(values, [values.length], name);
    const means = new Float32Array(this.scalars);
    let first = 0;
    this.#sources = tensors.map((tensor, t) => {
      const { scalars } = tensor;
      const { values } = start[t]!;
      const shared = scalars < values.length ? sourcesOf(tensor, this.key, t) : null;
      const own = meansOf(values, scalars, shared);
      means.set(own, first);
      this.tensorOf.fill(t, first, first + scalars);
      first += scalars;
      if (shared === null) return null;
      const indices = variable("shared", Int32Array.from(shared.scalars));
      return { scalars: indices, ...(shared.signs && { signs: variable("signs", Float32Array.from(shared.signs)) }) };
    });
    const filled = (value: number): Float32Array => new Float32Array(this.scalars).fill(value);
    this.#means = variable("means", means);
    this.#spreads = variable("spreads", filled(free === "deviations" ? exact.log(deviation) : 0));
    this.#logScales = variable("scales", new Float32Array(tensors.length));
    this.#free = variable("free", filled(1));
    this.#fixed = variable("fixed", filled(0));
    this.#prices = variable("prices", filled(0));
    this.#optimizers = [adam([this.#means]), adam([this.#spreads]), adam([this.#logScales])];
    this.#tensorOf = variable("tensors", Int32Array.from(this.tensorOf));
    this.#zero = variable("zero", Float32Array.of(0));
    this.#nothing = variable("nothing", Float32Array.of(-1e4));
    [this.#starts, this.#rows, this.#places] = this.#layout(blockStarts(this.scalars, blocks));
  }

  /** Where each block begins in `order`, and where the last one ends. */
  get starts(): Float64Array {
    return this.#starts;
  }

  /** Cuts the scalars into blocks of other sizes. */
  cut(sizes: Uint16Array): void {
    [this.#starts, this.#rows, this.#places] = this.#layout(blockStarts(this.scalars, sizes.length, sizes));
  }

  #layout(starts: Float64Array): [starts: Float64Array, rows: Tensor, places: Tensor] {
    const blocks = starts.length - 1;
    let widest = 0;
    for (let b = 0; b < blocks; b++) widest = Math.max(widest, starts[b + 1]! - starts[b]!);
    const rows = new Int32Array(blocks * widest).fill(this.scalars);
    const places = new Int32Array(this.scalars);
    for (let b = 0; b < blocks; b++) {
      for (let i = starts[b]!, at = b * widest; i < starts[b + 1]!; i++, at++) {
        rows[at] = this.order[i]!;
        places[this.order[i]!] = at;
      }
    }
    const runtime = this.#runtime;
    return [
      starts,
      runtime.variable(rows, [blocks, widest], "rows"),
      runtime.variable(places, [this.scalars], "places"),
    ];
  }

  /**
   * The network's tensors: with the noise of one draw, or at their means. Of outputs that share their weights only the
   * first one each is there if `distinct`: [..., outputs / size] in place of [..., outputs]. Inside a step.
   */
  parameters(draw: number | null, distinct = false): Tensor[] {
    const row = draw === null ? this.#moments().mean : this.#drawn(draw);
    const values = add(multiply(row, this.#free), this.#fixed);
    let first = 0;
    return this.#tensors.map((tensor, t) => {
      const { scalars } = tensor;
      const own = slice(values, [first], [scalars]);
      first += scalars;
      const shared = this.#sources[t];
      const { shape } = this.#start[t]!;
      if (shared === null || shared === undefined) return reshape(own, shape);
      if (distinct && sharesOutputs(tensor) && shape.at(-1) === tensor.liveOutputs) {
        return reshape(own, [...shape.slice(0, -1), tensor.liveOutputs / tensor.group.size]);
      }
      const gathered = gather(own, shared.scalars);
      return reshape(shared.signs ? multiply(gathered, shared.signs) : gathered, shape);
    });
  }

  #drawn(draw: number): Tensor {
    const noise = normal(this.#runtime, [this.scalars], { key: this.key, stream: STREAMS.noise, block: draw });
    const { mean, logDeviation } = this.#moments();
    return add(mean, multiply(exp(logDeviation), noise));
  }

  /** Of each scalar, inside a step. */
  #moments(): Moments {
    if (this.#divergence === null || !this.#noisy) return { mean: this.#means, logDeviation: this.#spreads };
    // "k = C softmax(theta), mu = p sqrt(2 k) tanh(tau)": algorithm, section 2.
    const rows = gather(concat([this.#spreads, this.#nothing]), this.#rows);
    const shares = reshape(softmax(rows), [-1]);
    const divergence = multiply(gather(shares, this.#places), this.#divergence);
    const inside = tanh(this.#means);
    const scales = this.#scalesOfScalars();
    const mean = multiply(multiply(exp(scales), sqrt(multiply(divergence, 2))), inside);
    const rest = add(multiply(multiply(divergence, 2), subtract(1, square(inside))), 1);
    return { mean, logDeviation: add(scales, multiply(logVarianceRatio(rest), 0.5)) };
  }

  #scalesOfScalars(): Tensor {
    return gather(this.#logScales, this.#tensorOf);
  }

  /**
   * From here on weights have noise. Prior scales begin at the root mean square of what pretraining made of the means;
   * with free divergences they are wide enough for nearly all of these.
   */
  async begin(): Promise<void> {
    const means = Float32Array.from(await this.#means.read());
    const squares = new Float64Array(this.#tensors.length);
    const counts = new Float64Array(this.#tensors.length);
    this.tensorOf.forEach((t, s) => {
      squares[t]! += means[s]! * means[s]!;
      counts[t]! += 1;
    });
    const scales = Float32Array.from(squares, (sum, t) => Math.max(Math.sqrt(sum / counts[t]!), smallestScale));
    this.#logScales.assign(scales.map((scale) => exact.log(scale)));
    if (this.#divergence !== null) {
      const blocks = this.#starts.length - 1;
      const reach = Math.sqrt((2 * this.#divergence * blocks) / this.scalars);
      this.#means.assign(means.map((mean, s) => {
        const part = Math.min(Math.max(mean / (scales[this.tensorOf[s]!]! * reach), -0.95), 0.95);
        return exact.log((1 + part) / (1 - part)) / 2;
      }));
    }
    this.#noisy = true;
  }

  /** KL of each scalar, in nats, inside a step. */
  divergences(): Tensor {
    const scales = this.#scalesOfScalars();
    const { mean, logDeviation } = this.#moments();
    const variance = exp(multiply(logDeviation, 2));
    const prior = exp(multiply(scales, 2));
    const halves = divide(add(variance, square(mean)), multiply(prior, 2));
    return subtract(add(subtract(scales, logDeviation), halves), 0.5);
  }

  /** KL of each block, in nats, inside a step. */
  blockDivergences(): Tensor {
    const free = multiply(this.divergences(), this.#free);
    return sum(gather(concat([free, this.#zero]), this.#rows), { axes: [1] });
  }

  /** What the KL of all scalars costs at their prices, inside a step. */
  penalty(): Tensor {
    return sum(multiply(this.divergences(), this.#prices));
  }

  /** Sets what a nat costs in each block; coded ones cost nothing. */
  price(prices: Float64Array): void {
    const each = new Float32Array(this.scalars);
    for (let b = 0; b + 1 < this.#starts.length; b++) {
      for (let i = this.#starts[b]!; i < this.#starts[b + 1]!; i++) each[this.order[i]!] = prices[b]!;
    }
    this.#prices.assign(each);
  }

  /** One update of means alone, inside a step. */
  learnMeans(loss: Tensor, rate: number): void {
    this.#optimizers[0].update(grad(loss, [this.#means]), rate);
  }

  /** One update of everything, inside a step. A rate of 0 leaves its kind alone. */
  learn(loss: Tensor, rates: Rates): void {
    const targets = [this.#means, this.#spreads, this.#logScales];
    const used = [rates.mean, rates.deviation, rates.scale];
    const learning = targets.filter((_, i) => used[i]! > 0);
    const gradients = grad(loss, learning);
    let at = 0;
    for (const [i, rate] of used.entries()) {
      if (rate > 0) this.#optimizers[i]!.update([gradients[at++]!], rate);
    }
  }

  /** Rounds the scales to bytes, and holds them there. */
  async roundScales(): Promise<Uint8Array> {
    const logs = await this.#logScales.read();
    const [least, most] = [scaleOf(0), scaleOf(255)];
    const bytes = Uint8Array.from(logs, (value) => nearestScale(Math.min(Math.max(exact.exp(value), least), most)));
    this.#logScales.assign(Float32Array.from(bytes, (byte) => exact.log(scaleOf(byte))));
    return bytes;
  }

  /** Means and logarithms of deviations, in the order of scalars. */
  async read(): Promise<{ readonly means: ArrayLike<number>; readonly logDeviations: ArrayLike<number> }> {
    const { mean, logDeviation } = this.#runtime.step(() => ({ ...this.#moments() }));
    return { means: await mean.read(), logDeviations: await logDeviation.read() };
  }

  /** Gives scalars their final values. */
  async fix(scalars: Uint32Array, values: Float32Array): Promise<void> {
    const free = Float32Array.from(await this.#free.read());
    const fixed = Float32Array.from(await this.#fixed.read());
    for (let j = 0; j < scalars.length; j++) {
      free[scalars[j]!] = 0;
      fixed[scalars[j]!] = values[j]!;
    }
    this.#free.assign(free);
    this.#fixed.assign(fixed);
  }

  /** All that training needs to go on, as plain data. */
  async save(): Promise<{ readonly arrays: Weights; readonly updates: readonly number[] }> {
    const arrays: NamedArray[] = [];
    for (const variable of this.#variables()) {
      const { name, shape } = variable;
      arrays.push({ name, shape, values: Float32Array.from(await variable.read()) });
    }
    for (const optimizer of this.#optimizers) arrays.push(...(await optimizer.state()).moments);
    return { arrays, updates: this.#optimizers.map(({ steps }) => steps) };
  }

  /** `noisy` says whether noise has begun. */
  restore(
    { arrays, updates }: { readonly arrays: Weights; readonly updates: readonly number[] },
    noisy: boolean,
  ): void {
    this.#noisy = noisy;
    const variables = this.#variables();
    for (const [i, variable] of variables.entries()) variable.assign(arrays[i]!.values);
    let at = variables.length;
    for (const [i, optimizer] of this.#optimizers.entries()) {
      optimizer.restore({ steps: updates[i]!, moments: arrays.slice(at, at + 2) });
      at += 2;
    }
  }

  #variables(): readonly Variable[] {
    return [this.#means, this.#spreads, this.#logScales, this.#free, this.#fixed, this.#prices];
  }
}

/** Scalars that weights share start at the mean of what they stand for. */
function meansOf(
  values: Float32Array,
  scalars: number,
  shared: { readonly scalars: Uint32Array; readonly signs?: Int8Array } | null,
): Float32Array {
  if (shared === null) return values;
  const sums = new Float32Array(scalars);
  const counts = new Uint32Array(scalars);
  for (let i = 0; i < values.length; i++) {
    const s = shared.scalars[i]!;
    sums[s]! += values[i]! * (shared.signs?.[i] ?? 1);
    counts[s]! += 1;
  }
  return sums.map((sum, s) => sum / Math.max(counts[s]!, 1));
}

/** The prior of a tensor that starts at zero. */
const smallestScale = 0.01;

interface Moments {
  readonly mean: Tensor;
  readonly logDeviation: Tensor;
}
