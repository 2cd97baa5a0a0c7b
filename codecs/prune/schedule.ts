import type { PruneRule } from "../prune.ts";

/*
 * Pruning in rounds, with training in between, hurts less than pruning at once. Rounds follow a cubic ramp, steep at
 * first, when much can go (Zhu and Gupta 2017, arXiv 1710.01878): of what there is to do, a part of (1 - way)^3 is left
 * after `way` of the rounds.
 */

/** The share to keep after `way` (from 0 to 1) of the rounds that end at `share`. */
export function shareAt(share: number, way: number): number {
  return share + (1 - share) * leftAt(way);
}

/**
 * The rules after `way` (from 0 to 1) of the rounds: at 0 they keep everything, at 1 they are the ones given. Shares
 * come down and thresholds go up. For deviations, `prune` has to be told which weights to measure: those before the
 * first round. Throws RangeError for a way outside 0 to 1.
 *
 *     const measured = { weights };
 *     for (let round = 1; round <= rounds; round++) {
 *       masks = prune(weights, rulesAt(rules, round / rounds), { masks, measured });
 *       ({ weights } = await fit({ ...training, weights: applyMasks(weights, masks), masks }));
 *     }
 */
export function rulesAt(rules: Readonly<Record<string, PruneRule>>, way: number): Readonly<Record<string, PruneRule>> {
  const done = 1 - leftAt(way);
  const ruleAt = (rule: PruneRule): PruneRule => {
    if ("share" in rule) return { share: shareAt(rule.share, way) };
    if ("threshold" in rule) return { threshold: done * rule.threshold };
    if ("deviations" in rule) return { deviations: done * rule.deviations };
    return { unitDeviations: done * rule.unitDeviations };
  };
  return Object.fromEntries(Object.entries(rules).map(([name, rule]) => [name, ruleAt(rule)]));
}

function leftAt(way: number): number {
  if (!(way >= 0 && way <= 1)) throw new RangeError(`prune: the way must be from 0 to 1, got ${way}`);
  const left = 1 - way;
  return left * left * left;
}
