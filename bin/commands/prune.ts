import { type Command, Option } from "commander";
import { sectionsOf } from "../../codecs/index.ts";
import { pruneAndRetrain } from "../chain.ts";
import { UsageError } from "../errors.ts";
import { type JobOptions, runJob, withJob } from "../job.ts";
import { positive, share, whole } from "../options.ts";
import { perLayer, type PerLayer, rulesOf } from "../rules.ts";

interface PruneOptions extends JobOptions {
  readonly share?: PerLayer;
  readonly deviations?: PerLayer;
  readonly rounds: number;
  readonly epochs: number;
  readonly rate: number;
}

/** `kilonet prune`: takes the smallest weights away and trains the others again. */
export function register(program: Command): void {
  const deviations = "keep magnitudes from so many standard deviations up: 1.5, or by layer";
  const command = program
    .command("prune")
    .description("take small weights away in rounds, training what is left after each; layers not named keep all")
    .option("--share <number>", "of weights to keep: 0.1, or fc1=0.08,fc2=0.09", perLayer(share))
    .addOption(new Option("--deviations <number>", deviations).argParser(perLayer(positive)).conflicts("share"))
    .option("--rounds <count>", "how often weights are taken away", whole(1, 100), 4)
    .option("--epochs <count>", "passes over the training images after each round", whole(1, 1e4), 2)
    .option("--rate <number>", "the highest learning rate", positive, 0.001);
  withJob(command, "kilonet prune digits.knet --share fc1=0.08,fc2=0.09,fc3=0.26 -o pruned.knet");
  command.action((path: string, options: PruneOptions) => {
    const { share, deviations, rounds, epochs, rate } = options;
    const [kind, numbers] = share === undefined ? (["deviations", deviations] as const) : (["share", share] as const);
    if (numbers === undefined) throw new UsageError("prune: needs --share or --deviations");
    return runJob(path, options, async ({ network, weights, chain }) => {
      const rules = rulesOf(kind, numbers, network);
      return sectionsOf(await pruneAndRetrain(weights, { ...chain, rules, rounds, epochs, rate }));
    });
  });
}
