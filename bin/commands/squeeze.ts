import { rm } from "node:fs/promises";
import { type Command, Option } from "commander";
import { digest, evaluate, network as networkCalled, networks } from "../../models/index.ts";
import { openCheckpoint } from "../checkpoint.ts";
import { withRuntime } from "../device.ts";
import { UsageError } from "../errors.ts";
import { interruptible } from "../interrupt.ts";
import {
  checkWritable,
  metadataFrom,
  openData,
  squeeze,
  squeezeHead,
  type SqueezeRunProgress,
  writeFileSafely,
} from "../node/index.ts";
import {
  type CommonOptions,
  counts,
  type DataOptions,
  type DeviceOptions,
  part,
  positive,
  whole,
  withData,
  withDevice,
  withExample,
  withJson,
} from "../options.ts";
import { duration, type Progress, progressDisplay, timer } from "../progress.ts";
import { reportTo } from "../report.ts";
import { sizeFigures } from "../sizes.ts";
import { grouped, percent, times } from "../table.ts";
import { loadTeachers, teachersLoss, type TeacherOptions, withTeachers } from "../teachers.ts";

interface SqueezeOptions extends CommonOptions, DataOptions, DeviceOptions, TeacherOptions {
  readonly output: string;
  readonly metadata?: true;
  readonly model: string;
  readonly bytes: number;
  readonly seed: number;
  readonly live?: readonly number[];
  readonly pretraining?: number;
  readonly training?: number;
  readonly batch?: number;
  readonly pretrainingRate?: number;
  readonly rate?: number;
  readonly step?: number;
  readonly augment?: number;
  readonly original?: number;
  readonly checkpoint?: string;
  readonly checkpointEvery?: number;
  readonly resume?: string | true;
  readonly test: boolean;
}

/** `kilonet squeeze`: trains a network for a file of about so many bytes, of whole levels, and writes it. */
export function register(program: Command): void {
  const model = new Option("--model <name>", "which network").choices(networks.map(({ name }) => name));
  const command = program
    .command("squeeze")
    .description("train a network into a file of a given size: whole levels, trained under the length of their code")
    .addOption(model.default("lenet5"))
    .requiredOption("--bytes <count>", "of the whole file, which comes within 2 % of it", whole(1, 2 ** 26))
    .option("--seed <number>", "what all random choices follow from", whole(0, 2 ** 32 - 1), 1)
    .option("--live <counts>", "trained units of each layer but the last: 6-12-20 (default: by network)", counts)
    .option("--pretraining <steps>", "as usual", whole(1, 2 ** 22))
    .option("--training <steps>", "with levels and a price on their bits", whole(1, 2 ** 22))
    .option("--batch <count>", "images per step", whole(1, 65536))
    .option("--pretraining-rate <number>", "the highest learning rate of pretraining", positive)
    .option("--rate <number>", "the highest learning rate of levels", positive)
    .option("--step <number>", "distance of levels, in root mean squares of a tensor", positive)
    .option("--augment <copies>", "also train on so many slightly different copies of each image", whole(0, 1000))
    .option("--original <share>", "of the pictures, with --augment: images as they are", part)
    .option("--checkpoint <file>", "where the run saves itself (default: the output with .ckpt, removed at the end)")
    .option("--checkpoint-every <seconds>", "between checkpoints (default: 60)", whole(0))
    .option("--resume [file]", "go on from a checkpoint (default: the one above)")
    .option("--no-test", "leave the test images unread, as when recipes are compared")
    .requiredOption("-o, --output <file>", "the .knet file to write")
    .option("--metadata", "say in the file where the network came from; it counts");
  withData(withTeachers(command), "glyphs");
  withExample(
    withJson(withDevice(command)),
    "kilonet squeeze --model lenet5 --data mnist --bytes 900 --augment 11 -o tiny.knet",
  );
  command.action(run);
}

async function run(options: SqueezeOptions): Promise<void> {
  const { output, bytes, seed, live, augment: copies = 0, original } = options;
  const { pretraining, training, batch, pretrainingRate, rate, step } = options;
  const report = reportTo(options);
  const network = networkCalled(options.model);
  if (copies === 0 && original !== undefined) {
    throw new UsageError("squeeze: --original belongs to --augment, which is missing");
  }
  const source = await openData(options.data ?? "glyphs");
  const metadata = options.metadata === undefined ? undefined : metadataFrom({ data: source.name, seed });
  // A budget that holds nothing says so before teachers are asked.
  squeezeHead(network, { bytes, live, metadata });
  const teachers = await loadTeachers(options, network);
  const checkpoint = await openCheckpoint(options, report);
  for (const path of [output, checkpoint.path]) await checkWritable(path);
  await interruptible(() => checkpoint.interrupted(), (signal) =>
    withRuntime(options, async (runtime) => {
      const backend = runtime.description;
      report.event(
        { event: "start", network: network.name, data: source.name, origin: source.origin, backend, seed, bytes },
        `${network.name} in ${grouped(bytes)} bytes on ${source.name} (${source.origin}); ${backend}; seed ${seed}`,
      );
      const images = await source.learning();
      const started = performance.now();
      const display = progressDisplay();
      const augmentation = copies === 0 ? undefined : { seed, copies, ...(original !== undefined && { original }) };
      const timeLeft = timer();
      const teaching = { runtime, data: images.training, augmentation, signal, display, report };
      const result = await teachersLoss(teachers, options, teaching)
        .then((loss) =>
          squeeze(network, images, {
            ...{ runtime, bytes, seed, live, pretraining, training, batch, pretrainingRate, rate, step },
            ...{ copies, original, loss, metadata, signal, resume: checkpoint.resume },
            checkpoint: { every: options.checkpointEvery, save: (state) => checkpoint.save(state) },
            onProgress: (progress) => {
              const left = timeLeft(progress);
              if (!report.json) display.show(progress.phase, figures(progress, left));
            },
          }),
        )
        .finally(() => display.end());
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

/** How a run stands, for a bar. */
function figures({ done, total, loss, bytes }: SqueezeRunProgress, secondsLeft: number | undefined): Progress {
  return {
    done,
    total,
    figures: [
      ...(bytes === null ? [] : [`${grouped(bytes)} bytes`]),
      `loss ${loss.toFixed(4)}`,
      ...(secondsLeft === undefined ? [] : [`${duration(secondsLeft)} left`]),
    ],
  };
}
