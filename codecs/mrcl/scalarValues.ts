import { expandGroups, trainedCount } from "./hashGroups.ts";
import { drawsOf } from "./draws.ts";
import type { MrclModel } from "./model.ts";

/** All that a legacy code says of the numbers of its tensors. */
export interface MrclParts {
  readonly candidates: MrclModel["candidates"];
  readonly block: number;
  /** Of each tensor: how many numbers it has, how many of them share a scalar, and their scale. */
  readonly sizes: readonly number[];
  readonly groups: readonly number[];
  readonly scales: Float32Array;
  /** The chosen candidate of each block. */
  readonly indices: Uint32Array;
}

/** The numbers of each tensor. Format: section 5.7. */
export function valuesOfParts({ candidates, block, sizes, groups, scales, indices }: MrclParts): Float32Array[] {
  const counts = sizes.map((size, t) => trainedCount(size, groups[t]!));
  const scalars = counts.map((count) => new Float32Array(count));
  const starts = startsOf(counts);
  const total = starts.at(-1)!;
  const rows = indices.reduce((most, index) => Math.max(most, index), 0) + 1;
  const { order, candidate } = drawsOf({ candidates, block, blocks: indices.length, scalars: total, rows });
  const owners = ownersOf(starts, new Uint32Array(total));
  for (const [number, index] of indices.entries()) {
    for (let i = 0; i < block; i++) {
      const place = order[number * block + i]!;
      if (place >= total) continue;
      const tensor = owners[place]!;
      // A product of two float32 is exact in a float64, and rounded once as it is stored.
      scalars[tensor]![place - starts[tensor]!] = candidate(index, i) * scales[tensor]!;
    }
  }
  return scalars.map((values, t) => expandGroups(values, sizes[t]!, groups[t]!));
}

/** In the row of all scalars: where those of each tensor begin, and where the last ones end. */
export function startsOf(counts: readonly number[]): number[] {
  let at = 0;
  return [0, ...counts.map((count) => (at += count))];
}

/** In the row of all scalars: whose each one is. `owners` receives it. */
export function ownersOf(starts: readonly number[], owners: Uint32Array): Uint32Array {
  for (let t = 0; t + 1 < starts.length; t++) owners.fill(t, starts[t], starts[t + 1]);
  return owners;
}
