import { counting, type MixingRule } from "./mixing.ts";

/**
 * The constants of the model of levels, fitted to trained, pruned and quantized networks of 500 to 18,000 bytes. They
 * are part of the format. Format: section 7.7.
 */

/** How one kind of bit is mixed, and where its base contexts begin: the probability of a 0, in 1/65536. */
export interface BitRule extends MixingRule {
  readonly starts: readonly number[];
}

export interface KindRules {
  readonly zero: BitRule;
  readonly sign: BitRule;
  readonly magnitude: BitRule;
}

const zeroCounting = { rate: 64, base: counting(7, 464), further: counting(7, 50) };
const signCounting = { rate: 103, base: counting(9, 216), further: counting(6, 500) };
const magnitudeCounting = { rate: 64, base: counting(26, 500), further: counting(10, 23) };

/** Kernels, and dense matrices behind an image. */
export const spatialRules: KindRules = {
  zero: { ...zeroCounting, weights: [62300, 23500, 16100, 17900, 7100, 16400, 9800], starts: [45000] },
  sign: { ...signCounting, weights: [53000, 47600, 35500, 19700, -13100], starts: [32768] },
  magnitude: {
    ...magnitudeCounting,
    weights: [65500, 15100, 11900, 25100],
    starts: [36000, 46000, 48200, 52000, 54000, 56000],
  },
};

/** Dense matrices. */
export const denseRules: KindRules = {
  zero: { ...zeroCounting, weights: [62200, 12000, 6000], starts: [19800] },
  sign: { ...signCounting, weights: [59500], starts: [32768] },
  magnitude: {
    ...magnitudeCounting,
    weights: [58400, 6000, -7100],
    starts: [33200, 38200, 48800, 51000, 53800, 56000],
  },
};

/** One number per output. The first base of `zero` is for outputs that have no weights. */
export const biasRules: KindRules = {
  zero: { ...zeroCounting, weights: [87200], starts: [64000, 30800] },
  sign: { ...signCounting, weights: [89500], starts: [32768] },
  magnitude: { ...magnitudeCounting, weights: [90300], starts: [27000, 24000, 19800, 21800, 22500, 28200] },
};
