import { DeviceError } from "../lib/errors.ts";
import { grad } from "../lib/grad.ts";
import { add, multiply } from "../lib/ops/arithmetic.ts";
import { concat, reshape } from "../lib/ops/layout.ts";
import { type Average, movingAverage } from "../lib/optimizers/average.ts";
import type { Optimizer } from "../lib/optimizers/optimizer.ts";
import type { Runtime } from "../lib/runtime.ts";
import { equalShapes, formatShape, type Shape } from "../lib/shape.ts";
import type { Tensor, Variable } from "../lib/tensor.ts";
import type { NamedArray, Weights } from "../lib/weights.ts";
import { type OptimizerChoice, optimizerOf } from "./choices.ts";

/** Which scalars of a tensor are trained: 1 for trained, 0 for held at zero, in the order of its values. */
export interface Mask {
  readonly name: string;
  readonly values: Uint8Array;
}

export interface LearnerOptions {
  readonly runtime: Runtime;
  /** The arrays to train, with the values they start from. */
  readonly start: Weights;
  readonly optimizer: OptimizerChoice;
  /** Holds weights, gradients, moments and averages at zero where a mask is 0. Tensors without a mask are free. */
  readonly masks?: readonly Mask[] | undefined;
  /** Also keeps exponential moving averages of what is trained. */
  readonly average?: { readonly decay: number } | undefined;
}

/** What a step measures: single numbers. They are summed on the device. */
export interface Measures {
  /** What is minimised. */
  readonly loss: Tensor;
  /** Images that the network got right, if somebody counts them. */
  readonly hits?: Tensor;
}

/**
 * What is trained, with everything that its training remembers: variables, moments, masks, averages, and the sums of
 * what was measured since they were last cleared. Its memory can be taken out and put back between any two steps.
 */
export class Learner {
  readonly runtime: Runtime;
  readonly variables: readonly Variable[];
  readonly #optimizer: Optimizer;
  readonly #average: Average | null;
  readonly #loss: Variable;
  readonly #hits: Variable;
  /** Both, to be read at once; a variable, because its memory on a device is used again. */
  readonly #totals: Variable;

  constructor({ runtime, start, optimizer, masks = [], average }: LearnerOptions) {
    this.runtime = runtime;
    this.variables = start.map(({ name, shape, values }) => runtime.variable(values, shape, name));
    this.#optimizer = optimizerOf(optimizer, this.variables);
    // A mask of ones holds nothing, and updates without a mask are quicker.
    const holding = masks.filter(({ values }) => values.includes(0));
    this.#optimizer.mask(start.map(({ name }) => holding.find((mask) => mask.name === name)?.values ?? null));
    // After the masks, so that averages begin at zero where weights are held there.
    this.#average = average === undefined ? null : movingAverage(this.variables, average.decay);
    this.#loss = runtime.variable([0], [], "total.loss");
    this.#hits = runtime.variable([0], [], "total.hits");
    this.#totals = runtime.variable([0, 0], [2], "totals");
  }

  /** What training arrived at: the averages, if they are kept, else the variables themselves. */
  get result(): readonly Variable[] {
    return this.#average?.variables ?? this.variables;
  }

  /** One update at learning rate `rate`. `measure` makes the loss from the variables, on the tape, inside a step. */
  step(rate: number, measure: (variables: readonly Variable[]) => Measures): void {
    this.runtime.step(() => {
      const { loss, hits } = measure(this.variables);
      this.#optimizer.update(grad(loss, this.variables), rate);
      this.#average?.update();
      this.#loss.assign(add(this.#loss, loss));
      if (hits !== undefined) this.#hits.assign(add(this.#hits, hits));
    });
  }

  /** The sums of what the steps measured, in one reading. A loss that was not finite once stays so. */
  async totals(): Promise<{ loss: number; hits: number }> {
    // Products, because a variable under another shape would be a copy that waits for the garbage collector.
    this.runtime.step(() =>
      this.#totals.assign(concat([this.#loss, this.#hits].map((total) => reshape(multiply(total, 1), [1])))),
    );
    const [loss, hits] = await this.#totals.read();
    return { loss: loss!, hits: hits! };
  }

  clearTotals(): void {
    this.#loss.assign([0]);
    this.#hits.assign([0]);
  }

  /** The memory as plain data: with it, training goes on as if it had never stopped. Throws DeviceError in float64. */
  async save(): Promise<Weights> {
    if (!((await this.#loss.read()) instanceof Float32Array)) {
      throw new DeviceError(`learner: a saved memory is float32, got ${this.runtime.description}`);
    }
    const { moments } = await this.#optimizer.state();
    const averages = this.#average?.variables ?? [];
    const totals = [this.#loss, this.#hits];
    return [
      ...(await readArrays(this.variables, this.variables)),
      ...moments,
      ...(await readArrays(averages, averages)),
      ...(await readArrays(totals, totals)),
    ];
  }

  /** Takes over the memory of a learner of the same arrays and options after `steps` steps. */
  async restore(steps: number, memory: Weights): Promise<void> {
    const own = await this.save();
    const fits = ({ name, shape }: NamedArray, i: number): boolean =>
      memory[i]?.name === name && equalShapes(memory[i].shape, shape);
    if (memory.length !== own.length || !own.every(fits)) {
      const list = (weights: Weights): string => weights.map(({ name, shape }) => name + formatShape(shape)).join(", ");
      throw new RangeError(`learner: its memory holds ${list(own)}; got ${list(memory)}`);
    }
    const assign = (variables: readonly Variable[], from: number): number => {
      variables.forEach((variable, i) => variable.assign(memory[from + i]!.values));
      return from + variables.length;
    };
    const moments = memory.length - 2 - this.variables.length - (this.#average?.variables.length ?? 0);
    let at = assign(this.variables, 0);
    this.#optimizer.restore({ steps, moments: memory.slice(at, at + moments) });
    at = assign(this.#average?.variables ?? [], at + moments);
    assign([this.#loss, this.#hits], at);
  }
}

/** The numbers of tensors under the names and shapes of `like`, rounded to float32 where they are more than that. */
export async function readArrays(
  like: readonly { readonly name: string; readonly shape: Shape }[],
  tensors: readonly Tensor[],
): Promise<Weights> {
  const arrays: NamedArray[] = [];
  for (const [i, { name, shape }] of like.entries()) {
    arrays.push({ name, shape, values: Float32Array.from(await tensors[i]!.read()) });
  }
  return arrays;
}
