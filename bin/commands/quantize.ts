import { Option, type Command } from "commander";
import { type ShareOptions, toWeights } from "../../codecs/index.ts";
import { digest, evaluate } from "../../models/index.ts";
import { shareAndTune } from "../chain.ts";
import { runJob } from "../job.ts";
import { metadataFrom, saveNetwork } from "../node/index.ts";
import {
  type CommonOptions, type DataOptions, type DeviceOptions, positive, whole, withData, withDevice, withExample, withJson,
  withOutput, withSeed,
} from "../options.ts";
import { perLayer, type PerLayer, sizesOf } from "../rules.ts";
import { countNumbers } from "../sizes.ts";
import { grouped, percent } from "../table.ts";

interface QuantizeOptions extends CommonOptions, DataOptions, DeviceOptions {
  readonly output: string;
  readonly bits: PerLayer;
  readonly start: ShareOptions["start"];
  readonly epochs: number;
  readonly rate: number;
  readonly seed: number;
}

/** `kilonet quantize`: lets the weights of each layer share a few values. */
export function register(program: Command): void {
  const command = program
    .command("quantize")
    .argument("<file>", "a trained or pruned .knet file")
    .description("let the weights of each layer share 2^bits values (k-means), then train those; zeros stay zero")
    .option("--bits <count>", "1 to 12: 5, or fc1=5,fc2=6", perLayer(whole(1, 12)), 5)
    .addOption(new Option("--start <name>", "where centres begin").choices(["linear", "density", "random"]).default("linear"))
    .option("--epochs <count>", "passes over the training images that move the centres", whole(0, 10000), 1)
    .option("--rate <number>", "the highest learning rate of the centres", positive, 0.0003);
  withOutput(withSeed(withData(command)), "the .knet file to write");
  withExample(withJson(withDevice(command)), "kilonet quantize pruned.knet --bits 5 -o small.knet");
  command.action((path: string, options: QuantizeOptions) =>
    runJob(path, options, async ({ report, input, source, runtime, training, validation, signal, onProgress }) => {
      const { network } = input.file;
      const { start, epochs, rate, seed, output } = options;
      const sizes = sizesOf(options.bits, network);
      const sections = await shareAndTune(input.weights, {
        runtime, network, training, sizes, start, epochs, rate, seed, signal, onProgress,
      });
      const weights = toWeights({ network, sections });
      const { accuracy } = await evaluate({ runtime, network, weights, data: validation });
      const metadata = metadataFrom({ data: source.name, seed, weights: digest(weights) });
      const bytes = await saveNetwork(output, { network, sections, metadata });
      const { parameters, nonzero } = countNumbers(weights);
      const ratio = (4 * parameters) / bytes.length;
      report.result(
        { validationAccuracy: accuracy, bytes: bytes.length, ratio, parameters, nonzero, output, seed },
        `${output}: ${grouped(bytes.length)} bytes, ${ratio.toFixed(1)}x smaller than float32, validation ${percent(accuracy)}`,
      );
    }),
  );
}
