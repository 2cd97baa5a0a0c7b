import { chooseLevels, codedBits, codedBytes, largestLevel } from "../levels.ts";
import type { LevelWeights } from "../levelWeights.ts";
import { scaleOf } from "../scale.ts";

/** Mean loss over many images, in nats, at some weights: its slope and its curvature along each weight. */
export interface Slopes {
  /** Per tensor. */
  readonly gradients: readonly Float32Array[];
  /** Per tensor, never negative; the mean square of gradients of single images will do (Fisher). */
  readonly curvatures: readonly Float32Array[];
}

export interface RefineOptions {
  readonly shapes: readonly (readonly number[])[];
  /** What a bit is worth, in nats per image. */
  readonly price: number;
  /** Bits that the levels may take at most, as bytes; those that take more already only fall. Default: no limit. */
  readonly most?: number | undefined;
  /** Mean loss of a network of these levels, over as many images as can be: with few it learns them by heart. */
  readonly judge: (levels: readonly Int32Array[]) => Promise<number>;
  readonly slopes: (levels: readonly Int32Array[]) => Promise<Slopes>;
  /** How often slopes are asked for anew. Default: 3. */
  readonly rounds?: number | undefined;
  /** How often `judge` may be asked in a round. Default: 60. */
  readonly trials?: number | undefined;
  readonly onProgress?: ((progress: RefineProgress) => void | Promise<void>) | undefined;
}

export interface RefineProgress {
  readonly round: number;
  readonly rounds: number;
  readonly trial: number;
  readonly trials: number;
  readonly loss: number;
  readonly bits: number;
}

interface Move {
  readonly tensor: number;
  readonly index: number;
  readonly level: number;
  /** What is hoped for: nats saved, bits included. */
  readonly gain: number;
}

/** Moves that are tried together at first. A group that does not pay is halved. */
const together = 32;

/**
 * Rate-distortion refinement with the real coder: levels move by one, or to zero, where loss + price * bits falls. The
 * slopes and the coder's own prices tell which moves are worth a trial; whether they stay is measured, in groups. Never
 * ends with more loss + price * bits than it began with.
 */
export async function refine(coded: LevelWeights, options: RefineOptions): Promise<LevelWeights> {
  const { shapes, price, most = Infinity, judge, slopes, rounds = 3, trials = 60, onProgress } = options;
  if (!(price >= 0 && price < Infinity)) throw new RangeError(`refine: the price must be 0 or more, got ${price}`);
  const isWithin = (some: Int32Array[]): boolean => most === Infinity || 8 * codedBytes(shapes, some) <= most;
  let levels = coded.levels.map((tensor) => tensor.slice());
  let bits = codedBits(shapes, levels);
  let loss = await judge(levels);
  for (let round = 0; round < rounds; round++) {
    const moves = promising(coded.scales, shapes, levels, await slopes(levels), price);
    const waiting: Move[][] = [];
    for (let at = 0; at < moves.length; at += together) waiting.push(moves.slice(at, at + together));
    let kept = 0;
    for (let trial = 0; trial < trials && waiting.length > 0; trial++) {
      const group = waiting.shift()!;
      const tried = levels.map((tensor) => tensor.slice());
      for (const { tensor, index, level } of group) tried[tensor]![index] = level;
      const triedBits = codedBits(shapes, tried);
      const fits = isWithin(tried) || (triedBits <= bits && !isWithin(levels));
      const triedLoss = fits ? await judge(tried) : Infinity;
      if (triedLoss + price * triedBits < loss + price * bits) {
        [levels, bits, loss] = [tried, triedBits, triedLoss];
        kept += group.length;
      } else if (group.length > 1) {
        const half = group.length >>> 1;
        waiting.unshift(group.slice(0, half), group.slice(half));
      }
      await onProgress?.({ round, rounds, trial, trials, loss, bits });
    }
    if (kept === 0) break;
  }
  const scales = coded.scales.map((scale, t) => (levels[t]!.some((level) => level !== 0) ? scale : 0));
  return { method: "levels", scales, levels };
}

/** The best move of each weight that promises something, the best first. */
function promising(
  scales: Uint8Array,
  shapes: RefineOptions["shapes"],
  levels: readonly Int32Array[],
  { gradients, curvatures }: Slopes,
  price: number,
): Move[] {
  const moves: Move[] = [];
  // A walk through the levels as they are, that asks at every place what others would cost there.
  chooseLevels(shapes, levels, (tensor, index, costOf) => {
    const now = levels[tensor]![index]!;
    const scale = scaleOf(scales[tensor]!);
    const before = costOf(now);
    let best: Move | undefined;
    for (const level of new Set([now - 1, now + 1, 0])) {
      if (level === now || Math.abs(level) > largestLevel) continue;
      const step = scale * (level - now);
      const harm = gradients[tensor]![index]! * step + (curvatures[tensor]![index]! * step * step) / 2;
      const gain = price * (before - costOf(level)) - harm;
      if (gain > 0 && gain > (best?.gain ?? 0)) best = { tensor, index, level, gain };
    }
    if (best !== undefined) moves.push(best);
    return now;
  });
  return moves.sort((a, b) => b.gain - a.gain || a.tensor - b.tensor || a.index - b.index);
}
