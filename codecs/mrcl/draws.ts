import { Budget } from "../codec.ts";
import { MersenneTwister } from "./mersenneTwister.ts";
import type { MrclModel } from "./model.ts";
import { normalQuantile } from "./normalQuantile.ts";
import { sobolTable } from "./sobol.ts";

/** What both sides of a legacy code make themselves. */
export interface Draws {
  /** By place in the row of all blocks: the number of its scalar. Numbers behind the last scalar are padding. */
  readonly order: Uint32Array;
  /** Entry `position` of candidate number `index`, a float32. */
  readonly candidate: (index: number, position: number) => number;
}

export interface DrawsOptions {
  readonly candidates: MrclModel["candidates"];
  readonly block: number;
  /** How many blocks, and how many scalars there are in them. */
  readonly blocks: number;
  readonly scalars: number;
  /** How many candidates are wanted; there are no others then. */
  readonly rows: number;
}

/** Of all published files. */
const seed = 53;

/** The order of the scalars and the candidates of a legacy code. Format: section 6.4. */
export function drawsOf(
  { candidates, block, blocks, scalars, rows }: DrawsOptions,
  budget: Budget = new Budget(),
): Draws {
  const random = new MersenneTwister(seed);
  const total = blocks * block;
  // The older program drew the order first. In both, what started the training was drawn from the same stream.
  if (candidates === "normal") {
    const order = random.permutation(total, budget.uint32(total));
    random.skipNormals(total);
    // Rows of normals, one after the other from the stream.
    const table = budget.float32(rows * block);
    for (let i = 0; i < table.length; i++) table[i] = random.normal();
    return { order, candidate: (index, position) => table[index * block + position]! };
  }
  random.skipNormals(scalars);
  const order = random.permutation(total, budget.uint32(total));
  const table = sobolTable(block);
  return { order, candidate: (index, position) => Math.fround(normalQuantile(table(index, position) / 2 ** 30)) };
}
