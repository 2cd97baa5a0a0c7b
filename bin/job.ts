import type { Command } from "commander";
import { type Section, toWeights } from "../codecs/index.ts";
import type { Network, Weights } from "../lib/index.ts";
import { digest, evaluate } from "../models/index.ts";
import type { ChainOptions } from "./chain.ts";
import { withRuntime } from "./device.ts";
import { fitFigures } from "./figures.ts";
import { interruptible } from "./interrupt.ts";
import { about } from "./node/about.ts";
import { checkWritable, loadNetwork, metadataFrom, saveNetwork } from "./node/index.ts";
import {
  type CommonOptions,
  type DataOptions,
  type DeviceOptions,
  type OutputOptions,
  type SeedOptions,
  withData,
  withDevice,
  withExample,
  withJson,
  withOutput,
  withSeed,
} from "./options.ts";
import { progressDisplay } from "./progress.ts";
import { reportTo } from "./report.ts";
import { codecsOf, sizeFigures } from "./sizes.ts";
import { sourceFor } from "./sources.ts";
import { grouped, percent, times } from "./table.ts";

/** What the commands that turn one network file into another have in common. */
export interface JobOptions extends CommonOptions, DataOptions, DeviceOptions, OutputOptions, SeedOptions {}

export function withJob(command: Command, example: string): Command {
  command.argument("<file>", "a trained .knet file");
  withData(withOutput(command), "what the file was trained on, else glyphs");
  return withExample(withJson(withDevice(withSeed(command))), example);
}

/** The network of the file, its weights, and what every step of the chain wants. */
export interface Job {
  readonly network: Network;
  readonly weights: Weights;
  readonly chain: ChainOptions;
}

/**
 * Reads a network file, has `body` make the sections of another one of it, measures that one on the validation images
 * and writes it. Ctrl-C ends the job with nothing written.
 */
export function runJob(
  path: string,
  options: JobOptions,
  body: (job: Job) => Promise<readonly Section[]>,
): Promise<void> {
  const { output, seed } = options;
  const report = reportTo(options);
  const display = progressDisplay();
  return interruptible(
    () => "interrupted: nothing was written",
    async (signal) => {
      await checkWritable(output);
      const input = await loadNetwork(path);
      const { network } = input.file;
      const source = await sourceFor(input, options);
      await withRuntime(options, async (runtime) => {
        const backend = runtime.description;
        report.event(
          { event: "start", network: network.name, data: source.name, origin: source.origin, backend, seed },
          `${network.name} on ${source.name} (${source.origin}); ${backend}; seed ${seed}`,
        );
        const { training, validation } = await source.learning();
        const measure = (weights: Weights) => evaluate({ runtime, network, weights, data: validation, signal });
        const before = await about(path, () => measure(input.weights));
        const sections = await body({
          network,
          weights: input.weights,
          chain: {
            runtime,
            network,
            training,
            seed,
            signal,
            onProgress: (label, progress) => {
              if (!report.json) display.show(label, fitFigures(progress));
            },
          },
        }).finally(() => display.end());
        const weights = toWeights({ network, sections });
        const { accuracy } = await measure(weights);
        const sha256 = digest(weights);
        const metadata = options.metadata ? metadataFrom({ data: source.name, seed, weights: sha256 }) : undefined;
        const bytes = await saveNetwork(output, { network, sections, metadata });
        const size = sizeFigures(bytes.length, weights);
        const accuracies = { validationAccuracy: accuracy, validationAccuracyBefore: before.accuracy };
        report.result(
          { ...accuracies, ...size, codec: codecsOf(sections), seed, backend, sha256, output },
          `${output}: ${grouped(size.bytes)} bytes, ${times(size.ratio)} smaller than float32; ` +
            `${grouped(size.nonzero)} of ${grouped(size.parameters)} parameters are not zero; ` +
            `validation ${percent(accuracy)}, was ${percent(before.accuracy)}`,
        );
      });
    },
  );
}
