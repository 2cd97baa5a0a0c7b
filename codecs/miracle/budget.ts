import { parametersOf } from "../../lib/architectures.ts";
import type { Network } from "../../lib/network.ts";
import { pack } from "../container.ts";
import type { Metadata } from "../metadata.ts";
import { checkCode, largestBlock, type RandomCode } from "../randomCode.ts";
import { scalarsOf, type ScalarsOptions } from "../scalars.ts";

export interface BudgetOptions extends ScalarsOptions {
  readonly network: Network;
  /** Of the whole file. */
  readonly bytes: number;
  /** Bits per block. */
  readonly bits: number;
  readonly seed: number;
  readonly metadata?: Metadata | undefined;
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
function fileBytes({ network, bits, seed, live, groups, metadata }: BudgetOptions, blocks: number): number {
  const parameters = parametersOf(network);
  const coded = blankCode(parameters.map(({ shape }) => shape), { bits, seed, live, groups }, blocks);
  return pack({ network, metadata, sections: [{ tensors: parameters.map(({ name }) => name), coded }] }).length;
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
