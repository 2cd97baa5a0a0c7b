import { readFile, rm } from "node:fs/promises";
import { Option, type Command } from "commander";
import { sectionsOf } from "../../codecs/index.ts";
import { digest, evaluate, fit, network as networkCalled, type OptimizerChoice } from "../../models/index.ts";
import { openDevice } from "../device.ts";
import { interruptible } from "../interrupt.ts";
import { metadataFrom, openData, saveNetwork, writeFileSafely } from "../node/index.ts";
import {
  type CommonOptions, type DataOptions, type DeviceOptions, positive, share, whole, withData, withDevice, withExample, withJson,
  withOutput, withSeed,
} from "../options.ts";
import { checkWritable } from "../output.ts";
import { duration, progressDisplay } from "../progress.ts";
import { fitFigures } from "../figures.ts";
import { reportTo } from "../report.ts";
import { percent } from "../table.ts";

interface TrainOptions extends CommonOptions, DataOptions, DeviceOptions {
  readonly model: string;
  readonly output: string;
  readonly epochs: number;
  readonly batch: number;
  readonly rate: number;
  readonly optimizer: OptimizerChoice["name"];
  readonly schedule: "cosine" | "oneCycle" | "constant";
  readonly weightDecay?: number;
  readonly average?: number;
  readonly seed: number;
  readonly checkpoint?: string;
  readonly checkpointEvery?: number;
  readonly resume?: string | true;
  readonly metrics?: string;
  readonly test: boolean;
}

/** `kilonet train`: trains a known network and writes it with raw float32 weights. */
export function register(program: Command): void {
  const command = program
    .command("train")
    .description("train a network and write it as a .knet file with float32 weights")
    .option("--model <name>", "lenet5, lenet300, softmax or linear", "lenet300")
    .option("--epochs <count>", "passes over the training images", whole(1, 100000), 10)
    .option("--batch <count>", "images per step", whole(1, 65536), 64)
    .option("--rate <number>", "the highest learning rate", positive, 0.001)
    .addOption(new Option("--optimizer <name>", "how weights are updated").choices(["adam", "adamW", "sgd"]).default("adam"))
    .addOption(
      new Option("--schedule <name>", "how the rate changes").choices(["cosine", "oneCycle", "constant"]).default("cosine"),
    )
    .option("--weight-decay <number>", "pull towards zero", positive)
    .option("--average <decay>", "keep moving averages of the weights and write those (0.999)", share)
    .option("--checkpoint <file>", "where training saves itself (default: the output with .ckpt, removed at the end)")
    .option("--checkpoint-every <steps>", "steps between checkpoints (default: an epoch)", whole(1))
    .option("--resume [file]", "go on from a checkpoint")
    .option("--metrics <file>", "write a JSON line per epoch")
    .option("--no-test", "leave the test images unread, as when recipes are compared");
  withOutput(withSeed(withData(command)), "the .knet file to write");
  withExample(withJson(withDevice(command)), "kilonet train --model lenet5 --data mnist --epochs 10 -o lenet5.knet");
  command.action((options: TrainOptions) => train(options));
}

async function train(options: TrainOptions): Promise<void> {
  const { output, seed, epochs, json } = options;
  const report = reportTo(options);
  const network = networkCalled(options.model);
  const checkpoint = options.checkpoint ?? `${output}.ckpt`;
  const resumeFrom = options.resume === true ? checkpoint : options.resume;
  for (const path of [output, checkpoint, ...(options.metrics === undefined ? [] : [options.metrics])]) {
    await checkWritable(path);
  }
  const resume = resumeFrom === undefined ? undefined : new Uint8Array(await readFile(resumeFrom));
  const source = await openData(options.data ?? "glyphs");
  const runtime = await openDevice(options);
  report.event(
    { event: "start", network: network.name, data: source.name, origin: source.origin, device: runtime.description, seed },
    `${network.name} on ${source.name} (${source.origin}); ${runtime.description}; seed ${seed}`,
  );
  const { training, validation } = await source.learning();
  const display = progressDisplay();
  const records: string[] = [];
  const again = `saved ${checkpoint}; the same command with --resume goes on from there`;
  const result = await interruptible(`interrupted: ${again}`, (signal) =>
    fit({
      runtime,
      network,
      data: { train: training, validation },
      epochs,
      batchSize: options.batch,
      seed,
      signal,
      optimizer: { name: options.optimizer, ...(options.weightDecay === undefined ? {} : { weightDecay: options.weightDecay }) },
      schedule: { name: options.schedule, rate: options.rate },
      ...(options.average === undefined ? {} : { average: { decay: options.average } }),
      ...(resume === undefined ? {} : { resume }),
      checkpoint: {
        save: (bytes) => writeFileSafely(checkpoint, bytes),
        ...(options.checkpointEvery === undefined ? {} : { every: options.checkpointEvery }),
      },
      onProgress: (progress) => {
        if (json !== true) display.show("train", fitFigures(progress));
      },
      onEpoch: (record) => {
        records.push(JSON.stringify(record));
        report.event({ event: "epoch", ...record });
      },
    }),
  ).finally(() => display.end());
  if (options.metrics !== undefined) await writeFileSafely(options.metrics, records.map((line) => `${line}\n`).join(""));

  const measured = options.test
    ? await evaluate({ runtime, network, weights: result.weights, data: await source.test() })
    : null;
  const sha256 = digest(result.weights);
  await saveNetwork(output, {
    network,
    sections: sectionsOf(result.weights),
    metadata: metadataFrom({
      data: source.name,
      epochs,
      seed,
      weights: sha256,
      ...(measured === null ? {} : { accuracy: measured.accuracy.toFixed(4) }),
    }),
  });
  if (options.checkpoint === undefined) await rm(checkpoint, { force: true });
  await runtime.close();
  const { validationAccuracy, loss, steps, seconds } = result;
  report.result(
    {
      accuracy: measured?.accuracy ?? null, validationAccuracy, loss, epochs, steps, seconds, seed,
      backend: runtime.description, sha256, output,
    },
    `${output}: ` +
      (measured === null ? "" : `test accuracy ${percent(measured.accuracy)}, `) +
      `validation ${percent(validationAccuracy ?? NaN)}, loss ${loss.toFixed(4)}, ${steps} steps in ${duration(seconds)}`,
  );
}
