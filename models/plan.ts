import type { Schedule } from "../lib/optimizers/schedule.ts";
import { type Key, seedKey } from "../lib/random.ts";
import type { Weights } from "../lib/weights.ts";
import { type Batches, batchesOf, trainingAugmentationOf } from "./batches.ts";
import { checkArrays, checkFits, checkWeights, checkWhole } from "./check.ts";
import type { Json } from "./checkpoint.ts";
import { checkOptimizer, type OptimizerChoice, scheduleOf } from "./choices.ts";
import { digestOfData, sha256 } from "./digest.ts";
import type { FitOptions, Parametrisation } from "./fit.ts";
import { initialise } from "./initialise.ts";
import type { Mask } from "./learner.ts";
import { hardLabels, type Loss } from "./loss.ts";
import { checkRoom } from "./pictures.ts";

/** A training that can begin: options checked, defaults filled in. */
export interface Plan {
  readonly key: Key;
  readonly batches: Batches;
  readonly steps: number;
  readonly start: Weights;
  readonly optimizer: OptimizerChoice;
  readonly schedule: Schedule;
  readonly loss: Loss;
  readonly parametrisation: Parametrisation;
  /** Steps between checkpoints. */
  readonly every: number;
  /** What a checkpoint must agree with. The first time it takes a while: it reads all data. */
  readonly identity: () => Identity;
}

type Identity = Readonly<Record<string, Json>>;

/** More would have no block of draws of their own. */
const mostSteps = 0xffffff;

const direct: Parametrisation = { name: "direct", parameters: (trained) => trained };

/** Checks everything that can be known before the first step. */
export function planOf(options: FitOptions): Plan {
  const { network, data, epochs, batchSize = 64, seed = 0, masks = [], average, augmentation } = options;
  const { optimizer = { name: "adam" }, schedule = { name: "cosine", rate: 0.001 } } = options;
  const { loss = hardLabels, parametrisation = direct } = options;
  checkFits(network, data.train);
  if (data.validation !== undefined) checkFits(network, data.validation);
  checkWhole("fit: the batch size", batchSize, 1, 65536);
  const key = seedKey(seed);
  const batches = batchesOf(data.train, network.input, { size: batchSize, seed, augmentation });
  const bytes = data.train.images.length / data.train.count;
  checkRoom("fit", options.runtime, batches.pictures, bytes);
  checkRoom("fit", options.runtime, data.validation?.count ?? 0, bytes);
  if (loss.pictures !== undefined && loss.pictures !== batches.pictures) {
    throw new RangeError(`fit: the loss knows ${loss.pictures} pictures, training has ${batches.pictures}`);
  }
  if ((epochs === undefined) === (options.steps === undefined)) {
    throw new RangeError("fit: needs either epochs or steps");
  }
  if (epochs !== undefined) checkWhole("fit: epochs", epochs, 1, Math.floor(mostSteps / batches.perEpoch));
  const steps = options.steps ?? epochs! * batches.perEpoch;
  checkWhole("fit: steps", steps, 1, mostSteps);
  checkOptimizer(optimizer);
  const every = options.checkpoint?.every ?? batches.perEpoch;
  checkWhole("fit: steps between checkpoints", every, 1, mostSteps);
  if (average !== undefined && !(average.decay >= 0 && average.decay < 1)) {
    throw new RangeError(`fit: the decay of averages must be from 0 to below 1, got ${average.decay}`);
  }
  const start = startOf(options, seed);
  checkMasks(masks, start);
  const identify = (): Identity => ({
    network: { ...network } as unknown as Json,
    training: digestOfData(data.train),
    validation: data.validation === undefined ? null : digestOfData(data.validation),
    "batch size": batches.size,
    steps,
    optimizer: { ...optimizer },
    schedule: { ...schedule },
    seed,
    ...identityOf(augmentation),
    masks: masks.map(({ name, values }) => [name, sha256(values)]),
    average: average?.decay ?? null,
    loss: loss.name,
    parametrisation: parametrisation.name,
    device: options.runtime.device,
  });
  let identity: Identity | undefined;
  return {
    key,
    batches,
    steps,
    start,
    optimizer,
    schedule: scheduleOf(schedule, steps),
    loss,
    parametrisation,
    every,
    identity: () => (identity ??= identify()),
  };
}

/** One entry for each option, so that a refusal says which one differs, and none for training on images as they are. */
function identityOf(augmentation: FitOptions["augmentation"]): Identity {
  if (augmentation === undefined) return {};
  const options = Object.entries(trainingAugmentationOf(augmentation));
  return Object.fromEntries(options.map(([name, value]) => [`${name} of augmentation`, value as Json]));
}

function startOf({ network, weights, parametrisation }: FitOptions, seed: number): Weights {
  if (parametrisation !== undefined) {
    if (weights === undefined || weights.length === 0) {
      throw new RangeError(`fit: the parametrisation ${parametrisation.name} needs weights to start from`);
    }
    checkArrays(weights);
    return weights;
  }
  if (weights === undefined) return initialise(network, seed);
  checkWeights(network, weights);
  return weights;
}

function checkMasks(masks: readonly Mask[], start: Weights): void {
  const seen = new Set<string>();
  for (const { name, values } of masks) {
    const masked = start.find((tensor) => tensor.name === name);
    if (masked === undefined || seen.has(name)) {
      throw new RangeError(`fit: ${masked === undefined ? "no tensor for" : "two masks for"} ${name}`);
    }
    seen.add(name);
    if (values.length !== masked.values.length) {
      throw new RangeError(`fit: the mask of ${name} needs ${masked.values.length} values, got ${values.length}`);
    }
    const stray = values.find((value) => value !== 0 && value !== 1);
    if (stray !== undefined) throw new RangeError(`fit: the mask of ${name} must be ones and zeros, got ${stray}`);
  }
}
