import { parametersOf } from "../../lib/architectures.ts";
import * as exact from "../../lib/math.ts";
import type { Network } from "../../lib/network.ts";
import { ByteWriter } from "../bytes.ts";
import { pack } from "../container.ts";
import type { Metadata } from "../metadata.ts";
import { checkCode, largestBlock, randomCode, type RandomCode } from "../randomCode.ts";
import { scalarsOf, type ScalarsOptions } from "../scalars.ts";
import { cutEqually } from "./cutEqually.ts";

export interface BudgetOptions extends ScalarsOptions {
  readonly network: Network;
  /** Of the whole file. */
  readonly bytes: number;
  /** Bits per block. */
  readonly bits: number;
  readonly seed: number;
  readonly metadata?: Metadata | undefined;
  /** As for `Miracle`: blocks of equal KL pay for their sizes, and so there are fewer. Default: size. */
  readonly equal?: "size" | "divergence" | undefined;
}

/**
 * How many blocks a file of so many bytes can hold: its head, scales and checksum are paid from the same budget.
 * RangeError, which says what the least is, for a budget that cannot hold the head and a block; and for more bytes than
 * a block per scalar can fill.
 */
export function blocksFor(options: BudgetOptions): number {
  const { network, bytes, live, groups } = options;
  const shapes = parametersOf(network).map(({ shape }) => shape);
  const total = scalarsOf(shapes, { live, groups }).reduce((sum, { scalars }) => sum + scalars, 0);
  const fewest = Math.ceil(total / largestBlock);
  const least = fileBytes(options, fewest);
  if (!(Number.isInteger(bytes) && bytes >= least)) {
    throw new RangeError(`miracle: a file of ${network.name} needs ${least} bytes at least, got a budget of ${bytes}`);
  }
  let [low, high] = [fewest, total + 1];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fileBytes(options, middle) <= bytes) low = middle;
    else high = middle;
  }
  return low;
}

/** Bytes of a file with so many blocks. */
function fileBytes({ network, bits, seed, live, groups, metadata, equal }: BudgetOptions, blocks: number): number {
  const parameters = parametersOf(network);
  const coded = blankCode(parameters.map(({ shape }) => shape), { bits, seed, live, groups }, blocks);
  const file = pack({ network, metadata, sections: [{ tensors: parameters.map(({ name }) => name), coded }] });
  return file.length + (equal === "divergence" ? sizesBytes(coded) : 0);
}

/**
 * What the sizes of a code's blocks are expected to take: 14 bits for the first, and for each other one 1 + 1.5 log2 of
 * the scalars per block, which is about what networks took. What they do take is only known when they are cut.
 */
function sizesBytes({ shapes, live, groups, indices }: RandomCode): number {
  const total = scalarsOf(shapes, { live, groups }).reduce((sum, { scalars }) => sum + scalars, 0);
  const each = 1 + (1.5 * exact.log(total / indices.length)) / Math.LN2;
  return Math.ceil((14 + (indices.length - 1) * each) / 8);
}

/** Bytes of a code in its section. */
function codeBytes(code: RandomCode): number {
  const to = new ByteWriter();
  randomCode.codec(code.shapes.map((shape, t) => ({ name: `${t}`, shape }))).write(code, to);
  return to.length;
}

/**
 * Sizes of blocks of about equal KL, in the order of scalars: as many blocks as fit in the bytes that `blocksFor`
 * counted for a code of this many, with what their sizes really take. Null where their sizes fit in no way, which takes
 * a code of very few blocks.
 */
export function cutToFit(
  code: RandomCode,
  order: Uint32Array,
  divergences: ArrayLike<number>,
): Uint16Array<ArrayBuffer> | null {
  const room = codeBytes(code) + sizesBytes(code);
  const fewest = Math.ceil(order.length / largestBlock);
  // A size takes a bit at least.
  const most = Math.min(order.length, Math.floor((8 * room) / (code.bits + 1)));
  for (let blocks = most; blocks >= fewest; blocks--) {
    const sizes = cutEqually(order, divergences, blocks);
    if (codeBytes({ ...code, sizes, indices: new Uint32Array(blocks) }) <= room) return sizes;
  }
  return null;
}

/** A code before training: its indices and scales are zero. RangeError for what the format cannot express. */
export function blankCode(
  shapes: RandomCode["shapes"],
  { bits, seed, live, groups }: ScalarsOptions & Pick<RandomCode, "bits" | "seed">,
  blocks: number,
): RandomCode {
  const code: RandomCode = {
    method: "miracle",
    shapes,
    bits,
    seed,
    ...(live && { live }),
    ...(groups && { groups }),
    scales: new Uint8Array(shapes.length),
    indices: new Uint32Array(blocks),
  };
  checkCode(code, shapes);
  return code;
}
