/** What touches files (data sets, network files, safe writing), and whole methods from images to a file. */
export { compressWithin, type BudgetState, type CompressWithinOptions } from "../budget.ts";
export {
  type ChainOptions,
  compressChain,
  type CompressOptions,
  type Pruned,
  pruneAndRetrain,
  type RetrainOptions,
  shareAndTune,
  type ShareAndTuneOptions,
} from "../chain.ts";
export {
  compare,
  type Compared,
  type CompareOptions,
  type CompareProgress,
  type CompareRow,
  type Comparison,
  type NotCompared,
} from "./compare.ts";
export { compareMethods } from "./compareMethods.ts";
export { type DataSource, findMnist, mnistFolders, openData } from "./data.ts";
export { miracle, type MiracleResult, type MiracleRunProgress } from "./miracle.ts";
export {
  type MiracleRecipe,
  miracleBlocks,
  miracleRecipe,
  type MiracleRunOptions,
  type RunChoice,
} from "./miracleRecipe.ts";
export type { SizedRunOptions } from "./sizedRun.ts";
export { loadNetwork, type LoadedNetwork, metadataFrom, metadataOf, saveNetwork } from "./networkFile.ts";
export { refineOnImages, type RefineOnImagesOptions } from "./refine.ts";
export {
  squeeze,
  squeezeHead,
  type SqueezeRecipe,
  squeezeRecipe,
  type SqueezeResult,
  type SqueezeRunOptions,
  type SqueezeRunProgress,
} from "./squeeze.ts";
export { readZoo, verifyZooEntry, type ZooEntry, zooFolder, type ZooVerdict } from "./zoo.ts";
export { checkWritable, writeFileSafely } from "./writeFileSafely.ts";
