/** Networks, data, training and evaluation. */
export { cnn1024, lenet300, lenet5, linear, network, networks, softmax } from "./networks.ts";
export { keepUnits, narrow, strongest } from "./narrow.ts";
export { type DropoutShares, withDropout } from "./withDropout.ts";
export {
  UnitSearch,
  type UnitSearchOptions,
  type UnitSearchProgress,
  type UnitSearchState,
  weightsOf,
} from "./unitSearch.ts";
export { initialise } from "./initialise.ts";
export { forward, type ForwardOptions } from "./forward.ts";
export { fit, type FitOptions, type FitResult, type Parametrisation } from "./fit.ts";
export type { EpochRecord, FitProgress } from "./journal.ts";
export type { OptimizerChoice, ScheduleChoice } from "./choices.ts";
export { hardLabels, type Loss, type Outcome } from "./loss.ts";
export { distillation, type SoftLabelOptions, type SoftLabels, softLabels } from "./distill.ts";
export { type SharedGroup, type SharedTraining, sharedTraining } from "./sharedTraining.ts";
export {
  evaluate,
  type EvaluateOptions,
  type Evaluation,
  predict,
  type Prediction,
  type PredictOptions,
} from "./evaluate.ts";
export { augment, type AugmentOptions, copier, type Pool } from "./augment.ts";
export { digest, digestOfData, sha256 } from "./digest.ts";
export { type Checkpoint, checkIdentity, type Json, readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
export { type Batch, type Batches, batchesOf, type TrainingAugmentation } from "./batches.ts";
export { type Fed, type Feed, feedOf } from "./feed.ts";
export { type Pictures, picturesOn, type Shown } from "./pictures.ts";
export { Learner, type LearnerOptions, type Mask, type Measures } from "./learner.ts";
export { type Clock, type Line, type Loop, type Pace, pace, type PaceOptions, runSteps, waitingLine } from "./loop.ts";
export { checkDataset, type Dataset, gatherImages, gatherLabels, split, subset, take } from "./data/dataset.ts";
export { DataError } from "./data/error.ts";
export { glyphs } from "./data/glyphs.ts";
export { readIdx } from "./data/idx.ts";
