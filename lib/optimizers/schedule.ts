import { cos } from "../math.ts";

/** A learning rate per step, counted from 0. */
export type Schedule = (step: number) => number;

/** Always `rate`. */
export function constantRate(rate: number): Schedule {
  return () => rate;
}

/** `rate`, multiplied by `factor` after every `every` steps. */
export function stepRate(rate: number, { every, factor = 0.1 }: { every: number; factor?: number }): Schedule {
  return (step) => {
    let current = rate;
    for (let drops = Math.floor(step / every); drops > 0; drops--) current *= factor;
    return current;
  };
}

/** Half a cosine from `rate` down to `end` over `steps`, and `end` from there on (arXiv 1608.03983, without restarts). */
export function cosineRate(rate: number, { steps, end = 0 }: { steps: number; end?: number }): Schedule {
  return (step) => {
    if (step >= steps) return end;
    return end + (rate - end) * 0.5 * (1 + cos((Math.PI * step) / steps));
  };
}

/**
 * One cycle (Smith & Topin 2018, arXiv 1708.07120): a cosine from `rate / divisor` up to `rate` over the first `warm`
 * share of `steps`, then a cosine down to `end`.
 */
export function oneCycleRate(
  rate: number,
  { steps, warm = 0.3, divisor = 25, end = 0 }: { steps: number; warm?: number; divisor?: number; end?: number },
): Schedule {
  const turn = warm * steps;
  const down = cosineRate(rate, { steps: steps - turn, end });
  return (step) => {
    if (step >= turn) return down(step - turn);
    return rate / divisor + (rate - rate / divisor) * 0.5 * (1 - cos((Math.PI * step) / turn));
  };
}
