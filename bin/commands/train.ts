import { rm } from "node:fs/promises";
import { type Command, Option } from "commander";
import { sectionsOf } from "../../codecs/index.ts";
import type { Network, Runtime } from "../../lib/index.ts";
import {
  digest,
  type EpochRecord,
  evaluate,
  fit,
  type FitOptions,
  type FitResult,
  network as networkCalled,
  networks,
  type OptimizerChoice,
  type TrainingAugmentation,
  withDropout,
} from "../../models/index.ts";
import { type CheckpointFile, openCheckpoint } from "../checkpoint.ts";
import { withRuntime } from "../device.ts";
import { UsageError } from "../errors.ts";
import { fitFigures } from "../figures.ts";
import { interruptible } from "../interrupt.ts";
import { metricsFile } from "../metrics.ts";
import {
  checkWritable,
  type DataSource,
  type LoadedNetwork,
  metadataFrom,
  openData,
  saveNetwork,
} from "../node/index.ts";
import {
  type CommonOptions,
  type DataOptions,
  decay,
  type DeviceOptions,
  type OutputOptions,
  part,
  positive,
  type SeedOptions,
  whole,
  withData,
  withDevice,
  withExample,
  withJson,
  withOutput,
  withSeed,
} from "../options.ts";
import { duration, progressDisplay } from "../progress.ts";
import { type Report, reportTo } from "../report.ts";
import { dropoutOf, type PerLayer, withDropoutShares } from "../rules.ts";
import { percent } from "../table.ts";
import { loadTeachers, teachersLoss, type TeacherOptions, withTeachers } from "../teachers.ts";

interface TrainOptions
  extends CommonOptions, DataOptions, DeviceOptions, OutputOptions, SeedOptions, TeacherOptions {
  readonly model: string;
  readonly epochs: number;
  readonly batch: number;
  readonly rate: number;
  readonly optimizer: OptimizerChoice["name"];
  readonly schedule: "cosine" | "oneCycle" | "constant";
  readonly weightDecay?: number;
  readonly momentum?: number;
  readonly nesterov?: true;
  readonly average?: number;
  readonly augment?: number;
  readonly original?: number;
  readonly dropout?: PerLayer;
  readonly checkpoint?: string;
  readonly checkpointEvery?: number;
  readonly resume?: string | true;
  readonly metrics?: string;
  readonly test: boolean;
}

/** `kilonet train`: trains a known network and writes it with raw float32 weights. */
export function register(program: Command): void {
  const optimizer = new Option("--optimizer <name>", "how weights are updated").choices(["adam", "adamW", "sgd"]);
  const schedule = new Option("--schedule <name>", "how the rate changes").choices(["cosine", "oneCycle", "constant"]);
  const model = new Option("--model <name>", "which network").choices(networks.map(({ name }) => name));
  const command = program
    .command("train")
    .description("train a network and write it as a .knet file with float32 weights")
    .addOption(model.default("lenet300"))
    .option("--epochs <count>", "passes over the training images", whole(1, 1e5), 10)
    .option("--batch <count>", "images per step", whole(1, 65536), 64)
    .option("--rate <number>", "the highest learning rate", positive, 0.001)
    .addOption(schedule.default("cosine"))
    .addOption(optimizer.default("adam"))
    .option("--weight-decay <number>", "pull towards zero", positive)
    .option("--momentum <number>", "of sgd", decay)
    .option("--nesterov", "sgd with momentum in Nesterov's form")
    .option("--average <decay>", "keep moving averages of the weights, with this decay, and write those", decay)
    .option("--augment <copies>", "also train on so many slightly different copies of each image", whole(1, 1000))
    .option("--original <share>", "of the pictures, with --augment: images as they are (default: 0.35)", part)
    .option("--checkpoint <file>", "where training saves itself (default: the output with .ckpt, removed at the end)")
    .option("--checkpoint-every <steps>", "steps between checkpoints (default: an epoch)", whole(1))
    .option("--resume [file]", "go on from a checkpoint (default: the one above)")
    .option("--metrics <file>", "write a line of JSON per epoch")
    .option("--no-test", "leave the test images unread, as when recipes are compared");
  withOutput(withSeed(withData(withTeachers(withDropoutShares(command)), "glyphs")));
  withExample(withJson(withDevice(command)), "kilonet train --model lenet5 --data mnist --epochs 10 -o lenet5.knet");
  command.action(train);
}

/** A training that can begin: everything but the images is at hand. */
interface Training {
  readonly options: TrainOptions;
  readonly report: Report;
  readonly network: Network;
  readonly source: DataSource;
  readonly runtime: Runtime;
  readonly checkpoint: CheckpointFile;
  readonly teachers: readonly LoadedNetwork[];
}

async function train(options: TrainOptions): Promise<void> {
  const report = reportTo(options);
  const network = networkCalled(options.model);
  optimizerOf(options);
  dropoutOf(network, options.dropout);
  augmentationOf(options);
  const teachers = await loadTeachers(options, network);
  const checkpoint = await openCheckpoint(options, report);
  for (const path of [options.output, checkpoint.path, options.metrics]) {
    if (path !== undefined) await checkWritable(path);
  }
  const source = await openData(options.data ?? "glyphs");
  await interruptible(() => checkpoint.interrupted(), (signal) =>
    withRuntime(options, async (runtime) => {
      const training = { options, report, network, source, runtime, checkpoint, teachers };
      const result = await fitNetwork(training, signal);
      const accuracy = options.test ? await testAccuracy(training, result, signal) : null;
      await finish(training, result, accuracy);
    }),
  );
}

async function fitNetwork(training: Training, signal: AbortSignal): Promise<FitResult> {
  const { options, report, network, source, runtime, checkpoint } = training;
  const { seed, epochs, batch: batchSize, average, metrics } = options;
  const { name: data, origin } = source;
  const backend = runtime.description;
  report.event(
    { event: "start", network: network.name, data, origin, backend, seed },
    `${network.name} on ${data} (${origin}); ${backend}; seed ${seed}`,
  );
  checkpoint.mention(runtime.device);
  const images = await source.learning();
  // `fit` wrote the history, and compares the rest of the checkpoint with what is wanted.
  const past = (checkpoint.found?.progress.history ?? []) as unknown as readonly EpochRecord[];
  const record = metrics === undefined ? undefined : metricsFile(metrics, past);
  const display = progressDisplay();
  const teaching = { runtime, data: images.training, augmentation: augmentationOf(options), signal, display, report };
  const loss = await teachersLoss(training.teachers, options, teaching).finally(() => display.end());
  const fitOptions: FitOptions = {
    runtime,
    network: withDropout(network, dropoutOf(network, options.dropout) ?? {}),
    data: { train: images.training, validation: images.validation },
    epochs,
    batchSize,
    seed,
    signal,
    optimizer: optimizerOf(options),
    schedule: { name: options.schedule, rate: options.rate },
    average: average === undefined ? undefined : { decay: average },
    augmentation: augmentationOf(options),
    loss,
    resume: checkpoint.resume,
    checkpoint: { every: options.checkpointEvery, save: (bytes) => checkpoint.save(bytes) },
    onProgress: (progress) => {
      if (!report.json) display.show("train", fitFigures(progress));
    },
    onEpoch: (epoch) => {
      record?.(epoch);
      report.event({ event: "epoch", ...epoch });
    },
  };
  return checkpoint.keeping(fit(fitOptions)).finally(() => display.end());
}

function optimizerOf({ optimizer: name, weightDecay, momentum, nesterov }: TrainOptions): OptimizerChoice {
  if (name === "sgd") {
    if (nesterov === true && !((momentum ?? 0) > 0)) {
      throw new UsageError("train: --nesterov needs a --momentum above 0");
    }
    return { name, weightDecay, momentum, nesterov };
  }
  if (momentum !== undefined || nesterov === true) {
    throw new UsageError(`train: --momentum and --nesterov belong to sgd, the optimizer is ${name}`);
  }
  return { name, weightDecay };
}

function augmentationOf({ augment: copies, original, seed }: TrainOptions): TrainingAugmentation | undefined {
  if (copies !== undefined) return { copies, seed, ...(original !== undefined && { original }) };
  if (original !== undefined) throw new UsageError("train: --original belongs to --augment, which is missing");
  return undefined;
}

async function testAccuracy(training: Training, { weights }: FitResult, signal: AbortSignal): Promise<number> {
  const { runtime, network, source } = training;
  const { accuracy } = await evaluate({ runtime, network, weights, data: await source.test(), signal });
  return accuracy;
}

/** Writes the network, takes the checkpoint away if nobody asked for it, and says how it went. */
async function finish(training: Training, result: FitResult, accuracy: number | null): Promise<void> {
  const { options, report, network, source, runtime, checkpoint, teachers } = training;
  const { output, epochs, seed } = options;
  const { weights, validationAccuracy, loss, steps, seconds } = result;
  const sha256 = digest(weights);
  const teacher = teachers.map((one) => digest(one.weights)).join(" ") || undefined;
  const origin = {
    data: source.name,
    augment: options.augment,
    teacher,
    epochs,
    seed,
    weights: sha256,
    accuracy: accuracy?.toFixed(4),
  };
  const metadata = options.metadata ? metadataFrom(origin) : undefined;
  await saveNetwork(output, { network, sections: sectionsOf(weights), metadata });
  if (options.checkpoint === undefined) await rm(checkpoint.path, { force: true });
  const backend = runtime.description;
  report.result(
    { accuracy, validationAccuracy, loss, epochs, steps, seconds, seed, backend, sha256, output },
    [
      `${output}: ${accuracy === null ? "" : `test accuracy ${percent(accuracy)}, `}`,
      `validation ${percent(validationAccuracy!)}, loss ${loss.toFixed(4)}, ${steps} steps in ${duration(seconds)}`,
    ].join(""),
  );
}
