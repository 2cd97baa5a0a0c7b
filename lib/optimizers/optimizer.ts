import { ShapeError } from "../errors.ts";
import { where } from "../ops/arithmetic.ts";
import { checkFloats, type Operation } from "../ops/operation.ts";
import { equalShapes, formatShape, type Shape, sizeOf } from "../shape.ts";
import type { Tensor, Variable } from "../tensor.ts";
import type { Weights } from "../weights.ts";

/** An optimizer's memory as plain data: with it, training goes on as if it had never stopped. */
export interface OptimizerState {
  readonly steps: number;
  /** All moments, named `<parameter>.<moment>`, in order. */
  readonly moments: Weights;
}

/** How one parameter is updated, given its moments in the order of their names. */
export interface Rule {
  readonly moments: readonly string[];
  update(target: Target, gradient: Tensor, rate: number): void;
  /** Called once before the updates of a step, with its number, from 1. */
  begin(step: number): void;
}

export interface Target {
  readonly parameter: Variable;
  readonly moments: readonly Variable[];
  readonly mask: Variable | null;
}

/** Updates variables from their gradients by one rule, and keeps the moments that the rule needs. */
export class Optimizer {
  private readonly rule: Rule;
  private readonly targets: Target[];
  private taken = 0;

  /** @internal Made by `sgd`, `adam`, `adamW`. */
  constructor(parameters: readonly Variable[], rule: Rule) {
    if (parameters.length === 0) throw new ShapeError("optimizer: needs at least one parameter, got none");
    checkFloats("optimizer", parameters);
    this.rule = rule;
    this.targets = parameters.map((parameter) => ({
      parameter,
      moments: rule.moments.map((name) => zeros(parameter, `${parameter.name}.${name}`)),
      mask: null,
    }));
  }

  /** How many updates were made. */
  get steps(): number {
    return this.taken;
  }

  /**
   * One update of every parameter with `gradients`, in the order of the parameters, at learning rate `rate`. ShapeError
   * for gradients of other shapes, RangeError for a rate that is not finite; nothing has changed then.
   */
  update(gradients: readonly Tensor[], rate: number): void {
    if (gradients.length !== this.targets.length) {
      const count = this.targets.length;
      throw new ShapeError(`optimizer: ${count} parameters need as many gradients, got ${gradients.length}`);
    }
    this.targets.forEach(({ parameter: { name, shape } }, i) => {
      const found = gradients[i]!.shape;
      if (equalShapes(found, shape)) return;
      const wanted = formatShape(shape);
      throw new ShapeError(`optimizer: the gradient of ${name} must be ${wanted}, got ${formatShape(found)}`);
    });
    if (!Number.isFinite(rate)) throw new RangeError(`optimizer: the learning rate must be finite, got ${rate}`);
    this.taken += 1;
    this.rule.begin(this.taken);
    this.targets.forEach((target, i) => this.rule.update(target, gradients[i]!, rate));
  }

  /**
   * Holds parameters and moments at zero wherever their mask is 0, from now on and at once: one mask per parameter,
   * `null` for none. RangeError for a mask that holds anything but ones and zeros.
   */
  mask(masks: readonly (ArrayLike<number> | null)[]): void {
    if (masks.length !== this.targets.length) {
      throw new ShapeError(`mask: ${this.targets.length} parameters need as many masks, got ${masks.length}`);
    }
    this.targets.forEach((target, i) => {
      const mask = masks[i]!;
      const { parameter } = target;
      if (mask === null) {
        this.targets[i] = { ...target, mask: null };
        return;
      }
      if (Array.from(mask).some((value) => value !== 0 && value !== 1)) {
        throw new RangeError(`mask: ${parameter.name} needs a mask of ones and zeros`);
      }
      const variable = target.mask ?? zeros(parameter, `${parameter.name}.mask`);
      variable.assign(mask);
      this.targets[i] = { ...target, mask: variable };
      for (const held of [parameter, ...target.moments]) held.assign(where(variable, held, 0));
    });
  }

  /** A copy of the memory, for a checkpoint: exact in float32, rounded to it in float64. */
  async state(): Promise<OptimizerState> {
    const moments: Weights[number][] = [];
    for (const variable of this.targets.flatMap((target) => target.moments)) {
      moments.push({ name: variable.name, shape: variable.shape, values: Float32Array.from(await variable.read()) });
    }
    return { steps: this.taken, moments };
  }

  /** Takes over the memory of an optimizer of the same kind and parameters. */
  restore({ steps, moments }: OptimizerState): void {
    const own = this.targets.flatMap((target) => target.moments);
    const list = (named: readonly { name: string; shape: Shape }[]): string =>
      named.map(({ name, shape }) => `${name} ${formatShape(shape)}`).join(", ");
    if (list(moments) !== list(own)) {
      throw new ShapeError(`optimizer: the state must hold ${list(own)}; got ${list(moments)}`);
    }
    if (!Number.isSafeInteger(steps) || steps < 0) {
      throw new RangeError(`optimizer: steps must be a whole number from 0 up, got ${steps}`);
    }
    own.forEach((variable, i) => variable.assign(moments[i]!.values));
    this.taken = steps;
  }
}

/** A variable like `parameter`, all zero. */
export function zeros(parameter: Variable, name: string): Variable {
  return parameter.runtime.variable(new Float32Array(sizeOf(parameter.shape)), parameter.shape, name);
}

/**
 * How an update kernel is run on one parameter, with the mask behind the other inputs if there is one. `attributes`
 * says what the kernel is told with and without a mask. It is asked once: an object that is made anew at every update
 * outlives it in the collector.
 */
export function updater<Attributes>(
  operation: Operation<Attributes>,
  attributes: (masked: boolean) => Attributes,
): (target: Target, gradient: Tensor, scalars: readonly number[]) => void {
  const [free, held] = [attributes(false), attributes(true)];
  return ({ parameter, moments, mask }, gradient, scalars) => {
    const inputs = mask === null ? [parameter, gradient, ...moments] : [parameter, gradient, ...moments, mask];
    parameter.runtime.run(operation, inputs, { attributes: mask === null ? free : held, scalars });
  };
}

export function checkShare(name: string, share: number): void {
  if (!(share >= 0 && share < 1)) throw new RangeError(`${name} must be from 0 to below 1, got ${share}`);
}

export function checkWeightDecay(name: string, decay: number): void {
  if (!(decay >= 0 && decay < Infinity)) throw new RangeError(`${name}: weightDecay must be from 0 up, got ${decay}`);
}
