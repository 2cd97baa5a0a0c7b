import { type Key, permutation, fillWords, STREAMS } from "../lib/random.ts";
import { type Grid, gridsOf } from "./grid.ts";

/**
 * How the weights of tensors follow from fewer trained scalars: units that are not live have no weights, and weights of
 * one group share a scalar. Format: section 5.5, "Live weights", "Trained scalars" and "Blocks".
 */

/** How many weights share one scalar: neighbours, as published, or those that a hash names, with signs. */
export interface Group {
  readonly size: number;
  readonly hashed: boolean;
}

export interface ScalarsOptions {
  /** Live outputs of each tensor that is no bias, but for the last. Default: all. */
  readonly live?: readonly number[] | undefined;
  /** Per tensor. Default: each weight its own scalar. */
  readonly groups?: readonly Group[] | undefined;
}

/** One tensor of a section: which of its units are live, and how many scalars it is made of. */
export interface TensorScalars {
  readonly grid: Grid;
  readonly liveInputs: number;
  readonly liveOutputs: number;
  /** Live weights. */
  readonly weights: number;
  readonly group: Group;
  /** Trained scalars. */
  readonly scalars: number;
}

/** "At most 2^21 for each tensor": what a permutation may have. */
export const mostScalars = 2 ** 21;

const alone: Group = { size: 1, hashed: false };

/** How many tensors have live counts: those of weights, but for the last one. */
export function countedTensors(shapes: readonly (readonly number[])[]): number {
  return Math.max(0, shapes.filter((shape) => shape.length > 1).length - 1);
}

/**
 * What the tensors of these shapes are made of. RangeError for live counts or groups that do not go with the shapes.
 */
export function scalarsOf(
  shapes: readonly (readonly number[])[],
  { live, groups }: ScalarsOptions = {},
): TensorScalars[] {
  const grids = gridsOf(shapes);
  const counted = countedTensors(shapes);
  if (live !== undefined && live.length !== counted) {
    throw new RangeError(`miracle: live counts are for ${counted} tensors, got ${live.length}`);
  }
  if (groups !== undefined && groups.length !== shapes.length) {
    throw new RangeError(`miracle: groups are for ${shapes.length} tensors, got ${groups.length}`);
  }
  let layer = 0;
  /** The tensor before that was no bias. */
  let before: { readonly outputs: number; readonly live: number } | undefined;
  return grids.map((grid, t) => {
    const { kind, height, width, inputs, outputs } = grid;
    let liveInputs = inputs;
    let liveOutputs = outputs;
    if (kind === "bias") {
      if (before?.outputs === outputs) liveOutputs = before.live;
    } else {
      if (before?.outputs === inputs) liveInputs = before.live;
      if (live !== undefined && layer < counted) liveOutputs = live[layer]!;
      layer += 1;
      if (!(Number.isInteger(liveOutputs) && liveOutputs >= 1 && liveOutputs <= outputs)) {
        throw new RangeError(`miracle: live units must be from 1 to ${outputs}, got ${liveOutputs}`);
      }
      before = { outputs, live: liveOutputs };
    }
    const weights = height * width * liveInputs * liveOutputs;
    const group = groups?.[t] ?? alone;
    if (!(Number.isInteger(group.size) && group.size >= 1 && group.size <= weights)) {
      throw new RangeError(`miracle: a group must have from 1 to ${weights} weights, got ${group.size}`);
    }
    return { grid, liveInputs, liveOutputs, weights, group, scalars: scalarCount(weights, group) };
  });
}

function scalarCount(weights: number, { size, hashed }: Group): number {
  return hashed ? Math.ceil(weights / size) : Math.floor(weights / size) + (weights % size);
}

/** The place in its tensor, row-major, of each live weight. */
export function placesOf({ grid, liveInputs, liveOutputs, weights }: TensorScalars): Uint32Array<ArrayBuffer> {
  const { height, width, inputs, outputs } = grid;
  const places = new Uint32Array(weights);
  let at = 0;
  for (let pixel = 0; pixel < height * width; pixel++) {
    for (let i = 0; i < liveInputs; i++) {
      for (let o = 0; o < liveOutputs; o++) places[at++] = (pixel * inputs + i) * outputs + o;
    }
  }
  return places;
}

/** The scalar of each live weight of tensor number `t`, and its sign. Without signs all are positive. */
export function sourcesOf(
  { weights, group: { size, hashed }, scalars }: TensorScalars,
  key: Key,
  t: number,
): { readonly scalars: Uint32Array<ArrayBuffer>; readonly signs?: Int8Array<ArrayBuffer> } {
  const sources = new Uint32Array(weights);
  if (!hashed) {
    // "i / g if i < q * g, else q + i - q * g."
    const whole = Math.floor(weights / size);
    for (let i = 0; i < weights; i++) {
      sources[i] = i < whole * size ? Math.floor(i / size) : whole + i - whole * size;
    }
    return { scalars: sources };
  }
  // "s = floor(w * m / 2^32), sign -1 if w is odd."
  const signs = new Int8Array(weights);
  fillWords(sources, key, { stream: STREAMS.hashGroups, block: t });
  for (let i = 0; i < weights; i++) {
    const word = sources[i]!;
    signs[i] = word % 2 === 1 ? -1 : 1;
    sources[i] = Math.floor((word * scalars) / 4294967296);
  }
  return { scalars: sources, signs };
}

/**
 * Whether groups are runs of neighbouring outputs, which have equal weights then: the scalars are those of one output
 * of each run, row-major.
 */
export function sharesOutputs({ grid: { kind }, liveOutputs, group: { size, hashed } }: TensorScalars): boolean {
  return kind !== "bias" && !hashed && size > 1 && liveOutputs % size === 0;
}

/**
 * All scalars in the order in which blocks take them, so that every block has the same share of every tensor. Scalars
 * are counted through all tensors, those of the first one first.
 */
export function blockOrder(tensors: readonly TensorScalars[], key: Key): Uint32Array<ArrayBuffer> {
  const counts = tensors.map(({ scalars }) => scalars);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const orders = counts.map((count, t) => permutation(count, key, { stream: STREAMS.partition, block: t }));
  const starts = counts.map((_, t) => counts.slice(0, t).reduce((sum, count) => sum + count, 0));
  const taken = counts.map(() => 0);
  // "From the tensor with the smallest (2 * taken + 1) / m, the first where equal." Cross products stay below 2^43.
  const isBefore = (a: number, b: number): boolean => {
    const difference = (2 * taken[a]! + 1) * counts[b]! - (2 * taken[b]! + 1) * counts[a]!;
    return difference !== 0 ? difference < 0 : a < b;
  };
  const heap = counts.map((_, t) => t).sort((a, b) => (isBefore(a, b) ? -1 : 1));
  const row = new Uint32Array(total);
  for (let i = 0; i < total; i++) {
    const t = heap[0]!;
    row[i] = starts[t]! + orders[t]![taken[t]!]!;
    taken[t]! += 1;
    if (taken[t] === counts[t]) {
      const last = heap.pop()!;
      if (heap.length === 0) break;
      if (last !== t) heap[0] = last;
    }
    sink(heap, isBefore);
  }
  return row;
}

/** Puts the first entry of a heap where it belongs. */
function sink(heap: number[], isBefore: (a: number, b: number) => boolean): void {
  const moved = heap[0]!;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
    if (!isBefore(heap[child]!, moved)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = moved;
}

/** Where each of `blocks` blocks begins in the row of all scalars, and where the last one ends. */
export function blockStarts(total: number, blocks: number, sizes?: Uint16Array): Float64Array<ArrayBuffer> {
  const starts = new Float64Array(blocks + 1);
  for (let b = 1; b <= blocks; b++) {
    // "Places floor(b * N / B) to floor((b + 1) * N / B) - 1, or as many as sizes say."
    starts[b] = sizes === undefined ? Math.floor((b * total) / blocks) : starts[b - 1]! + sizes[b - 1]!;
  }
  return starts;
}
