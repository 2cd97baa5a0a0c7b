import type { Command } from "commander";
import { toWeights } from "../../codecs/index.ts";
import { digest, evaluate } from "../../models/index.ts";
import { compressChain } from "../chain.ts";
import { runJob } from "../job.ts";
import { metadataFrom, saveNetwork } from "../node/index.ts";
import {
  type CommonOptions, type DataOptions, type DeviceOptions, positive, share, whole, withData, withDevice, withExample, withJson,
  withOutput, withSeed,
} from "../options.ts";
import { recipeFor } from "../recipes.ts";
import { perLayer, type PerLayer } from "../rules.ts";
import { countNumbers } from "../sizes.ts";
import { grouped, percent } from "../table.ts";

interface CompressOptions extends CommonOptions, DataOptions, DeviceOptions {
  readonly output: string;
  readonly share?: PerLayer;
  readonly bits?: PerLayer;
  readonly rounds: number;
  readonly epochs: number;
  readonly rate: number;
  readonly seed: number;
  readonly metadata: boolean;
}

/** `kilonet compress`: the whole chain from a trained network to a small file. */
export function register(program: Command): void {
  const command = program
    .command("compress")
    .argument("<file>", "a trained .knet file")
    .description("prune and retrain, share values, code: a trained network to a small file in one go")
    .option("--share <number>", "share of weights to keep: 0.1, or fc1=0.08,fc2=0.09 (default: by network)", perLayer(share))
    .option("--bits <count>", "2^bits values per layer: 5, or fc1=5,fc2=6 (default: by network)", perLayer(whole(1, 12)))
    .option("--rounds <count>", "how often weights are taken away", whole(1, 100), 4)
    .option("--epochs <count>", "passes over the training images after each round", whole(1, 10000), 2)
    .option("--rate <number>", "the highest learning rate", positive, 0.001)
    .option("--no-metadata", "leave out where the network came from");
  withOutput(withSeed(withData(command)), "the .knet file to write");
  withExample(withJson(withDevice(command)), "kilonet compress digits.knet --data mnist -o small.knet");
  command.action((path: string, options: CompressOptions) =>
    runJob(path, options, async ({ report, input, source, runtime, training, validation, signal, onProgress }) => {
      const { network } = input.file;
      const { rounds, epochs, rate, seed, output } = options;
      const recipe = recipeFor(network);
      const sections = await compressChain(input.weights, {
        runtime, network, training, rounds, epochs, rate, seed, signal, onProgress,
        share: options.share ?? recipe.share,
        bits: options.bits ?? recipe.bits,
      });
      const weights = toWeights({ network, sections });
      const { accuracy } = await evaluate({ runtime, network, weights, data: validation });
      const metadata = metadataFrom({ data: source.name, seed, weights: digest(weights) });
      const file = { network, sections, ...(options.metadata ? { metadata } : {}) };
      const bytes = await saveNetwork(output, file);
      const { parameters, nonzero } = countNumbers(weights);
      const ratio = (4 * parameters) / bytes.length;
      report.result(
        { validationAccuracy: accuracy, bytes: bytes.length, ratio, parameters, nonzero, output, seed },
        `${output}: ${grouped(bytes.length)} bytes, ${ratio.toFixed(1)}x smaller than float32, validation ${percent(accuracy)}`,
      );
    }),
  );
}
