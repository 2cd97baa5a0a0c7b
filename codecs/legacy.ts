import { sizeOf } from "../lib/shape.ts";
import type { ByteReader } from "./bytes.ts";
import type { Budget } from "./codec.ts";
import { trainedCount } from "./mrcl/hashGroups.ts";
import { codeIndices } from "./mrcl/indexCoder.ts";
import { type MrclModel, mostNumbers } from "./mrcl/model.ts";
import { valuesOfParts } from "./mrcl/scalarValues.ts";
import { maxSobolColumns } from "./mrcl/sobol.ts";
import type { Method } from "./method.ts";
import { RangeDecoder, RangeEncoder } from "./range.ts";

/**
 * What a legacy `.mrcl` file chose (MIRACLE, 2018 and 2019): a scale per tensor, and for each block of scalars one
 * candidate of a table that everyone can make. Here the indices are coded, and what was left to the reader is written
 * down. Format: section 5.7.
 */
export interface LegacyCode {
  readonly method: "legacy";
  /** Of the section's tensors. */
  readonly shapes: readonly (readonly number[])[];
  /** Which numbers an index chooses among: see `MrclModel`. */
  readonly candidates: MrclModel["candidates"];
  /** Bits per index, 1 to 12. */
  readonly bits: number;
  /** Scalars per block. */
  readonly block: number;
  /** How many numbers share a scalar, per tensor; not given where none do. */
  readonly groups?: readonly number[];
  /** Prior scales, one per tensor, from 2^-100 to 2^100. */
  readonly scales: Float32Array;
  /** Per block. */
  readonly indices: Uint32Array;
}

const mostBits = 12;
// "bits - 1, + 32 if candidates are drawn normals, + 64 if groups follow."
const withNormals = 32;
const withGroups = 64;
/** "From 2^-100 to 2^100": so that no product with a candidate is infinite. */
const largestScale = 2 ** 100;
/** "Numbers of all candidates together", and "candidates times places of all blocks". */
const mostEntries = 2 ** 17;
const mostScores = 2 ** 27;

export const legacy: Method<LegacyCode> = {
  tag: 7,
  name: "legacy",
  takesRest: true,

  codec(parameters) {
    const shapes = parameters.map(({ shape }) => shape);
    const sizes = shapes.map(sizeOf);
    return {
      tag: legacy.tag,
      name: legacy.name,

      write(coded, to) {
        checkLegacy(coded, shapes);
        const { candidates, bits, block, groups, scales, indices } = coded;
        to.u8(bits - 1 + (candidates === "normal" ? withNormals : 0) + (groups === undefined ? 0 : withGroups));
        for (const group of groups ?? []) to.varint(group);
        to.varint(block);
        for (const scale of scales) to.float32(scale);
        const coder = new RangeEncoder();
        codeIndices({ shapes, candidates, bits, block, groups: groups ?? alone(shapes), coder, given: indices });
        to.bytes(coder.finish());
      },

      read(from, budget) {
        const form = from.u8("legacy form");
        const bits = (form % withNormals) + 1;
        if (bits > mostBits || form >= 2 * withGroups) {
          from.fail("legacy-form", `legacy: there is no form ${form}`, from.position - 1);
        }
        const candidates = (form & withNormals) === 0 ? "sobol" : "normal";
        from.note(`${bits} bits per block, ${candidates === "sobol" ? "Sobol numbers" : "drawn normals"}`);
        const groups = (form & withGroups) === 0 ? undefined : readGroups(from, sizes);
        const counts = sizes.map((size, t) => trainedCount(size, groups?.[t] ?? 1));
        const start = from.position;
        const block = from.varint({ min: 1, max: largestBlock(candidates, counts), name: "block" });
        const limit = aboveLimit({ bits, block, sizes, counts });
        if (limit !== undefined) from.fail("legacy-size", `legacy: ${limit}`, start);
        const scales = readScales(from, shapes.length, budget);
        from.field("indices");
        const coder = new RangeDecoder(from);
        const all = groups ?? alone(shapes);
        const indices = codeIndices({ shapes, candidates, bits, block, groups: all, coder, budget });
        coder.finish(from);
        return { method: "legacy", shapes, candidates, bits, block, ...(groups && { groups }), scales, indices };
      },
    };
  },

  toValues({ shapes, candidates, block, groups = alone(shapes), scales, indices }) {
    const sizes = shapes.map(sizeOf);
    const tensors = valuesOfParts({ candidates, block, sizes, groups, scales, indices });
    const values = new Float32Array(sizes.reduce((sum, size) => sum + size, 0));
    let at = 0;
    for (const tensor of tensors) {
      values.set(tensor, at);
      at += tensor.length;
    }
    return values;
  },
};

/** Groups where no numbers share a scalar. */
function alone(shapes: LegacyCode["shapes"]): number[] {
  return shapes.map(() => 1);
}

function totalOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** "40, or as many as there are scalars where candidates are drawn normals." */
function largestBlock(candidates: LegacyCode["candidates"], counts: readonly number[]): number {
  return candidates === "sobol" ? maxSobolColumns : totalOf(counts);
}

interface Extent {
  readonly bits: number;
  readonly block: number;
  /** Numbers and scalars of each tensor. */
  readonly sizes: readonly number[];
  readonly counts: readonly number[];
}

/** What would make decoding longer than a file is worth, in words. */
function aboveLimit({ bits, block, sizes, counts }: Extent): string | undefined {
  const numbers = totalOf(sizes);
  if (numbers > mostNumbers) return `${numbers} numbers are above the limit of ${mostNumbers}`;
  const entries = 2 ** bits * block;
  if (entries > mostEntries) return `candidates of ${entries} numbers are above the limit of ${mostEntries}`;
  const scores = entries * Math.ceil(totalOf(counts) / block);
  if (scores > mostScores) return `blocks with ${scores} numbers to choose from are above the limit of ${mostScores}`;
  return undefined;
}

function readGroups(from: ByteReader, sizes: readonly number[]): number[] {
  const start = from.position;
  const groups = sizes.map((size) => from.varint({ min: 1, max: size, name: "group" }));
  if (groups.every((group) => group === 1)) {
    from.fail("legacy-groups", "legacy: no numbers share a scalar, which is not to be said", start);
  }
  return groups;
}

function readScales(from: ByteReader, count: number, budget: Budget): Float32Array {
  from.field("scales");
  if (from.remaining < 4 * count) from.fail("truncated", "scales: ends too early", from.end);
  const scales = budget.float32(count);
  for (let t = 0; t < count; t++) {
    scales[t] = from.float32();
    if (!isScale(scales[t]!)) {
      from.fail("legacy-scale", `legacy: the scale of tensor ${t} is ${scales[t]}`, from.position - 4);
    }
  }
  from.note([...scales].map((scale) => String(scale)).join(", "));
  return scales;
}

function isScale(scale: number): boolean {
  return scale >= 1 / largestScale && scale <= largestScale;
}

/** RangeError for what the format cannot express. */
export function checkLegacy(coded: LegacyCode, shapes: LegacyCode["shapes"]): void {
  const { candidates, bits, block, groups, scales, indices } = coded;
  const refuse = (message: string): never => {
    throw new RangeError(`legacy: ${message}`);
  };
  const isWhole = (n: number, most: number): boolean => Number.isInteger(n) && n >= 1 && n <= most;
  if (!isWhole(bits, mostBits)) refuse(`bits per block must be a whole number from 1 to ${mostBits}, got ${bits}`);
  const sameShapes =
    coded.shapes.length === shapes.length && shapes.every((shape, t) => shape.join() === coded.shapes[t]!.join());
  if (!sameShapes) refuse("the shapes are not those of the section's tensors");
  const sizes = shapes.map(sizeOf);
  if (groups !== undefined) {
    const fits = groups.length === sizes.length && groups.every((group, t) => isWhole(group, sizes[t]!));
    if (!fits) refuse(`groups must be ${sizes.length} whole numbers, each at most that of its tensor's numbers`);
    if (groups.every((group) => group === 1)) refuse("groups are given where numbers share scalars");
  }
  if (candidates !== "sobol" && candidates !== "normal") refuse(`candidates must be "sobol" or "normal"`);
  const counts = sizes.map((size, t) => trainedCount(size, groups?.[t] ?? 1));
  const most = largestBlock(candidates, counts);
  if (!isWhole(block, most)) refuse(`a block must have from 1 to ${most} scalars, got ${block}`);
  const limit = aboveLimit({ bits, block, sizes, counts });
  if (limit !== undefined) refuse(limit);
  const wrong = scales.findIndex((scale) => !isScale(scale));
  if (scales.length !== sizes.length || wrong >= 0) {
    refuse(`${sizes.length} scales from 2^-100 to 2^100, got ${wrong < 0 ? scales.length : scales[wrong]!}`);
  }
  const blocks = Math.ceil(totalOf(counts) / block);
  if (indices.length !== blocks || indices.some((index) => index >= 2 ** bits)) {
    refuse(`${blocks} indices of ${bits} bits, got ${indices.length}`);
  }
}
