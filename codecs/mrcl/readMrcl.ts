import { exp } from "../../lib/math.ts";
import { sizeOf } from "../../lib/shape.ts";
import type { Weights } from "../../lib/weights.ts";
import { BitReader } from "../bits.ts";
import { ByteReader } from "../bytes.ts";
import { type MrclLayout, mrclLayout, type MrclOptions, scalarsOf } from "./layout.ts";
import { modelOf, type MrclModel, mostNumbers } from "./model.ts";
import { valuesOfParts } from "./scalarValues.ts";

/** What the bits of a file say. */
export interface MrclContent extends MrclLayout {
  /** The natural logarithm of each tensor's prior scale. */
  readonly logScales: Float32Array;
  /** The chosen candidate of each block. */
  readonly indices: Uint32Array;
}

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
  const { tensors, hashGroups: groups, candidates } = model;
  const { block, logScales, indices } = readMrclContent(bytes, options);
  checkTable(block, indices, candidates);
  const sizes = tensors.map(({ shape }) => sizeOf(shape));
  const values = valuesOfParts({ candidates, block, sizes, groups, scales: scalesOf(logScales), indices });
  return tensors.map(({ name, shape }, i) => ({ name, shape, values: values[i]! }));
}

/** The prior scales themselves: a file has their logarithms. */
export function scalesOf(logScales: Float32Array): Float32Array {
  return Float32Array.from(logScales, exp);
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

/** Rows of drawn normals follow one another: those up to the last one that a block chose are made. */
function checkTable(block: number, indices: Uint32Array, candidates: MrclModel["candidates"]): void {
  const rows = indices.reduce((most, index) => Math.max(most, index), 0) + 1;
  if (candidates === "normal" && rows * block > mostNumbers) {
    throw new RangeError(`mrcl: a table of ${rows} rows of ${block} normals is above the limit of ${mostNumbers}`);
  }
}
