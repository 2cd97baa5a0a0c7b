import type { Weights } from "../lib/weights.ts";
import { applyMasks, countKept, prune } from "./prune.ts";

/** What a network is worth when one layer alone keeps a share of its weights, the others all they have. */
export interface SensitivityPoint {
  /** `<layer>.weight`. */
  readonly tensor: string;
  readonly share: number;
  /** Weights that are kept: `share` of them, to the nearest whole number. */
  readonly kept: number;
  /** What `accuracy` said. */
  readonly accuracy: number;
}

export interface SensitivityOptions {
  /** What weights are worth, by whatever measure: a share of right answers, or a loss. Called once per point. */
  readonly accuracy: (weights: Weights) => number | Promise<number>;
  /** Shares to keep, each from 0 to 1. Default: 1, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03. */
  readonly shares?: readonly number[] | undefined;
  /** Which tensors. Default: every `<layer>.weight`. */
  readonly tensors?: readonly string[] | undefined;
  /** Points that an earlier scan of the same weights found: they are not measured again. */
  readonly known?: readonly SensitivityPoint[] | undefined;
  /** Called after every point, with how many there are so far and how many there will be. */
  readonly onPoint?: (point: SensitivityPoint, done: number, total: number) => void | Promise<void>;
  /** Stops between two points by throwing its reason. */
  readonly signal?: AbortSignal | undefined;
}

export const usualShares: readonly number[] = [1, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03];

/**
 * How much each layer minds losing its smallest weights, without retraining (arXiv 1506.02626, figure 6): those that
 * mind least can be pruned hardest. Points come tensor by tensor, shares in the order given. Throws RangeError for
 * shares outside 0 to 1, and for tensors that do not exist.
 */
export async function sensitivity(weights: Weights, options: SensitivityOptions): Promise<SensitivityPoint[]> {
  const { accuracy, shares = usualShares, known = [], onPoint, signal } = options;
  const matrices = weights.map(({ name }) => name).filter((name) => name.endsWith(".weight"));
  const { tensors = matrices } = options;
  if (tensors.length === 0) throw new RangeError("sensitivity: needs a tensor called <layer>.weight, there is none");
  const total = tensors.length * shares.length;
  // Mistakes in the options show before the first measurement, which may take long.
  for (const tensor of tensors) for (const share of shares) check(weights, tensor, share);
  const points: SensitivityPoint[] = [];
  for (const tensor of tensors) {
    for (const share of shares) {
      signal?.throwIfAborted();
      let point = known.find((old) => old.tensor === tensor && old.share === share);
      if (point === undefined) {
        const masks = prune(weights, { [tensor]: { share } });
        const kept = countKept(masks.filter(({ name }) => name === tensor));
        point = { tensor, share, kept, accuracy: await accuracy(applyMasks(weights, masks)) };
      }
      points.push(point);
      await onPoint?.(point, points.length, total);
    }
  }
  return points;
}

function check(weights: Weights, tensor: string, share: number): void {
  if (!weights.some(({ name }) => name === tensor)) throw new RangeError(`sensitivity: there is no tensor "${tensor}"`);
  if (!(share >= 0 && share <= 1)) throw new RangeError(`sensitivity: shares must be from 0 to 1, got ${share}`);
}
