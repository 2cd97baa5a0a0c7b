import type { Command } from "commander";
import { countKept, sectionsOf } from "../../codecs/index.ts";
import { digest, evaluate } from "../../models/index.ts";
import { pruneAndRetrain } from "../chain.ts";
import { UsageError } from "../errors.ts";
import { runJob } from "../job.ts";
import { metadataFrom, saveNetwork } from "../node/index.ts";
import {
  type CommonOptions, type DataOptions, type DeviceOptions, positive, share, whole, withData, withDevice, withExample, withJson,
  withOutput, withSeed,
} from "../options.ts";
import { perLayer, type PerLayer, rulesOf } from "../rules.ts";
import { countNumbers } from "../sizes.ts";
import { grouped, percent } from "../table.ts";

interface PruneOptions extends CommonOptions, DataOptions, DeviceOptions {
  readonly output: string;
  readonly share?: PerLayer;
  readonly deviations?: PerLayer;
  readonly rounds: number;
  readonly epochs: number;
  readonly rate: number;
  readonly seed: number;
}

/** `kilonet prune`: takes the smallest weights away and trains the others again. */
export function register(program: Command): void {
  const command = program
    .command("prune")
    .argument("<file>", "a trained .knet file")
    .description("take small weights away in rounds, training what is left after each")
    .option("--share <number>", "share of weights to keep: 0.1, or fc1=0.08,fc2=0.09", perLayer(share))
    .option("--deviations <number>", "keep magnitudes from so many standard deviations up: 1.5, or by layer", perLayer(positive))
    .option("--rounds <count>", "how often weights are taken away", whole(1, 100), 4)
    .option("--epochs <count>", "passes over the training images after each round", whole(1, 10000), 2)
    .option("--rate <number>", "the highest learning rate", positive, 0.001);
  withOutput(withSeed(withData(command)), "the .knet file to write");
  withExample(withJson(withDevice(command)), "kilonet prune digits.knet --share fc1=0.08,fc2=0.09,fc3=0.26 -o pruned.knet");
  command.action((path: string, options: PruneOptions) => {
    if ((options.share === undefined) === (options.deviations === undefined)) {
      throw new UsageError("prune: needs either --share or --deviations");
    }
    return runJob(path, options, async ({ report, input, source, runtime, training, validation, signal, onProgress }) => {
      const { network } = input.file;
      const { rounds, epochs, rate, seed, output } = options;
      const rules =
        options.share !== undefined
          ? rulesOf("share", options.share, network)
          : rulesOf("deviations", options.deviations!, network);
      const { weights, masks } = await pruneAndRetrain(input.weights, {
        runtime, network, training, rules, rounds, epochs, rate, seed, signal, onProgress,
      });
      const { accuracy } = await evaluate({ runtime, network, weights, data: validation });
      const metadata = metadataFrom({ data: source.name, seed, weights: digest(weights) });
      const bytes = await saveNetwork(output, { network, sections: sectionsOf(weights), metadata });
      const { parameters, nonzero } = countNumbers(weights);
      report.result(
        { validationAccuracy: accuracy, parameters, nonzero, kept: countKept(masks), bytes: bytes.length, output, seed },
        `${output}: ${grouped(nonzero)} of ${grouped(parameters)} parameters are not zero, validation ${percent(accuracy)}`,
      );
    });
  });
}
