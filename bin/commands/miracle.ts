import { rm } from "node:fs/promises";
import { type Command, Option } from "commander";
import type { Group } from "../../codecs/index.ts";
import { type Network, parametersOf } from "../../lib/index.ts";
import { digest, evaluate, network as networkCalled, networks } from "../../models/index.ts";
import { openCheckpoint } from "../checkpoint.ts";
import { withRuntime } from "../device.ts";
import { UsageError } from "../errors.ts";
import { interruptible } from "../interrupt.ts";
import {
  checkWritable,
  metadataFrom,
  miracle,
  miracleBlocks,
  type MiracleRunProgress,
  openData,
  writeFileSafely,
} from "../node/index.ts";
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
} from "../options.ts";
import { duration, type Progress, progressDisplay, timer } from "../progress.ts";
import { reportTo } from "../report.ts";
import { perLayer, type PerLayer } from "../rules.ts";
import { sizeFigures } from "../sizes.ts";
import { grouped, percent, times } from "../table.ts";
import { loadTeachers, teachersLoss, type TeacherOptions, withTeachers } from "../teachers.ts";

interface MiracleOptions extends CommonOptions, DataOptions, DeviceOptions, TeacherOptions {
  readonly output: string;
  readonly metadata?: true;
  readonly model: string;
  readonly bytes: number;
  readonly seed: number;
  readonly live?: readonly number[];
  readonly group?: PerLayer;
  readonly hashed?: true;
  readonly bits?: number;
  readonly pretraining?: number;
  readonly training?: number;
  readonly refit?: number;
  readonly batch?: number;
  readonly samples?: number;
  readonly rate?: number;
  readonly refitRate?: number;
  readonly augment?: number;
  readonly original?: number;
  readonly choice: "maximum" | "sampling";
  readonly weighing: "importance" | "density";
  readonly checkpoint?: string;
  readonly checkpointEvery?: number;
  readonly resume?: string | true;
  readonly test: boolean;
}

/** `kilonet miracle`: trains a network for a file of so many bytes, and writes it. */
export function register(program: Command): void {
  const model = new Option("--model <name>", "which network").choices(networks.map(({ name }) => name));
  const command = program
    .command("miracle")
    .description("train a network into a file of a given size: random codes, one index per block of weights")
    .addOption(model.default("lenet5"))
    .requiredOption("--bytes <count>", "of the whole file", whole(1, 2 ** 26))
    .option("--seed <number>", "of all draws, below 128 one byte of the file", whole(0, 2 ** 32 - 1), 1)
    .option("--live <counts>", "trained units of each layer but the last: 6-12-16 (default: by size)", counts)
    .option("--group <number>", "weights that share one number: 50, or conv2=2,fc1=50", perLayer(whole(1, 2 ** 20)))
    .option("--hashed", "groups by hash and with signs, in place of neighbours")
    .option("--bits <count>", "per block, 4 to 20", whole(4, 20))
    .option("--pretraining <steps>", "without noise", whole(0, 2 ** 22))
    .option("--training <steps>", "with noise and budget", whole(0, 2 ** 22))
    .option("--refit <steps>", "after each block", whole(0, 1e5))
    .option("--batch <count>", "images per step", whole(1, 65536))
    .option("--samples <count>", "draws of the weights per step, which share its images", whole(1, 1024))
    .option("--rate <number>", "the highest learning rate", positive)
    .option("--refit-rate <number>", "the same, in refitting", positive)
    .option("--augment <copies>", "also train on so many slightly different copies of each image", whole(0, 1000))
    .option("--original <share>", "of the pictures, with --augment: images as they are", part)
    .addOption(new Option("--choice <rule>", "of a block's sample").choices(["maximum", "sampling"]).default("maximum"))
    .addOption(
      new Option("--weighing <rule>", "of samples").choices(["importance", "density"]).default("importance"),
    )
    .option("--checkpoint <file>", "where the run saves itself (default: the output with .ckpt, removed at the end)")
    .option("--checkpoint-every <seconds>", "0 for as often as can be (default: 60)", real("from 0 up", (n) => n >= 0))
    .option("--resume [file]", "go on from a checkpoint (default: the one above)")
    .option("--no-test", "leave the test images unread, as when recipes are compared")
    .requiredOption("-o, --output <file>", "the .knet file to write")
    .option("--metadata", "say in the file where the network came from; it counts");
  withData(withTeachers(command), "glyphs");
  withExample(
    withJson(withDevice(command)),
    "kilonet miracle --model lenet5 --data mnist --bytes 1000 --augment 11 -o tiny.knet",
  );
  command.action(run);
}

async function run(options: MiracleOptions): Promise<void> {
  const { output, bytes, seed, live, bits, augment: copies = 0, original, choice, weighing } = options;
  const { pretraining, training, refit, batch, samples, rate, refitRate } = options;
  const report = reportTo(options);
  const network = networkCalled(options.model);
  const groups = groupsOf(network, options);
  if (copies === 0 && original !== undefined) {
    throw new UsageError("miracle: --original belongs to --augment, which is missing");
  }
  const source = await openData(options.data ?? "glyphs");
  const metadata = options.metadata === undefined ? undefined : metadataFrom({ data: source.name, seed });
  // A budget that holds nothing says so before teachers are asked.
  const blocks = miracleBlocks(network, { bytes, seed, live, groups, bits, metadata });
  const teachers = await loadTeachers(options, network);
  const checkpoint = await openCheckpoint(options, report);
  for (const path of [output, checkpoint.path]) await checkWritable(path);
  await interruptible(() => checkpoint.interrupted(), (signal) =>
    withRuntime(options, async (runtime) => {
      const backend = runtime.description;
      report.event(
        { event: "start", network: network.name, data: source.name, origin: source.origin, backend, seed, bytes },
        `${network.name} in ${grouped(bytes)} bytes (${grouped(blocks)} blocks) ` +
          `on ${source.name} (${source.origin}); ${backend}; seed ${seed}`,
      );
      const images = await source.learning();
      const started = performance.now();
      const display = progressDisplay();
      const augmentation = copies === 0 ? undefined : { seed, copies, ...(original !== undefined && { original }) };
      const timeLeft = timer();
      const teaching = { runtime, data: images.training, augmentation, signal, display, report };
      const result = await teachersLoss(teachers, options, teaching)
        .then((loss) =>
          miracle(network, images, {
            ...{ runtime, bytes, seed, live, groups, bits, pretraining, training, refit, batch, samples },
            ...{ rate, refitRate, copies, original, loss, metadata, signal, resume: checkpoint.resume },
            choice: { by: choice, weighing },
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

/** How weights share scalars: layers without a number do not. */
function groupsOf(network: Network, { group, hashed }: MiracleOptions): readonly Group[] | undefined {
  if (group === undefined) {
    if (hashed === true) throw new UsageError("miracle: --hashed belongs to --group, which is missing");
    return undefined;
  }
  const parameters = parametersOf(network);
  const layers = parameters.filter(({ name }) => name.endsWith(".weight")).map(({ name }) => name.slice(0, -7));
  const stray = typeof group === "number" ? undefined : Object.keys(group).find((layer) => !layers.includes(layer));
  if (stray !== undefined) throw new UsageError(`${network.name} has no layer "${stray}"; it has ${layers.join(", ")}`);
  return parameters.map(({ name }) => {
    const layer = name.slice(0, -7);
    const size = !name.endsWith(".weight") ? 1 : typeof group === "number" ? group : (group[layer] ?? 1);
    return { size, hashed: hashed === true && size > 1 };
  });
}

/** How a run stands, for a bar. */
function figures(progress: MiracleRunProgress, secondsLeft: number | undefined): Progress {
  const { done, total, coded, blocks, loss, divergence, validation, bytes } = progress;
  return {
    done,
    total,
    figures: [
      `block ${coded}/${blocks}`,
      ...(Number.isNaN(divergence) ? [] : [`KL ${divergence.toFixed(2)} bits a block`]),
      ...(Number.isNaN(loss) ? [] : [`loss ${loss.toFixed(4)}`]),
      ...(validation === null ? [] : [`validation ${percent(validation.accuracy)}`]),
      `${grouped(bytes)} bytes`,
      ...(secondsLeft === undefined ? [] : [`${duration(secondsLeft)} left`]),
    ],
  };
}
