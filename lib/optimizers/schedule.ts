import { cos } from "../math.ts";

/** A learning rate per step, counted from 0. */
export type Schedule = (step: number) => number;

/** Always `rate`. RangeError unless it is finite and not negative, here and below. */
export function constantRate(rate: number): Schedule {
  check("constantRate", { rate });
  return () => rate;
}

/** `rate`, multiplied by `factor` after every `every` steps. RangeError unless `every` is a whole number from 1 up. */
export function stepRate(rate: number, { every, factor = 0.1 }: { every: number; factor?: number }): Schedule {
  check("stepRate", { rate, factor });
  checkSteps("stepRate", { every });
  return (step) => {
    let current = rate;
    for (let drops = Math.floor(step / every); drops > 0; drops--) current *= factor;
    return current;
  };
}

/**
 * Half a cosine from `rate` to `end` over `steps`, and `end` from there on (arXiv 1608.03983, without restarts).
 * RangeError unless `steps` is a whole number from 1 up.
 */
export function cosineRate(rate: number, { steps, end = 0 }: { steps: number; end?: number }): Schedule {
  check("cosineRate", { rate, end });
  checkSteps("cosineRate", { steps });
  return (step) => between(rate, end, step / steps);
}

/**
 * One cycle (Smith & Topin 2018, arXiv 1708.07120): half a cosine from `rate / divisor` up to `rate` over the first
 * `warm` share of `steps`, then one down to `end`. RangeError unless `steps` is a whole number from 1 up, `warm` from 0
 * (begins at `rate`) to 1 (rises to the end), `divisor` above 0.
 */
export function oneCycleRate(
  rate: number,
  { steps, warm = 0.3, divisor = 25, end = 0 }: { steps: number; warm?: number; divisor?: number; end?: number },
): Schedule {
  check("oneCycleRate", { rate, end });
  checkSteps("oneCycleRate", { steps });
  if (!(warm >= 0 && warm <= 1)) throw new RangeError(`oneCycleRate: warm must be from 0 to 1, got ${warm}`);
  if (!(divisor > 0)) throw new RangeError(`oneCycleRate: divisor must be above 0, got ${divisor}`);
  const turn = warm * steps;
  return (step) => {
    if (step >= steps) return end;
    if (step < turn) return between(rate / divisor, rate, step / turn);
    return between(rate, end, (step - turn) / (steps - turn));
  };
}

/** Half a cosine from `from` at 0 to `to` at 1, and `to` from there on. */
function between(from: number, to: number, share: number): number {
  return share >= 1 ? to : to + (from - to) * 0.5 * (1 + cos(Math.PI * share));
}

function check(name: string, rates: Record<string, number>): void {
  for (const [key, value] of Object.entries(rates)) {
    if (!(value >= 0 && value < Infinity)) {
      throw new RangeError(`${name}: ${key} must be finite and not negative, got ${value}`);
    }
  }
}

function checkSteps(name: string, counts: Record<string, number>): void {
  for (const [key, value] of Object.entries(counts)) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new RangeError(`${name}: ${key} must be a whole number from 1 up, got ${value}`);
    }
  }
}
