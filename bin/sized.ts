import { rm } from "node:fs/promises";
import { type Command, Option } from "commander";
import type { Metadata } from "../codecs/index.ts";
import type { Network, Runtime, Weights } from "../lib/index.ts";
import {
  type Dataset,
  digest,
  type DropoutShares,
  type Evaluation,
  evaluate,
  type Loss,
  networks,
} from "../models/index.ts";
import { type CheckpointOptions, openCheckpoint } from "./checkpoint.ts";
import { withRuntime } from "./device.ts";
import { UsageError } from "./errors.ts";
import { interruptible } from "./interrupt.ts";
import { checkWritable, metadataFrom, openData, writeFileSafely } from "./node/index.ts";
import {
  type CommonOptions,
  counts,
  type DataOptions,
  type DeviceOptions,
  part,
  positive,
  real,
  whole,
  withData,
  withDevice,
  withExample,
  withJson,
} from "./options.ts";
import { duration, progressDisplay, timer } from "./progress.ts";
import { reportTo } from "./report.ts";
import { dropoutOf, type PerLayer, withDropoutShares } from "./rules.ts";
import { sizeFigures } from "./sizes.ts";
import { grouped, percent, times } from "./table.ts";
import { loadTeachers, type TeacherOptions, teachersLoss, withTeachers } from "./teachers.ts";

/** What every command takes that trains a network into a file of a given size. */
export interface SizedOptions extends CommonOptions, DataOptions, DeviceOptions, TeacherOptions, CheckpointOptions {
  readonly metadata?: true;
  readonly model: string;
  readonly bytes: number;
  readonly seed: number;
  readonly live?: readonly number[];
  readonly batch?: number;
  readonly rate?: number;
  readonly augment?: number;
  readonly original?: number;
  readonly dropout?: PerLayer;
  readonly checkpointEvery?: number;
  readonly test: boolean;
}

/** What help says of options that mean something else to each method. */
export interface SizedTexts {
  readonly bytes: string;
  readonly seed: string;
  readonly live: string;
  readonly rate: string;
}

/** The options that come before a method's own: which network, how large, and how it is trained. */
export function withSize(
  command: Command,
  texts: SizedTexts,
  live: (text: string) => readonly number[] | string = counts,
): Command {
  const model = new Option("--model <name>", "which network").choices(networks.map(({ name }) => name));
  return command
    .addOption(model.default("lenet5"))
    .requiredOption("--bytes <count>", texts.bytes, whole(1, 2 ** 26))
    .option("--seed <number>", texts.seed, whole(0, 2 ** 32 - 1), 1)
    .option("--live <counts>", texts.live, live)
    .option("--batch <count>", "images per step", whole(1, 65536))
    .option("--rate <number>", texts.rate, positive);
}

/** The options that come after a method's own: pictures, teachers, checkpoints, and the file. */
export function withRun(command: Command, example: string): Command {
  withDropoutShares(command)
    .option("--augment <copies>", "also train on so many slightly different copies of each image", whole(0, 1000))
    .option("--original <share>", "of the pictures, with --augment: images as they are", part)
    .option("--checkpoint <file>", "where the run saves itself (default: the output with .ckpt, removed at the end)")
    .option("--checkpoint-every <seconds>", "0 for as often as can be (default: 60)", real("from 0 up", (n) => n >= 0))
    .option("--resume [file]", "go on from a checkpoint (default: the one above)")
    .option("--no-test", "leave the test images unread, as when recipes are compared")
    .requiredOption("-o, --output <file>", "the .knet file to write")
    .option("--metadata", "say in the file where the network came from; it counts");
  return withExample(withJson(withDevice(withData(withTeachers(command), "glyphs"))), example);
}

/** The options as the library takes them. What is not given is left to a recipe. */
export interface SizedFile {
  readonly bytes: number;
  readonly seed: number;
  readonly live: readonly number[] | undefined;
  readonly metadata: Metadata | undefined;
}

export interface SizedTraining<Progress> extends SizedFile {
  readonly runtime: Runtime;
  readonly batch: number | undefined;
  readonly rate: number | undefined;
  readonly copies: number;
  readonly original: number | undefined;
  readonly dropout: DropoutShares | undefined;
  readonly loss: Loss | undefined;
  readonly signal: AbortSignal;
  readonly resume: Uint8Array | undefined;
  readonly checkpoint: {
    readonly every: number | undefined;
    readonly save: (bytes: Uint8Array) => Promise<void>;
  };
  readonly onProgress: (progress: Progress) => void;
}

export interface SizedProgress {
  readonly phase: string;
  readonly done: number;
  readonly total: number;
}

/** A method that trains a network into a file of a given size. */
export interface SizedMethod<Progress extends SizedProgress> {
  /**
   * Throws for a budget that holds nothing and for options that do not go together: before teachers are asked and
   * images are read. Returns what else there is to say of the file to come.
   */
  readonly check: (file: SizedFile) => string | null;
  readonly train: (
    images: { readonly training: Dataset; readonly validation: Dataset },
    training: SizedTraining<Progress>,
  ) => Promise<{ readonly bytes: Uint8Array; readonly weights: Weights; readonly validation: Evaluation | null }>;
  /** How a run stands, for a bar. */
  readonly figures: (progress: Progress) => readonly string[];
}

/** Trains, writes the file, and says what it does on images that training did not see. */
export async function runSized<Progress extends SizedProgress>(
  network: Network,
  options: SizedOptions,
  method: SizedMethod<Progress>,
): Promise<void> {
  const { output, bytes, seed, live, batch, rate, augment: copies = 0, original } = options;
  const dropout = dropoutOf(network, options.dropout);
  const report = reportTo(options);
  if (copies === 0 && original !== undefined) {
    throw new UsageError("--original belongs to --augment, which is missing");
  }
  const source = await openData(options.data ?? "glyphs");
  const metadata = options.metadata === undefined ? undefined : metadataFrom({ data: source.name, seed });
  const file = { bytes, seed, live, metadata };
  const also = method.check(file);
  const teachers = await loadTeachers(options, network);
  const checkpoint = await openCheckpoint(options, report);
  for (const path of [output, checkpoint.path]) await checkWritable(path);
  await interruptible(() => checkpoint.interrupted(), (signal) =>
    withRuntime(options, async (runtime) => {
      const backend = runtime.description;
      report.event(
        { event: "start", network: network.name, data: source.name, origin: source.origin, backend, seed, bytes },
        `${network.name} in ${grouped(bytes)} bytes ${also === null ? "" : `(${also}) `}` +
          `on ${source.name} (${source.origin}); ${backend}; seed ${seed}`,
      );
      const images = await source.learning();
      const started = performance.now();
      const display = progressDisplay();
      const augmentation = copies === 0 ? undefined : { seed, copies, ...(original !== undefined && { original }) };
      const timeLeft = timer();
      const teaching = { runtime, data: images.training, augmentation, signal, display, report };
      checkpoint.mention(runtime.device);
      const training = teachersLoss(teachers, options, teaching)
        .then((loss) =>
          method.train(images, {
            ...file,
            ...{ runtime, batch, rate, copies, original, dropout, loss, signal, resume: checkpoint.resume },
            checkpoint: { every: options.checkpointEvery, save: (state) => checkpoint.save(state) },
            onProgress: (progress) => {
              const { phase, done, total } = progress;
              const left = timeLeft(progress);
              const figures = [...method.figures(progress), ...(left === undefined ? [] : [`${duration(left)} left`])];
              if (!report.json) display.show(phase, { done, total, figures });
            },
          }),
        )
        .finally(() => display.end());
      const result = await checkpoint.keeping(training);
      await writeFileSafely(output, result.bytes);
      const test = options.test
        ? await evaluate({ runtime, network, weights: result.weights, data: await source.test(), signal })
        : null;
      if (options.checkpoint === undefined) await rm(checkpoint.path, { force: true });
      const seconds = (performance.now() - started) / 1000;
      const size = sizeFigures(result.bytes.length, result.weights);
      const accuracies = {
        accuracy: test?.accuracy ?? null,
        errors: test?.errors ?? null,
        validationAccuracy: result.validation!.accuracy,
        validationErrors: result.validation!.errors,
        validationLoss: result.validation!.loss,
      };
      report.result(
        { ...accuracies, ...size, seed, seconds, backend, sha256: digest(result.weights), output },
        `${output}: ${grouped(size.bytes)} bytes, ${times(size.ratio)} smaller than float32; ` +
          `${test === null ? "" : `test accuracy ${percent(test.accuracy)}, `}` +
          `validation ${percent(result.validation!.accuracy)}; ${duration(seconds)}`,
      );
    }),
  );
}
