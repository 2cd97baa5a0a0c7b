import { largestBlock } from "../randomCode.ts";

/**
 * Sizes of blocks, in the order of scalars, of about equal KL: each block ends where the KL so far is nearest to its
 * share of the whole.
 */
export function cutEqually(
  order: Uint32Array,
  divergences: ArrayLike<number>,
  blocks: number,
): Uint16Array<ArrayBuffer> {
  const total = order.reduce((sum, s) => sum + divergences[s]!, 0);
  const sizes = new Uint16Array(blocks);
  let [at, sum] = [0, 0];
  for (let b = 0; b < blocks; b++) {
    const left = blocks - 1 - b;
    const goal = (total * (b + 1)) / blocks;
    const most = Math.min(order.length - at - left, largestBlock);
    // What the blocks behind cannot hold must be in here.
    const least = Math.max(1, order.length - at - left * largestBlock);
    let size = 0;
    while (size < most) {
      const next = divergences[order[at + size]!]!;
      if (size >= least && left > 0 && sum + next / 2 > goal) break;
      sum += next;
      size += 1;
    }
    sizes[b] = size;
    at += size;
  }
  return sizes;
}
