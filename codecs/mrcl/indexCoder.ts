import { Budget } from "../codec.ts";
import { type Grid, gridsOf } from "../grid.ts";
import type { BitCoder } from "../range.ts";
import { drawsOf } from "./draws.ts";
import { trainedCount } from "./hashGroups.ts";
import type { MrclModel } from "./model.ts";
import { ownersOf, startsOf } from "./scalarValues.ts";

/**
 * The indices of a legacy code, each bit with what the blocks before it say of the candidates. Whoever wrote the file
 * drew the index as the weights wanted it: scalars near one another in a kernel or an image are alike, and those of one
 * tensor have a spread of their own. So a candidate that goes well with what is known is more likely. Format: section
 * 7.8.
 */

export interface IndexCoderOptions {
  readonly shapes: readonly (readonly number[])[];
  readonly candidates: MrclModel["candidates"];
  readonly bits: number;
  readonly block: number;
  /** Per tensor. */
  readonly groups: readonly number[];
  readonly coder: BitCoder;
  /** What to code. A decoder has none. */
  readonly given?: Uint32Array;
  readonly budget?: Budget;
}

/** "Neighbours in 1/64 of a scalar itself, by distance along an axis: wide from 256 places up, else narrow." */
const narrow = { kernel: [64, 39, 9, 1], prior: 6 * 64 };
const wide = { kernel: [64, 51, 26, 9, 2], prior: 4 * 64 };
const widePlaces = 256;
/** "Sum of squares and count that each tensor begins with." */
const firstCount = 60;

const likelihoods = likelihoodTable();

/** "likelihood[n], n = 0 to 3072": 2^20 e^(-n / 256), rounded down. */
export function likelihoodTable(): Float64Array {
  const table = new Float64Array(3073);
  for (let n = 0, power = 2 ** 20; n < table.length; n++, power /= 1.0039138893383475) table[n] = Math.floor(power);
  return table;
}

/** One way through all blocks: the same text for the encoder and the decoder. Returns the indices. */
export function codeIndices(options: IndexCoderOptions): Uint32Array<ArrayBuffer> {
  const { shapes, candidates, bits, block, groups, coder, given, budget = new Budget() } = options;
  const rows = 2 ** bits;
  const grids = gridsOf(shapes);
  const starts = startsOf(grids.map(({ size }, t) => trainedCount(size, groups[t]!)));
  const scalars = starts.at(-1)!;
  const blocks = Math.ceil(scalars / block);
  const indices = budget.uint32(blocks);
  const owners = ownersOf(starts, budget.uint32(scalars));
  const { order, candidate } = drawsOf({ candidates, block, blocks, scalars, rows }, budget);
  /** By position in the block, then by candidate: the innermost loop runs over candidates. */
  const table = budget.float32(rows * block);
  for (let i = 0; i < block; i++) for (let c = 0; c < rows; c++) table[i * rows + c] = candidate(c, i);

  const cells = cellsOf(grids, groups, budget.uint32(scalars));
  const [sums, counts] = [budget.float64(cells.count), budget.float64(cells.count)];
  const neighbourhoods = grids.map((grid, t) => neighbourhoodOf(grid, cells.starts[t]!));
  /** Of each tensor: squares of how far scalars were from what was expected, and how many. */
  const squares = new Float64Array(grids.length).fill(firstCount);
  const seen = squares.slice();

  const scores = budget.float64(rows);
  const tree = budget.float64(2 * rows);
  /** The scalars of the block at hand, and what was expected of each. Positions of padding are left out. */
  const [positions, numbers, means] = [budget.uint32(block), budget.uint32(block), budget.float64(block)];
  for (let b = 0; b < blocks; b++) {
    let live = 0;
    scores.fill(0);
    for (let i = 0; i < block; i++) {
      const number = order[b * block + i]!;
      if (number >= scalars) continue;
      const t = owners[number]!;
      const cell = cells.of[number]!;
      const mean = sums[cell]! / (neighbourhoods[t]!.prior + counts[cell]!);
      const spread = squares[t]! / seen[t]!;
      positions[live] = i;
      numbers[live] = number;
      means[live] = mean;
      live += 1;
      // "The logarithm of how much likelier z is around the mean than where it was drawn, but for what all have."
      const a = 0.5 - 0.5 / spread;
      const q = mean / spread;
      const column = table.subarray(i * rows, (i + 1) * rows);
      for (let c = 0; c < rows; c++) {
        const z = column[c]!;
        scores[c]! += (a * z + q) * z;
      }
    }

    plant(tree, scores);
    let node = 1;
    for (let bit = bits - 1; bit >= 0; bit--) {
      const zero = Math.floor((65536 * tree[2 * node]!) / tree[node]!);
      const wanted = given === undefined ? 0 : (given[b]! >>> bit) & 1;
      node = 2 * node + coder.code(wanted, Math.min(Math.max(zero, 1), 65535));
    }
    const index = node - rows;
    indices[b] = index;

    for (let k = 0; k < live; k++) {
      const number = numbers[k]!;
      const t = owners[number]!;
      const z = table[positions[k]! * rows + index]!;
      const error = z - means[k]!;
      squares[t]! += error * error;
      seen[t]! += 1;
      learn(cells.of[number]!, z, { sums, counts }, neighbourhoods[t]!);
    }
  }
  return indices;
}

/** A binary tree of sums, the root at 1 and the weights of the candidates its leaves. All are whole, below 2^37. */
function plant(tree: Float64Array, scores: Float64Array): void {
  const rows = scores.length;
  let top = -Infinity;
  for (let c = 0; c < rows; c++) if (scores[c]! > top) top = scores[c]!;
  for (let c = 0; c < rows; c++) {
    tree[rows + c] = likelihoods[Math.min(3072, Math.floor((top - scores[c]!) * 256))]!;
  }
  for (let node = rows - 1; node > 0; node--) tree[node] = tree[2 * node]! + tree[2 * node + 1]!;
}

interface Neighbourhood {
  /** The first cell of the tensor. */
  readonly first: number;
  readonly height: number;
  readonly width: number;
  readonly prior: number;
  /** How far neighbours reach along an axis, at least to here and less than one further. */
  readonly reach: number;
  /** By distance along both axes, the vertical one first: (reach + 1)^2 of them. */
  readonly weights: Float64Array;
}

function neighbourhoodOf({ height, width }: Grid, first: number): Neighbourhood {
  const { kernel, prior } = height * width >= widePlaces ? wide : narrow;
  const weights = kernel.flatMap((a) => kernel.map((b) => Math.floor((a * b + 32) / 64)));
  return { first, height, width, prior, reach: kernel.length - 1, weights: Float64Array.from(weights) };
}

/** Tells the cells of a class around one of them that a scalar there is z. */
function learn(
  cell: number,
  z: number,
  { sums, counts }: { readonly sums: Float64Array; readonly counts: Float64Array },
  { first, height, width, reach, weights }: Neighbourhood,
): void {
  const x = (cell - first) % width;
  const y = Math.floor((cell - first) / width) % height;
  const [top, bottom] = [Math.max(y - reach, 0), Math.min(y + reach, height - 1)];
  const [left, right] = [Math.max(x - reach, 0), Math.min(x + reach, width - 1)];
  for (let yy = top; yy <= bottom; yy++) {
    const row = Math.abs(yy - y) * (reach + 1);
    const start = cell + (yy - y) * width - x;
    for (let xx = left; xx <= right; xx++) {
      const weight = weights[row + Math.abs(xx - x)]!;
      sums[start + xx]! += weight * z;
      counts[start + xx]! += weight;
    }
  }
}

/**
 * The cell of each scalar, that of the first number that it stands for; where those of each tensor begin; and how many
 * there are. Cells of one class are an image of height * width, row by row, so that neighbours are near.
 */
function cellsOf(
  grids: readonly Grid[],
  groups: readonly number[],
  of: Uint32Array,
): { readonly of: Uint32Array; readonly starts: readonly number[]; readonly count: number } {
  const starts: number[] = [];
  let [at, count] = [0, 0];
  /** The tensor before that was no bias: its outputs, and how many neighbours share a scalar there. */
  let before = { outputs: 0, group: 1 };
  for (const [t, { kind, height, width, inputs, outputs, size }] of grids.entries()) {
    const group = groups[t]!;
    const places = height * width;
    // "A dense tensor: inputs that come from outputs of one group are alike."
    const shared = kind === "dense" && before.outputs === inputs ? before.group : 1;
    const scalars = trainedCount(size, group);
    const whole = Math.floor(size / group);
    for (let s = 0; s < scalars; s++) {
      const number = s < whole ? s * group : s + whole * (group - 1);
      const o = number % outputs;
      const i = Math.floor(number / outputs) % inputs;
      const place = Math.floor(number / (outputs * inputs));
      const unit = kind === "bias" ? 0 : Math.floor(i / shared) * outputs + o;
      of[at + s] = count + unit * places + place;
    }
    starts.push(count);
    at += scalars;
    count += kind === "bias" ? 1 : Math.ceil(inputs / shared) * outputs * places;
    if (kind !== "bias") before = { outputs, group };
  }
  return { of, starts, count };
}
