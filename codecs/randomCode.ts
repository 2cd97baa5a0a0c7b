import { fillNormal, seedKey, STREAMS } from "../lib/random.ts";
import { sizeOf } from "../lib/shape.ts";
import { BitReader, BitWriter } from "./bits.ts";
import type { ByteReader } from "./bytes.ts";
import { StepReader, StepWriter } from "./golomb.ts";
import type { Method } from "./method.ts";
import {
  blockOrder,
  blockStarts,
  countedTensors,
  type Group,
  mostScalars,
  placesOf,
  scalarsOf,
  type TensorScalars,
  sourcesOf,
} from "./scalars.ts";
import { scaleOf } from "./scale.ts";

/**
 * What MIRACLE chose (Havasi, Peharz, Hernández-Lobato, "Minimal Random Code Learning", arXiv 1810.00440): for each
 * block of scalars the number of one sample, of those that everyone can draw. Format: section 5.5.
 */
export interface RandomCode {
  readonly method: "miracle";
  /** Of the section's tensors. */
  readonly shapes: readonly (readonly number[])[];
  /** Bits per index, 4 to 20. */
  readonly bits: number;
  /** Of all draws, 0 to 2^32 - 1. */
  readonly seed: number;
  /** Live outputs of each tensor of weights but the last; not given where all are. */
  readonly live?: readonly number[];
  /** Per tensor; not given where no weights share a scalar. */
  readonly groups?: readonly Group[];
  /** Prior scales, a byte per tensor: `scaleOf`. */
  readonly scales: Uint8Array;
  /** Scalars of each block; not given where they are equal, or nearly. */
  readonly sizes?: Uint16Array;
  /** Per block. */
  readonly indices: Uint32Array;
}

export const fewestBits = 4;
export const mostBits = 20;
/** Scalars of a block. */
export const largestBlock = 8191;
/** Blocks of a section: what the address of a draw can tell apart. */
const mostBlocks = 2 ** 24 - 1;
const largestSeed = 2 ** 32 - 1;

// "bits - 4, + 32 if live counts follow, + 64 if hash groups follow, + 128 if block sizes follow."
const withLive = 32;
const withGroups = 64;
const withSizes = 128;

export const randomCode: Method<RandomCode> = {
  tag: 5,
  name: "miracle",

  codec(parameters) {
    const shapes = parameters.map(({ shape }) => shape);
    return {
      tag: randomCode.tag,
      name: randomCode.name,

      write(coded, to) {
        checkCode(coded, shapes);
        const { bits, seed, live, groups, scales, sizes, indices } = coded;
        to.u8(
          bits - fewestBits +
            (live === undefined ? 0 : withLive) +
            (groups === undefined ? 0 : withGroups) +
            (sizes === undefined ? 0 : withSizes),
        );
        to.varint(seed);
        for (const count of live ?? []) to.varint(count);
        for (const { size, hashed } of groups ?? []) to.varint(2 * size + (hashed ? 1 : 0));
        to.varint(indices.length);
        to.bytes(scales);
        if (sizes !== undefined) {
          const row = new BitWriter(to);
          const steps = new StepWriter(row, sizeBits);
          for (const size of sizes) steps.present(size);
          row.finish();
        }
        const row = new BitWriter(to);
        for (const index of indices) row.bits(index, bits);
        row.finish();
      },

      read(from, budget) {
        const form = from.u8("form");
        const bits = fewestBits + (form % withLive);
        if (bits > mostBits) {
          from.fail("miracle-form", `miracle: ${bits} bits per block, at most ${mostBits}`, from.position - 1);
        }
        from.note(`${bits} bits per block`);
        const seed = from.varint({ max: largestSeed, name: "seed" });
        const live = (form & withLive) === 0 ? undefined : readLive(from, shapes);
        const groups = (form & withGroups) === 0 ? undefined : readGroups(from, shapes, live);
        const start = from.position;
        const tensors = scalarsOf(shapes, { live, groups });
        if (tensors.some(({ scalars }) => scalars > mostScalars)) {
          from.fail("miracle-size", `miracle: a tensor has more than ${mostScalars} scalars`, start);
        }
        const total = totalOf(tensors);
        const fewest = Math.ceil(total / largestBlock);
        const blocks = from.varint({ min: fewest, max: Math.min(total, mostBlocks), name: "blocks" });
        const scales = budget.uint8(shapes.length);
        scales.set(from.bytes(shapes.length, "scales"));
        const sizes = (form & withSizes) === 0 ? undefined : budget.uint16(atMost(blocks, from));
        if (sizes !== undefined) readSizes(from, sizes, total);
        from.field("indices");
        const row = new BitReader(from);
        if (row.remaining < bits * blocks) from.fail("truncated", "indices: ends too early", from.end);
        const indices = budget.uint32(blocks);
        for (let b = 0; b < blocks; b++) indices[b] = row.bits(bits);
        row.finish();
        return {
          method: "miracle",
          shapes,
          bits,
          seed,
          ...(live && { live }),
          ...(groups && { groups }),
          scales,
          ...(sizes && { sizes }),
          indices,
        };
      },
    };
  },

  toValues({ shapes, seed, live, groups, scales, sizes, indices }) {
    const key = seedKey(seed);
    const tensors = scalarsOf(shapes, { live, groups });
    const order = blockOrder(tensors, key);
    const starts = blockStarts(order.length, indices.length, sizes);
    /** "floor(word / 2^20)" names the normal; its scale comes later, as a scalar knows its tensor. */
    const normals = new Float32Array(order.length);
    for (let b = 0; b < indices.length; b++) {
      const first = starts[b]!;
      const drawn = new Float32Array(starts[b + 1]! - first);
      fillNormal(drawn, key, { stream: STREAMS.candidates, block: b, start: indices[b]! * drawn.length });
      for (let j = 0; j < drawn.length; j++) normals[order[first + j]!] = drawn[j]!;
    }
    const values = new Float32Array(shapes.reduce((sum, shape) => sum + sizeOf(shape), 0));
    let tensorStart = 0;
    let scalarStart = 0;
    for (const [t, tensor] of tensors.entries()) {
      const scale = scaleOf(scales[t]!);
      const places = placesOf(tensor);
      const sources = sourcesOf(tensor, key, t);
      for (let i = 0; i < places.length; i++) {
        // The product of two float32 is exact in a double, and is rounded once.
        const value = Math.fround(scale * normals[scalarStart + sources.scalars[i]!]!);
        values[tensorStart + places[i]!] = sources.signs?.[i] === -1 ? -value : value;
      }
      tensorStart += tensor.grid.size;
      scalarStart += tensor.scalars;
    }
    return values;
  },
};

/** Field of the first size in a row of steps. */
const sizeBits = 13;

function totalOf(tensors: readonly TensorScalars[]): number {
  return tensors.reduce((sum, { scalars }) => sum + scalars, 0);
}

/** A block takes a bit at least, so that no more are made than the bytes at hand can be about. */
function atMost(blocks: number, from: ByteReader): number {
  if (blocks > 8 * from.remaining) from.fail("truncated", "blocks: ends too early", from.end);
  return blocks;
}

function readLive(from: ByteReader, shapes: RandomCode["shapes"]): number[] {
  const start = from.position;
  const outputs = outputsOf(shapes);
  const live = outputs.map((most) => from.varint({ min: 1, max: most, name: "live" }));
  if (live.every((count, i) => count === outputs[i])) {
    from.fail("miracle-live", "miracle: all units are live, which is not to be said", start);
  }
  return live;
}

function outputsOf(shapes: RandomCode["shapes"]): number[] {
  return shapes.filter((shape) => shape.length > 1).slice(0, countedTensors(shapes)).map((shape) => shape.at(-1)!);
}

function readGroups(from: ByteReader, shapes: RandomCode["shapes"], live: readonly number[] | undefined): Group[] {
  const start = from.position;
  const groups = scalarsOf(shapes, { live }).map(({ weights }) => {
    const at = from.position;
    const value = from.varint({ min: 2, max: 2 * weights + 1, name: "group" });
    if (value === 3) from.fail("miracle-groups", "miracle: a group of one weight is not hashed", at);
    return { size: Math.floor(value / 2), hashed: value % 2 === 1 };
  });
  if (groups.every(({ size }) => size === 1)) {
    from.fail("miracle-groups", "miracle: all groups have one weight, which is not to be said", start);
  }
  return groups;
}

function readSizes(from: ByteReader, sizes: Uint16Array, total: number): void {
  from.field("sizes");
  const start = from.position;
  const row = new BitReader(from);
  const steps = new StepReader(row, sizeBits);
  let sum = 0;
  for (let b = 0; b < sizes.length; b++) {
    sizes[b] = steps.next(0, 1, largestBlock).value;
    sum += sizes[b]!;
  }
  row.finish();
  if (sum !== total) from.fail("miracle-sizes", `miracle: blocks hold ${sum} scalars, there are ${total}`, start);
}

/** RangeError for what the format cannot express. */
export function checkCode(coded: RandomCode, shapes: RandomCode["shapes"]): void {
  const { bits, seed, live, groups, scales, sizes, indices } = coded;
  const refuse = (message: string): never => {
    throw new RangeError(`miracle: ${message}`);
  };
  if (!(Number.isInteger(bits) && bits >= fewestBits && bits <= mostBits)) {
    refuse(`bits per block must be a whole number from ${fewestBits} to ${mostBits}, got ${bits}`);
  }
  if (!(Number.isInteger(seed) && seed >= 0 && seed <= largestSeed)) {
    refuse(`seed must be a whole number from 0 to ${largestSeed}, got ${seed}`);
  }
  const sameShapes =
    coded.shapes.length === shapes.length &&
    shapes.every((shape, t) => shape.join() === coded.shapes[t]!.join());
  if (!sameShapes) refuse("the shapes are not those of the section's tensors");
  const tensors = scalarsOf(shapes, { live, groups });
  const outputs = outputsOf(shapes);
  if (live?.every((count, i) => count === outputs[i])) refuse("live counts are given where not all units are live");
  if (groups?.some(({ size, hashed }) => hashed && size === 1)) refuse("a group of one weight is not hashed");
  if (groups?.every(({ size }) => size === 1)) refuse("groups are given where weights share scalars");
  if (tensors.some(({ scalars }) => scalars > mostScalars)) refuse(`a tensor has at most ${mostScalars} scalars`);
  const total = totalOf(tensors);
  const fewest = Math.ceil(total / largestBlock);
  const most = Math.min(total, mostBlocks);
  if (!(indices.length >= fewest && indices.length <= most)) {
    refuse(`${total} scalars make ${fewest} to ${most} blocks, got ${indices.length}`);
  }
  if (scales.length !== shapes.length) refuse(`one scale per tensor, got ${scales.length} for ${shapes.length}`);
  if (sizes !== undefined) {
    const sum = sizes.reduce((all, size) => all + size, 0);
    if (sizes.length !== indices.length || sum !== total || !sizes.every((size) => size >= 1 && size <= largestBlock)) {
      refuse(`the sizes of ${indices.length} blocks must be from 1 to ${largestBlock} and add up to ${total}`);
    }
  }
}
