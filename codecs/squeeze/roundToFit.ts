import { largestLevel } from "../levelModel.ts";

/** One weight that goes to another level. */
interface Step {
  readonly tensor: number;
  readonly index: number;
  readonly level: number;
  /** How far its latent is from where it would be rounded to that level. */
  readonly distance: number;
}

/** Steps that are tried one by one, once the next of them would be too much. */
const singles = 16;

/**
 * Latents as levels that fit a budget as closely as can be: rounded, all of them a little further out or in, by as much
 * as it takes. Where that is the same for all, what pays least for its bits comes last and goes first, as training
 * holds a latent where what it is worth and what it costs are even. `fits` asks the coder itself; it should hold for
 * zeros. Nothing goes further out than the level after the nearest.
 */
export function roundToFit(
  latents: readonly Float32Array[],
  fits: (levels: readonly Int32Array[]) => boolean,
): Int32Array[] {
  const nearest = latents.map((values) => Int32Array.from(values, roundToEven));
  const grows = fits(nearest);
  const steps = grows ? outward(latents, nearest) : inward(latents, nearest);
  const after = (count: number): Int32Array[] => {
    const levels = nearest.map((tensor) => tensor.slice());
    for (const { tensor, index, level } of steps.slice(0, count)) levels[tensor]![index] = level;
    return levels;
  };
  // Outward, as many as fit; inward, as few as will do.
  let [few, many] = [0, steps.length];
  if (grows && fits(after(many))) return after(many);
  while (many - few > 1) {
    const middle = (few + many) >>> 1;
    if (fits(after(middle)) === grows) few = middle;
    else many = middle;
  }
  // Beyond that, some may fit still: outward the next, inward those that went last.
  const levels = after(grows ? few : many);
  const others = grows ? steps.slice(few, few + singles) : steps.slice(Math.max(0, many - singles), many).reverse();
  for (const { tensor, index, level } of others) {
    const now = levels[tensor]![index]!;
    levels[tensor]![index] = grows ? level : level + signOf(latents[tensor]![index]!);
    if (!fits(levels)) levels[tensor]![index] = now;
  }
  return levels;
}

/** Each weight to the next level away from 0, the nearest first. */
function outward(latents: readonly Float32Array[], levels: readonly Int32Array[]): Step[] {
  return inOrder(latents, (tensor, index, latent) => {
    const size = Math.abs(levels[tensor]![index]!);
    if (size === largestLevel) return [];
    return [{ tensor, index, level: signOf(latent) * (size + 1), distance: size + 0.5 - Math.abs(latent) }];
  });
}

/** Each weight level by level to 0. */
function inward(latents: readonly Float32Array[], levels: readonly Int32Array[]): Step[] {
  return inOrder(latents, (tensor, index, latent) => {
    const size = Math.abs(levels[tensor]![index]!);
    return Array.from({ length: size }, (_, i) => ({
      ...{ tensor, index, level: signOf(latent) * (size - 1 - i) },
      distance: Math.abs(latent) - (size - i - 0.5),
    }));
  });
}

function inOrder(
  latents: readonly Float32Array[],
  stepsOf: (tensor: number, index: number, latent: number) => Step[],
): Step[] {
  return latents
    .flatMap((values, tensor) => Array.from(values, (latent, index) => stepsOf(tensor, index, latent)).flat())
    .sort((a, b) => a.distance - b.distance || a.tensor - b.tensor || a.index - b.index);
}

function signOf(latent: number): number {
  return latent < 0 ? -1 : 1;
}

/** To the nearest whole number, in the middle to the even one: as `round` of the runtime. */
export function roundToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
}
