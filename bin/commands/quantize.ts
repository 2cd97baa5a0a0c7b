import { type Command, Option } from "commander";
import { shareAndTune, type ShareAndTuneOptions } from "../chain.ts";
import { type JobOptions, runJob, withJob } from "../job.ts";
import { positive, whole } from "../options.ts";
import { perLayer, type PerLayer, sizesOf } from "../rules.ts";

const usualBits = 5;

interface QuantizeOptions extends JobOptions {
  readonly bits: PerLayer;
  readonly start: ShareAndTuneOptions["start"];
  readonly epochs: number;
  readonly rate: number;
}

/** `kilonet quantize`: lets the weights of each layer share a few values. */
export function register(program: Command): void {
  const start = new Option("--start <name>", "where k-means begins").choices(["linear", "density", "random"]);
  const command = program
    .command("quantize")
    .description("let the weights of each layer share 2^bits values (k-means), then train those; zeros stay zero")
    .option("--bits <count>", "1 to 12: 5, or fc1=5,fc2=6 (the others 5)", perLayer(whole(1, 12)), usualBits)
    .addOption(start.default("linear"))
    .option("--epochs <count>", "passes over the training images that move the values", whole(0, 1e4), 1)
    .option("--rate <number>", "the highest learning rate of the values", positive, 0.0003);
  withJob(command, "kilonet quantize pruned.knet --bits 5 -o small.knet");
  command.action((path: string, options: QuantizeOptions) =>
    runJob(path, options, async ({ network, weights, chain }) => {
      const { start, epochs, rate } = options;
      const sizes = sizesOf(options.bits, network, usualBits);
      return { sections: await shareAndTune(weights, { ...chain, sizes, start, epochs, rate }) };
    }),
  );
}
