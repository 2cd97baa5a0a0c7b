import { exp } from "../../lib/math.ts";
import { sizeOf } from "../../lib/shape.ts";
import type { Weights } from "../../lib/weights.ts";
import { BitReader } from "../bits.ts";
import { ByteReader } from "../bytes.ts";
import { expandGroups } from "./hashGroups.ts";
import { type MrclLayout, mrclLayout, type MrclOptions, scalarsOf } from "./layout.ts";
import { MersenneTwister } from "./mersenneTwister.ts";
import { modelOf, mostNumbers, trainedCounts } from "./model.ts";
import { normalQuantile } from "./normalQuantile.ts";
import { sobolTable } from "./sobol.ts";

/** What the bits of a file say. */
export interface MrclContent extends MrclLayout {
  /** The natural logarithm of each tensor's prior scale. */
  readonly logScales: Float32Array;
  /** The chosen candidate of each block. */
  readonly indices: Uint32Array;
}

/** Of all published files. */
const seed = 53;

/**
 * The weights of a legacy `.mrcl` file (MIRACLE, 2018 and 2019): a Gaussian scale per tensor, and for each block of
 * trained scalars the number of one candidate out of a table that both sides make themselves. All else, the file leaves
 * to whoever reads it: `model`, and what the size does not tell of `block` and `bits` (see `mrclLayout`). Made of
 * `+ - * /` like our own decoders, so that an imported network has the same bits everywhere.
 *
 * Throws FormatError for a file that is none of that model (`mrcl-size`, `truncated`, `leftover`, `mrcl-scale`,
 * `padding`), RangeError or ShapeError for options out of range, and RangeError when the size leaves a choice. A file
 * has no checksum: one damaged inside, or read in blocks of another size that fits too, gives another network.
 */
export function readMrcl(bytes: Uint8Array, options: MrclOptions): Weights {
  const model = modelOf(options.model);
  const { tensors, hashGroups } = model;
  const { block, logScales, indices } = readMrclContent(bytes, options);
  const counts = trainedCounts(model);
  const random = new MersenneTwister(seed);
  const total = indices.length * block;
  let order: Uint32Array;
  let candidate: (index: number, position: number) => number;
  // The older program drew the order first. In both, what started the training was drawn from the same stream.
  if (model.candidates === "normal") {
    order = random.permutation(total);
    random.skipNormals(total);
    candidate = drawnCandidates(random, block, indices);
  } else {
    for (const count of counts) random.skipNormals(count);
    order = random.permutation(total);
    candidate = sobolCandidates(block);
  }

  const scales = Float32Array.from(logScales, exp);
  const scalars = counts.map((count) => new Float32Array(count));
  // By place in the row of all scalars: whose it is, and where that one's begin. Places behind the last are padding.
  const starts: number[] = [];
  const owners = new Uint32Array(total).fill(tensors.length);
  let at = 0;
  for (const [tensor, count] of counts.entries()) {
    starts.push(at);
    owners.fill(tensor, at, at + count);
    at += count;
  }
  for (const [number, index] of indices.entries()) {
    for (let i = 0; i < block; i++) {
      const place = order[number * block + i]!;
      const tensor = owners[place]!;
      if (tensor === tensors.length) continue;
      // A product of two float32 is exact in a float64, and rounded once as it is stored.
      scalars[tensor]![place - starts[tensor]!] = candidate(index, i) * scales[tensor]!;
    }
  }
  return tensors.map(({ name, shape }, i) => {
    return { name, shape, values: expandGroups(scalars[i]!, sizeOf(shape), hashGroups[i]!) };
  });
}

/** The scales and indices of a legacy file, checked and not yet made into weights. Throws as `readMrcl`. */
export function readMrclContent(bytes: Uint8Array, options: MrclOptions): MrclContent {
  const model = modelOf(options.model);
  const { block, bits } = mrclLayout(bytes.length, options);
  const reader = new BitReader(new ByteReader(bytes));
  const logScales = new Float32Array(model.tensors.length);
  const words = new Uint32Array(logScales.buffer);
  for (const [i, { name }] of model.tensors.entries()) {
    words[i] = reader.bits(32);
    const scale = Math.fround(exp(logScales[i]!));
    // Also NaN. Any four bytes are a number: about half of all are the logarithm of a scale that a float32 holds.
    if (!(scale > 0 && scale < Infinity)) {
      const found = `mrcl: the log scale of ${name} is ${logScales[i]!}`;
      reader.fail("mrcl-scale", `${found}: another model, or no such file`, 4 * i);
    }
  }
  const indices = new Uint32Array(Math.ceil(scalarsOf(model) / block));
  for (let number = 0; number < indices.length; number++) indices[number] = reader.bits(bits);
  reader.finish();
  return { block, bits, logScales, indices };
}

/** Entry `position` of row `index` of the Sobol table, as the normal quantile of that probability. */
function sobolCandidates(block: number): (index: number, position: number) => number {
  const table = sobolTable(block);
  return (index, position) => Math.fround(normalQuantile(table(index, position) / 2 ** 30));
}

/** Rows of normals, one after the other from the stream: those up to the last one that a block chose. */
function drawnCandidates(random: MersenneTwister, block: number, indices: Uint32Array) {
  const rows = indices.reduce((most, index) => Math.max(most, index), 0) + 1;
  if (rows * block > mostNumbers) {
    throw new RangeError(`mrcl: a table of ${rows} rows of ${block} normals is above the limit of ${mostNumbers}`);
  }
  const table = Float32Array.from({ length: rows * block }, () => random.normal());
  return (index: number, position: number): number => table[index * block + position]!;
}
