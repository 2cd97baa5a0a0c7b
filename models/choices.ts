import { adam, type AdamOptions, adamW } from "../lib/optimizers/adam.ts";
import type { Optimizer } from "../lib/optimizers/optimizer.ts";
import { constantRate, cosineRate, oneCycleRate, type Schedule, stepRate } from "../lib/optimizers/schedule.ts";
import { sgd, type SgdOptions } from "../lib/optimizers/sgd.ts";
import type { Variable } from "../lib/tensor.ts";

/** An optimizer as plain data, so that a checkpoint can tell whether it is the same. */
export type OptimizerChoice =
  | ({ readonly name: "sgd" } & SgdOptions)
  | ({ readonly name: "adam" } & AdamOptions)
  | ({ readonly name: "adamW" } & AdamOptions);

/** A learning rate per step as plain data. It knows the number of steps from the training. */
export type ScheduleChoice =
  | { readonly name: "constant"; readonly rate: number }
  /** Multiplied by `factor` (default 0.1) after every `every` steps. */
  | { readonly name: "step"; readonly rate: number; readonly every: number; readonly factor?: number }
  /** Half a cosine from `rate` down to `end` (default 0). */
  | { readonly name: "cosine"; readonly rate: number; readonly end?: number }
  /** From `rate / divisor` (25) up to `rate` over the first `warm` (0.3) of the steps, then down to `end` (0). */
  | {
      readonly name: "oneCycle";
      readonly rate: number;
      readonly warm?: number;
      readonly divisor?: number;
      readonly end?: number;
    };

/** The optimizer that was chosen. Throws RangeError for a setting outside its range. */
export function optimizerOf(choice: OptimizerChoice, parameters: readonly Variable[]): Optimizer {
  checkOptimizer(choice);
  switch (choice.name) {
    case "sgd":
      return sgd(parameters, choice);
    case "adam":
      return adam(parameters, choice);
    case "adamW":
      return adamW(parameters, choice);
  }
}

/** The schedule that was chosen, over so many steps. Throws RangeError for a setting outside its range. */
export function scheduleOf(choice: ScheduleChoice, steps: number): Schedule {
  checkSchedule(choice);
  switch (choice.name) {
    case "constant":
      return constantRate(choice.rate);
    case "step":
      return stepRate(choice.rate, choice);
    case "cosine":
      return cosineRate(choice.rate, { steps, end: choice.end ?? 0 });
    case "oneCycle": {
      const { rate, warm = 0.3, divisor = 25, end = 0 } = choice;
      return oneCycleRate(rate, { steps, warm, divisor, end });
    }
  }
}

/** Throws RangeError unless every setting of the optimizer is within its range. */
export function checkOptimizer(choice: OptimizerChoice): void {
  const check = checker(`optimizer ${choice.name}`, choice);
  switch (choice.name) {
    case "sgd":
      check("momentum", "from 0 to below 1", (value) => value >= 0 && value < 1);
      check("weightDecay", "0 or above", (value) => value >= 0);
      if (choice.nesterov === true && !((choice.momentum ?? 0) > 0)) {
        throw new RangeError("optimizer sgd: Nesterov's form needs a momentum above 0");
      }
      return;
    case "adam":
    case "adamW":
      check("beta1", "from 0 to below 1", (value) => value >= 0 && value < 1);
      check("beta2", "from 0 to below 1", (value) => value >= 0 && value < 1);
      check("epsilon", "above 0", (value) => value > 0);
      check("weightDecay", "0 or above", (value) => value >= 0);
      return;
    default:
      throw new RangeError(`optimizer: there is no ${nameOf(choice)}; there are sgd, adam, adamW`);
  }
}

/** Throws RangeError unless every setting of the schedule is within its range. */
export function checkSchedule(choice: ScheduleChoice): void {
  const check = checker(`schedule ${choice.name}`, choice);
  switch (choice.name) {
    case "constant":
    case "cosine":
      break;
    case "step":
      check("every", "a whole number from 1 up", (value) => Number.isSafeInteger(value) && value >= 1);
      check("factor", "above 0", (value) => value > 0);
      break;
    case "oneCycle":
      check("warm", "from 0 to below 1", (value) => value >= 0 && value < 1);
      check("divisor", "at least 1", (value) => value >= 1);
      break;
    default:
      throw new RangeError(`schedule: there is no ${nameOf(choice)}; there are constant, step, cosine, oneCycle`);
  }
  if (choice.rate === undefined) throw new RangeError(`schedule ${choice.name}: needs a rate`);
  check("rate", "above 0", (value) => value > 0);
  check("end", "0 or above", (value) => value >= 0);
}

/** Checks one setting, if it is given: it must be a finite number within its range. */
type Check = (key: string, range: string, holds: (value: number) => boolean) => void;

function checker(what: string, choice: object): Check {
  return (key, range, holds) => {
    const value: unknown = (choice as Readonly<Record<string, unknown>>)[key];
    if (value === undefined || (typeof value === "number" && Number.isFinite(value) && holds(value))) return;
    throw new RangeError(`${what}: ${key} must be ${range}, got ${String(value)}`);
  };
}

function nameOf(choice: never): string {
  return JSON.stringify((choice as { readonly name?: unknown }).name);
}
