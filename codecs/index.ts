/** The door `kilonet/codecs`: what makes weights small, and the file that carries them. Bytes in, bytes out. */

export {
  inspect,
  printable,
  type ByteRange,
  type Field,
  type Inspection,
  type PartReport,
  type TensorReport,
} from "./inspect.ts";
export { inspectHtml, type HtmlOptions } from "./inspectHtml.ts";
export { pack, toWeights, unpack, type ModelFile, type Section, type Unpacked } from "./container.ts";
export { sectionsFrom, unpackChunks, type Arrived, type Chunks } from "./chunks.ts";
export { code, codeExactly, sectionsOf, type CodeOptions } from "./code.ts";
export type { Coded } from "./coded.ts";
export type { Metadata } from "./metadata.ts";

export {
  applyMasks,
  countKept,
  markPruned,
  masksOf,
  prune,
  pruneTogether,
  readPruned,
  type Masks,
  type NamedMask,
  type PruneOptions,
  type PruneRule,
} from "./prune.ts";
export { clearDead, removeDead, type DeadUnits } from "./prune/dead.ts";
export { rescaleDropout } from "./prune/dropout.ts";
export { rulesAt, shareAt } from "./prune/schedule.ts";
export {
  codebookOf,
  entryGradients,
  share,
  sharingRate,
  tidy,
  toValues,
  type Codebook,
  type RateOptions,
  type ShareOptions,
} from "./codebook.ts";
export { sensitivity, usualShares, type SensitivityOptions, type SensitivityPoint } from "./sensitivity.ts";
export { chooseWithin, probe, type BudgetGroup, type Probe, type ProbeOptions } from "./sensitivity/budget.ts";
export { reportTotals, type ReportTotals, sectionReports, type SectionReport } from "./sectionReports.ts";

export { lump, type Lumped, type LumpedLayer, type LumpOptions, type UnitClass } from "./lump/lump.ts";
export {
  type ActivationLumped,
  type ActivationLumpOptions,
  type FittedLayer,
  lumpByActivations,
} from "./lump/lumpByActivations.ts";
export {
  lumpDictionary,
  type LumpedDictionary,
  type NeuronDictionary,
  readDictionary,
  runDictionary,
} from "./lump/dictionary.ts";
export { publishedText } from "./lump/publishedText.ts";
export {
  type Affine,
  affineOf,
  type BatchNorm,
  foldIntoNext,
  foldIntoPrevious,
  type LayerNumbers,
  type NextLayer,
} from "./lump/foldBatchNorm.ts";
export {
  type ExactOptions,
  reduceByFit,
  reduceByMultiples,
  reduceGreedily,
  type ReduceOptions,
  reduceToSubset,
} from "./reduce/reduce.ts";
export type { Edge, Neuron, Reduced } from "./reduce/neuron.ts";
export { type CsvNeuron, readNeurons, readVectors } from "./reduce/csv.ts";

export { chooseHuffman, huffman, type Huffman } from "./huffman.ts";
export { chooseRans, rans, type Rans } from "./rans.ts";
export { chooseSparse, sparse, type Sparse, type SparseForm } from "./sparse.ts";
export { chooseSymbols, symbols, type SymbolRange, type Symbols } from "./symbols.ts";
export { crc32 } from "./crc32.ts";

export { legacyCode } from "./mrcl/legacyCode.ts";
export { mrclLayout, type MrclLayout, type MrclOptions } from "./mrcl/layout.ts";
export { mrclModels, type MrclModel, type MrclModelName } from "./mrcl/model.ts";
export { readMrcl, readMrclContent, type MrclContent } from "./mrcl/readMrcl.ts";

export { type Choose, chooseLevels, codedBits, codedBytes, largestLevel, levels } from "./levels.ts";
export { type BitCoder, Context, RangeDecoder, RangeEncoder } from "./range.ts";
export { BitMeter } from "./cost.ts";
export { nearestScale, scaleOf } from "./scale.ts";
export type { LevelWeights } from "./levelWeights.ts";
export type { LegacyCode } from "./legacy.ts";
export type { RandomCode } from "./randomCode.ts";
export { placesOf, scalarsOf, type Group, type ScalarsOptions, type TensorScalars } from "./scalars.ts";
export { Miracle } from "./miracle/miracle.ts";
export type {
  Choice,
  CompressOptions,
  Draw,
  MiracleLoss,
  MiracleOptions,
  MiracleProgress,
  MiracleState,
  PretrainOptions,
  TrainOptions,
} from "./miracle/options.ts";
export { blocksFor, type BudgetOptions } from "./miracle/budget.ts";
export type { PriceOptions } from "./miracle/prices.ts";
export { refine, type RefineOptions, type RefineProgress, type Slopes } from "./squeeze/refine.ts";
export { Squeeze, type SqueezeOptions, type SqueezeProgress, type SqueezeState } from "./squeeze/squeeze.ts";
export type { Rates } from "./miracle/posterior.ts";
export { Contexts, counting, type Counting, Mixer, type MixingRule } from "./mixing.ts";

export { Budget, defaultLimits, FormatError, type Codec, type Limits } from "./codec.ts";
export { BitReader, BitWriter } from "./bits.ts";
export { ByteReader, ByteWriter, Trace, type Mark } from "./bytes.ts";
