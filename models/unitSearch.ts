import { parametersOf } from "../lib/architectures.ts";
import { DeviceError } from "../lib/errors.ts";
import { grad } from "../lib/grad.ts";
import * as exact from "../lib/math.ts";
import type { Network } from "../lib/network.ts";
import { add, multiply, square } from "../lib/ops/arithmetic.ts";
import { reshape } from "../lib/ops/layout.ts";
import { sum } from "../lib/ops/sum.ts";
import { adam } from "../lib/optimizers/adam.ts";
import type { Optimizer } from "../lib/optimizers/optimizer.ts";
import type { Runtime } from "../lib/runtime.ts";
import { sizeOf } from "../lib/shape.ts";
import type { Tensor, Variable } from "../lib/tensor.ts";
import type { Weights } from "../lib/weights.ts";
import { checkWhole } from "./check.ts";
import { readArrays } from "./learner.ts";
import { keepUnits, narrow } from "./narrow.ts";

export interface UnitSearchOptions {
  readonly runtime: Runtime;
  /** With all its units. */
  readonly network: Network;
  /** Weights of all of it, from which training starts. */
  readonly start: Weights;
  /** Weights that may be left in the end, biases included. */
  readonly size: number;
  /** What mistakes cost, from the tensors of `network`, which has fewer units from round to round. Inside a step. */
  readonly loss: (parameters: readonly Tensor[], at: { readonly network: Network; readonly step: number }) => Tensor;
  readonly steps: number;
  /** How often units are taken away. Default: 8. */
  readonly rounds?: number | undefined;
  readonly rate: number;
  /** Called every ten steps. What it returns is awaited; throwing ends the search. */
  readonly onProgress?: ((progress: UnitSearchProgress) => void | Promise<void>) | undefined;
}

export interface UnitSearchProgress {
  readonly step: number;
  readonly steps: number;
  /** Units that each layer but the last still has. */
  readonly live: readonly number[];
  readonly loss: number;
}

/** What a search needs to go on, as plain data. */
export interface UnitSearchState {
  readonly step: number;
  readonly live: readonly number[];
  readonly updates: number;
  readonly arrays: Weights;
}

const interval = 10;

/**
 * Learns how many units each layer needs: trains the whole network and takes units away in rounds, those first that
 * matter least for what their weights cost, until the rest has at most `size` weights. Sizes fall by the same factor in
 * every round.
 *
 * How much a unit matters (Molchanov et al. 2019, "Importance Estimation for Neural Network Pruning", arXiv 1906.10771,
 * equation 8): with a gate g = 1 on what it gives to the next layer,
 *
 *     importance = sum over steps of (dL / dg)^2,    dL / dg = sum over its outgoing weights of w dL / dw
 *
 * which to first order is what the loss would change by without the unit, squared. Where all images, draws and starting
 * weights are the same, so is the outcome.
 */
export class UnitSearch {
  readonly #options: UnitSearchOptions;
  readonly #rounds: number;
  readonly #first: number;
  #live: readonly number[];
  #network: Network;
  #variables: readonly Variable[] = [];
  #importances: readonly Variable[] = [];
  #optimizer!: Optimizer;
  #step = 0;

  /** Throws as `narrow`, and RangeError for a network without hidden units and for options outside their range. */
  constructor(options: UnitSearchOptions) {
    const { network, start, size, steps, rounds = 8 } = options;
    const shapes = matricesOf(network);
    if (shapes.length < 2) throw new RangeError(`units: ${network.name} has no hidden units to choose among`);
    checkWhole("units: size", size, 1, 2 ** 32);
    checkWhole("units: rounds", rounds, 1, 1000);
    checkWhole("units: steps", steps, rounds + 1, 2 ** 32);
    this.#options = options;
    this.#rounds = rounds;
    this.#live = shapes.slice(0, -1).map((shape) => shape.at(-1)!);
    this.#first = weightsOf(network, this.#live);
    this.#network = network;
    this.#begin(keepUnits(network, start, this.#live.map(counted)));
  }

  /** Trains to the end: the units that are left, and their weights as they stand then. */
  async run(): Promise<{ readonly live: readonly number[]; readonly weights: Weights }> {
    const { runtime, steps, rate, loss, onProgress } = this.#options;
    while (this.#step < steps) {
      const step = this.#step;
      const looks = (step + 1) % interval === 0 || step + 1 === steps;
      const found = runtime.step(() => {
        const value = loss(this.#variables, { network: this.#network, step });
        const gradients = grad(value, this.#variables);
        this.#weigh(gradients);
        this.#optimizer.update(gradients, rate);
        return looks ? value : null;
      });
      this.#step += 1;
      const last = found === null ? NaN : (await found.read())[0]!;
      if (found !== null && !Number.isFinite(last)) {
        throw new RangeError(`units: the loss is ${last} at step ${this.#step}; try a lower rate`);
      }
      // After the last round comes a part in which those that are left are trained.
      const round = Math.floor((this.#step * (this.#rounds + 1)) / steps);
      const before = Math.floor((step * (this.#rounds + 1)) / steps);
      if (round > before && round <= this.#rounds) await this.#takeAway(round);
      if (looks) await onProgress?.({ step: this.#step, steps, live: this.#live, loss: last });
    }
    return { live: this.#live, weights: await this.#weights() };
  }

  /** Where the search stands, between two steps. DeviceError in float64, which a state does not hold. */
  async save(): Promise<UnitSearchState> {
    if (!((await this.#variables[0]!.read()) instanceof Float32Array)) {
      throw new DeviceError(`units: a saved search is float32, got ${this.#options.runtime.description}`);
    }
    const { moments } = await this.#optimizer.state();
    const importances = await readArrays(this.#importances, this.#importances);
    const arrays = [...(await this.#weights()), ...importances, ...moments];
    return { step: this.#step, live: this.#live, updates: this.#optimizer.steps, arrays };
  }

  /** Goes on where `save` was called, with the same options. */
  restore({ step, live, updates, arrays }: UnitSearchState): void {
    this.#step = step;
    this.#live = live;
    this.#network = narrow(this.#options.network, live);
    const [tensors, layers] = [this.#variables.length, this.#importances.length];
    this.#begin(arrays.slice(0, tensors));
    this.#importances.forEach((variable, layer) => variable.assign(arrays[tensors + layer]!.values));
    this.#optimizer.restore({ steps: updates, moments: arrays.slice(tensors + layers) });
  }

  /** A round with the units that are left: what was measured in the one before says little of them. */
  #begin(weights: Weights): void {
    const { runtime } = this.#options;
    this.#variables = weights.map(({ name, shape, values }) => runtime.variable(values, shape, name));
    this.#importances = this.#live.map((units, i) => {
      return runtime.variable(new Float32Array(units), [units], `importance ${i}`);
    });
    this.#optimizer = adam(this.#variables);
  }

  /** Adds what this step says of each unit: its outgoing weights are the rows of the next layer's matrix. */
  #weigh(gradients: readonly Tensor[]): void {
    const matrices = this.#variables.flatMap((variable, t) => (variable.shape.length > 1 ? [t] : []));
    this.#importances.forEach((importance, layer) => {
      const t = matrices[layer + 1]!;
      const units = importance.shape[0]!;
      const { shape } = this.#variables[t]!;
      const outputs = shape.at(-1)!;
      const positions = sizeOf(shape) / units / outputs;
      const products = reshape(multiply(this.#variables[t]!, gradients[t]!), [positions, units, outputs]);
      importance.assign(add(importance, square(sum(products, { axes: [0, 2] }))));
    });
  }

  /** Takes away the units that matter least for their weights, until as few are left as the round should end with. */
  async #takeAway(round: number): Promise<void> {
    const { network, size } = this.#options;
    // "Sizes fall by the same factor in every round."
    const share = exact.exp((round / this.#rounds) * exact.log(size / this.#first));
    const goal = round === this.#rounds ? size : this.#first * share;
    const importances = await Promise.all(this.#importances.map((variable) => variable.read()));
    const order = importances.map((list) => counted(list.length).sort((a, b) => list[a]! - list[b]! || a - b));
    const live = [...this.#live];
    for (let left = weightsOf(network, live); left > goal; left = weightsOf(network, live)) {
      let [least, at] = [Infinity, -1];
      for (const [layer, units] of live.entries()) {
        if (units === 1) continue;
        const fewer = live.map((count, i) => (i === layer ? count - 1 : count));
        const unit = order[layer]![this.#live[layer]! - units]!;
        const each = importances[layer]![unit]! / (left - weightsOf(network, fewer));
        if (each < least) [least, at] = [each, layer];
      }
      if (at < 0) break;
      live[at]! -= 1;
    }
    const kept = live.map((count, layer) => order[layer]!.slice(-count).sort((a, b) => a - b));
    const weights = keepUnits(this.#network, await this.#weights(), kept);
    this.#live = live;
    this.#network = narrow(network, live);
    this.#begin(weights);
  }

  #weights(): Promise<Weights> {
    return readArrays(this.#variables, this.#variables);
  }
}

/** Weights of a network with so many live units, biases included. Throws as `narrow`. */
export function weightsOf(network: Network, live: readonly number[]): number {
  return parametersOf(narrow(network, live)).reduce((total, { shape }) => total + sizeOf(shape), 0);
}

function matricesOf(network: Network): (readonly number[])[] {
  return parametersOf(network).map(({ shape }) => shape).filter((shape) => shape.length > 1);
}

function counted(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
