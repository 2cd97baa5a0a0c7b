import { inspect, sectionName } from "./inspect.ts";
import { type Coded, valuesOf } from "./coded.ts";
import { gapsOf, nonzeroPositions } from "./sparse.ts";

/**
 * A section of a file as the tables of Deep Compression show a layer (arXiv 1510.00149, tables 2 and 3). What a method
 * has not, such as the codebook of raw numbers, is null.
 */
export interface SectionReport {
  /** Its tensors, in order: most often one `<layer>.weight`, or all biases. */
  readonly tensors: readonly string[];
  readonly method: Coded["method"];
  /** How many numbers there are, and how many are not zero. */
  readonly weights: number;
  readonly kept: number;
  /** Entries of the codebook, zero not counted. */
  readonly centres: number | null;
  /** Bits of an index of fixed width into them ("P+Q"). */
  readonly weightBits: number | null;
  /** Bits that the file spends on the indices, per number kept ("+H"); without a codebook, on all but places. */
  readonly codedBits: number | null;
  /** Bits of a gap in the fixed width that takes least, and fillers for longer gaps; 0 where none is pruned. */
  readonly indexBits: number | null;
  /** Bits that the file spends on places, per number kept; null where places and indices are one. */
  readonly codedIndexBits: number | null;
  /** Bytes with these fixed widths, codebook and fillers counted. */
  readonly fixedBytes: number | null;
  /** Bytes in the file, framing counted. */
  readonly bytes: number;
  /** Of those: entries of the codebook, places, indices. What is left is the rest. */
  readonly codebookBytes: number;
  readonly placesBytes: number;
  readonly indicesBytes: number;
}

/** What each section of a file is made of. Throws FormatError as `unpack` does. */
export function sectionReports(file: Uint8Array): SectionReport[] {
  const { file: unpacked, ranges } = inspect(file);
  return unpacked.sections.map(({ tensors, coded }, i) => {
    const name = sectionName(i + 1);
    const own = ranges.filter(({ path }) => path[0] === name);
    const bytesOf = (...fields: readonly string[]): number =>
      own
        .filter(({ path }) => fields.length === 0 || fields.includes(path[1]!))
        .reduce((sum, { start, end }) => sum + end - start, 0);
    const values = valuesOf(coded);
    const positions = nonzeroPositions(values);
    const kept = positions.length;
    const common = {
      tensors,
      method: coded.method,
      weights: values.length,
      kept,
      bytes: bytesOf(),
      codebookBytes: bytesOf("entries", "entry values"),
      placesBytes: bytesOf("places"),
      indicesBytes: bytesOf("indices"),
    };
    const perKept = (bytes: number): number | null => (kept === 0 ? null : (8 * bytes) / kept);
    if (coded.method !== "codebook" && coded.method !== "sparse codebook") {
      const none = { centres: null, weightBits: null, indexBits: null, fixedBytes: null };
      const codedIndexBits = coded.method === "sparse float32" ? perKept(common.placesBytes) : null;
      return { ...common, ...none, codedBits: perKept(common.bytes - common.placesBytes), codedIndexBits };
    }
    const centres = coded.entries.filter((entry) => entry !== 0).length;
    const codedBits = perKept(common.indicesBytes);
    const codedIndexBits = coded.method === "codebook" ? null : perKept(common.placesBytes);
    return { ...common, centres, ...fixedWidths(positions, values.length, centres), codedBits, codedIndexBits };
  });
}

/** All sections of a file as one, as the last row of the paper's tables. Null where no section has it. */
export interface ReportTotals extends Pick<SectionReport, "weights" | "kept" | "bytes"> {
  readonly weightBits: number | null;
  readonly codedBits: number | null;
  readonly indexBits: number | null;
  readonly codedIndexBits: number | null;
  /** What the file is of float32, by what is counted; `fixed` is null unless every section has fixed widths. */
  readonly rates: readonly { readonly counted: string; readonly fixed: number | null; readonly coded: number }[];
}

/**
 * Sums, and bits per number kept as means over all numbers kept in sections that have them. Rates are told three times:
 * of indices alone, with places, and with places, codebooks and all else there is in a section: papers differ in what
 * they count.
 */
export function reportTotals(sections: readonly SectionReport[]): ReportTotals {
  const sum = (of: (section: SectionReport) => number, some = sections): number =>
    some.reduce((all, section) => all + of(section), 0);
  const mean = (of: (section: SectionReport) => number | null): number | null => {
    const some = sections.filter((section) => of(section) !== null);
    const kept = sum((section) => section.kept, some);
    return kept === 0 ? null : sum((section) => of(section)! * section.kept, some) / kept;
  };
  const weights = sum((section) => section.weights);
  const hasFixed = sections.every(({ fixedBytes }) => fixedBytes !== null);
  type Bytes = (section: SectionReport) => number;
  const rate = (counted: string, fixed: Bytes, coded: Bytes) => ({
    counted,
    fixed: hasFixed ? sum(fixed) / (4 * weights) : null,
    coded: sum(coded) / (4 * weights),
  });
  const fixedIndices = ({ kept, weightBits }: SectionReport): number => (kept * weightBits!) / 8;
  // What has no codebook has no indices either: all of it but places stands for the weights.
  const codedIndices = ({ centres, indicesBytes, placesBytes, bytes }: SectionReport): number =>
    centres === null ? bytes - placesBytes : indicesBytes;
  const fixedPlaces = ({ fixedBytes, centres }: SectionReport): number => fixedBytes! - 4 * centres!;
  return {
    weights,
    kept: sum((section) => section.kept),
    weightBits: mean((section) => section.weightBits),
    codedBits: mean((section) => section.codedBits),
    // Where every weight is there, no place is said.
    indexBits: mean(({ indexBits }) => indexBits || null),
    codedIndexBits: mean((section) => section.codedIndexBits),
    bytes: sum((section) => section.bytes),
    rates: [
      rate("indices", fixedIndices, codedIndices),
      rate("and places", fixedPlaces, (section) => codedIndices(section) + section.placesBytes),
      rate("all", (section) => section.fixedBytes!, (section) => section.bytes),
    ],
  };
}

/** What weights would take without entropy coding, as pruning and sharing leave them. */
function fixedWidths(positions: Uint32Array, length: number, centres: number) {
  const kept = positions.length;
  const width = (symbols: number): number => 32 - Math.clz32(Math.max(symbols, 1) - 1);
  const weightBits = width(centres);
  const bytesWith = (indices: number): number => 4 * centres + Math.ceil((kept * weightBits + indices) / 8);
  if (kept === length || kept === 0) return { weightBits, indexBits: 0, fixedBytes: bytesWith(0) };
  const gaps = gapsOf(positions);
  let best = { indexBits: 0, bits: Infinity };
  for (let indexBits = 1; indexBits <= 15; indexBits++) {
    // "relative" of section 9: one more bit tells a filler from the largest gap.
    let bits = 0;
    for (const gap of gaps) {
      const fillers = Math.floor((gap - 1) / 2 ** indexBits);
      bits += fillers * (indexBits + 1) + indexBits + Number(gap - fillers * 2 ** indexBits === 2 ** indexBits);
    }
    if (bits < best.bits) best = { indexBits, bits };
  }
  return { weightBits, indexBits: best.indexBits, fixedBytes: bytesWith(best.bits) };
}
