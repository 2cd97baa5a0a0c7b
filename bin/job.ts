import { rm } from "node:fs/promises";
import type { Command } from "commander";
import { pack, readPruned, type Section, toWeights } from "../codecs/index.ts";
import type { Network, Weights } from "../lib/index.ts";
import { digest, evaluate, type TrainingAugmentation } from "../models/index.ts";
import type { ChainOptions } from "./chain.ts";
import { type CheckpointFile, type CheckpointOptions, openCheckpoint } from "./checkpoint.ts";
import { withRuntime } from "./device.ts";
import { UsageError } from "./errors.ts";
import { fitFigures } from "./figures.ts";
import { interruptible } from "./interrupt.ts";
import { about } from "./node/about.ts";
import { checkWritable, loadNetwork, metadataFrom, saveNetwork } from "./node/index.ts";
import {
  type CommonOptions,
  type DataOptions,
  type DeviceOptions,
  type OutputOptions,
  part,
  type SeedOptions,
  whole,
  withData,
  withDevice,
  withExample,
  withJson,
  withOutput,
  withSeed,
} from "./options.ts";
import { progressDisplay, type ProgressDisplay } from "./progress.ts";
import { type Report, reportTo } from "./report.ts";
import { codecsOf, sizeFigures } from "./sizes.ts";
import { sourceFor } from "./sources.ts";
import { grouped, percent, times } from "./table.ts";
import { loadTeachers, type TeacherOptions, teachersLoss, withTeachers } from "./teachers.ts";

/** What the commands that turn one network file into another have in common. */
export interface JobOptions
  extends CommonOptions, DataOptions, DeviceOptions, OutputOptions, SeedOptions, TeacherOptions {
  readonly augment?: number;
  readonly original?: number;
}

export function withJob(command: Command, example: string): Command {
  command.argument("<file>", "a trained .knet file");
  command
    .option("--augment <copies>", "also train on so many slightly different copies of each image", whole(1, 1000))
    .option("--original <share>", "of the pictures, with --augment: images as they are (default: 0.35)", part);
  withData(withOutput(withTeachers(command)), "what the file was trained on, else glyphs");
  return withExample(withJson(withDevice(withSeed(command))), example);
}

/** The network of the file, its weights, and what every step of the chain wants. */
export interface Job {
  readonly network: Network;
  readonly weights: Weights;
  readonly chain: ChainOptions;
  readonly report: Report;
  readonly display: ProgressDisplay;
  /** Bytes of the whole file with these sections. */
  readonly sizeOf: (sections: readonly Section[]) => number;
  /** Where the job saves itself, if it can be resumed. */
  readonly checkpoint: CheckpointFile | undefined;
}

/** What a job made of a network. */
export interface Made {
  readonly sections: readonly Section[];
  /** Where it is another one than before. */
  readonly network?: Network;
  /** What else is worth saying, as fields of the result and as lines of text. */
  readonly result?: Readonly<Record<string, unknown>>;
  readonly text?: readonly string[];
}

export interface RunOptions {
  /** Whether NaN in the file means that a weight is pruned. */
  readonly nan?: boolean;
  /** Given, the job can be stopped and resumed. */
  readonly resumable?: CheckpointOptions;
}

/**
 * Reads a network file, has `body` make the sections of another one of it, measures that one on the validation images
 * and writes it. Ctrl-C ends the job with nothing written but, where it is resumable, its checkpoint.
 */
export async function runJob(
  path: string,
  options: JobOptions,
  body: (job: Job) => Promise<Made>,
  { nan = false, resumable }: RunOptions = {},
): Promise<void> {
  const { output, seed } = options;
  const report = reportTo(options);
  const display = progressDisplay();
  const augmentation = augmentationOf(options);
  await checkWritable(output);
  const checkpoint = resumable === undefined ? undefined : await openCheckpoint(resumable, report);
  if (checkpoint !== undefined) await checkWritable(checkpoint.path);
  return interruptible(
    () => checkpoint?.interrupted() ?? "interrupted: nothing was written",
    async (signal) => {
      const input = await loadNetwork(path);
      const { network } = input.file;
      const weights = nan ? readPruned(input.weights).weights : input.weights;
      const teachers = await loadTeachers(options, network);
      const source = await sourceFor(input, options);
      await withRuntime(options, async (runtime) => {
        const backend = runtime.description;
        report.event(
          { event: "start", network: network.name, data: source.name, origin: source.origin, backend, seed },
          `${network.name} on ${source.name} (${source.origin}); ${backend}; seed ${seed}`,
        );
        const { training, validation } = await source.learning();
        const measure = (some: Weights, of = network) =>
          evaluate({ runtime, network: of, weights: some, data: validation, signal });
        const before = await about(path, () => measure(weights));
        const metadataOf = (sha256: string) =>
          options.metadata ? metadataFrom({ data: source.name, seed, weights: sha256 }) : undefined;
        const teaching = { runtime, data: training, augmentation, signal, display, report };
        const loss = await teachersLoss(teachers, options, teaching).finally(() => display.end());
        const made = await body({
          network,
          weights: input.weights,
          report,
          display,
          checkpoint,
          // Digests are all equally long.
          sizeOf: (sections) => pack({ network, sections, metadata: metadataOf(digest(input.weights)) }).length,
          chain: {
            runtime,
            network,
            training,
            augmentation,
            loss,
            seed,
            signal,
            onProgress: (label, progress) => {
              if (!report.json) display.show(label, fitFigures(progress));
            },
          },
        }).finally(() => display.end());
        const { network: final = network, sections } = made;
        const left = toWeights({ network: final, sections });
        const { accuracy } = await measure(left, final);
        const sha256 = digest(left);
        const bytes = await saveNetwork(output, { network: final, sections, metadata: metadataOf(sha256) });
        if (checkpoint !== undefined && resumable?.checkpoint === undefined) await rm(checkpoint.path, { force: true });
        const size = sizeFigures(bytes.length, left);
        const accuracies = { validationAccuracy: accuracy, validationAccuracyBefore: before.accuracy };
        report.result(
          { ...accuracies, ...size, codec: codecsOf(sections), ...made.result, seed, backend, sha256, output },
          `${(made.text ?? []).map((line) => `${line}\n`).join("")}` +
            `${output}: ${grouped(size.bytes)} bytes, ${times(size.ratio)} smaller than float32; ` +
            `${grouped(size.nonzero)} of ${grouped(size.parameters)} parameters are not zero; ` +
            `validation ${percent(accuracy)}, was ${percent(before.accuracy)}`,
        );
      });
    },
  );
}

function augmentationOf({ augment: copies, original, seed }: JobOptions): TrainingAugmentation | undefined {
  if (copies !== undefined) return { copies, seed, ...(original !== undefined && { original }) };
  if (original !== undefined) throw new UsageError("--original belongs to --augment, which is missing");
  return undefined;
}
