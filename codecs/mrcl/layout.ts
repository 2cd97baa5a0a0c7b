import { FormatError } from "../codec.ts";
import { type MrclModel, type MrclModelName, modelOf, trainedCounts } from "./model.ts";
import { maxSobolColumns } from "./sobol.ts";

/** How the scalars of a file are coded: so many at a time, each time by an index of so many bits. */
export interface MrclLayout {
  /** Scalars per block. */
  readonly block: number;
  /** Bits per block. */
  readonly bits: number;
}

export interface MrclOptions extends Partial<MrclLayout> {
  /** The name of a published model, or a description of another one. */
  readonly model: MrclModelName | MrclModel;
}

const mostBits = 20;
/** A guess goes no further; more must be said. */
const mostGuessed = maxSobolColumns;

/** Trained scalars of all tensors together. */
export function scalarsOf(model: MrclModel): number {
  return trainedCounts(model).reduce((sum, count) => sum + count, 0);
}

/** Bytes of a file: a scale of four bytes per tensor, an index per block, zero bits up to the next byte. */
export function mrclBytes(model: MrclModel, layout: MrclLayout): number {
  return bytesOf(model.tensors.length, scalarsOf(model), layout);
}

function bytesOf(tensors: number, scalars: number, { block, bits }: MrclLayout): number {
  return Math.ceil((32 * tensors + bits * Math.ceil(scalars / block)) / 8);
}

/**
 * Block and bits of a file of so many bytes: as given, and what is not given from the size, where only one value (a
 * block of at most 40, at most 20 bits) fits. Usually one of the two must be given: 24 scalars at 8 bits take as many
 * bytes as 30 at 10. Throws FormatError when the size does not fit (`truncated`, `leftover`, or `mrcl-size` where
 * nothing would), RangeError when several fit, which lists them, and when an option is out of range.
 */
export function mrclLayout(length: number, options: MrclOptions): MrclLayout {
  const model = modelOf(options.model);
  const scalars = scalarsOf(model);
  // The table of drawn normals may be of any width.
  const mostBlock = model.candidates === "sobol" ? maxSobolColumns : scalars;
  const block = checked("block", options.block, mostBlock);
  const bits = checked("bits", options.bits, mostBits);
  if (block !== undefined && bits !== undefined) {
    checkSize(length, model, { block, bits });
    return { block, bits };
  }

  const fitting: MrclLayout[] = [];
  for (const b of block === undefined ? upTo(Math.min(mostGuessed, scalars)) : [block]) {
    for (const k of bits === undefined ? upTo(mostBits) : [bits]) {
      const layout = { block: b, bits: k };
      if (bytesOf(model.tensors.length, scalars, layout) === length) fitting.push(layout);
    }
  }
  const given = [
    ...(block === undefined ? [] : [`in blocks of ${block}`]),
    ...(bits === undefined ? [] : [`at ${bits} bits a block`]),
  ].join(" ");
  if (fitting.length === 0) {
    const what = `no ${model.name}${given === "" ? "" : ` ${given}`} takes ${length} bytes`;
    throw new FormatError("mrcl-size", `mrcl: ${what}: another model, or no such file`, length);
  }
  if (fitting.length > 1) {
    const pairs = fitting.map(({ block, bits }) => `${block} at ${bits} bits`).join(", ");
    const missing = [...(block === undefined ? ["block"] : []), ...(bits === undefined ? ["bits"] : [])].join(" or ");
    throw new RangeError(`mrcl: ${length} bytes may be ${model.name} in blocks of ${pairs}: say ${missing}`);
  }
  return fitting[0]!;
}

function checkSize(length: number, model: MrclModel, layout: MrclLayout): void {
  const expected = mrclBytes(model, layout);
  if (length === expected) return;
  const what = `${model.name} in blocks of ${layout.block} at ${layout.bits} bits takes ${expected} bytes`;
  const message = `mrcl: ${what}, got ${length}: another model, block or bits, or no such file`;
  throw new FormatError(length < expected ? "truncated" : "leftover", message, Math.min(length, expected));
}

function checked(name: string, value: number | undefined, most: number): number | undefined {
  if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= most)) return value;
  throw new RangeError(`mrcl: ${name} must be a whole number from 1 to ${most}, got ${value}`);
}

function upTo(most: number): number[] {
  return Array.from({ length: most }, (_, i) => i + 1);
}
