import type { Command } from "commander";
import { compressChain } from "../chain.ts";
import { type JobOptions, runJob, withJob } from "../job.ts";
import { positive, share, whole } from "../options.ts";
import { recipeFor } from "../recipes.ts";
import { perLayer, type PerLayer, rulesOf, sizesOf } from "../rules.ts";

interface CompressOptions extends JobOptions {
  readonly share?: PerLayer;
  readonly bits?: PerLayer;
  readonly rounds: number;
  readonly epochs: number;
  readonly tuning: number;
  readonly rate: number;
}

/** `kilonet compress`: the whole chain from a trained network to a small file. */
export function register(program: Command): void {
  const command = program
    .command("compress")
    .description("a trained network to a small file in one go: prune and retrain, share values, code")
    .option("--share <number>", "of weights to keep: 0.1, or fc1=0.08,fc2=0.09 (default: by network)", perLayer(share))
    .option("--bits <count>", "2^bits values a layer: 5, or fc1=5,fc2=6 (default: by network)", perLayer(whole(1, 12)))
    .option("--rounds <count>", "how often weights are taken away", whole(1, 100), 4)
    .option("--epochs <count>", "passes over the training images in each round, twice in the last", whole(1, 1e4), 2)
    .option("--tuning <count>", "passes that then move the shared values", whole(0, 1e4), 2)
    .option("--rate <number>", "the highest learning rate", positive, 0.001);
  withJob(command, "kilonet compress digits.knet --data mnist -o small.knet");
  command.action((path: string, options: CompressOptions) =>
    runJob(path, options, ({ network, weights, chain }) => {
      const { rounds, epochs, tuning, rate } = options;
      const recipe = recipeFor(network);
      const rules = rulesOf("share", options.share ?? {}, network, recipe.share);
      const sizes = sizesOf(options.bits ?? {}, network, recipe.bits);
      return compressChain(weights, { ...chain, rules, sizes, rounds, epochs, tuning, rate });
    }),
  );
}
