import { type Command, Option } from "commander";
import { clearDead, readPruned, removeDead, sectionsOf } from "../../codecs/index.ts";
import { pruneAndRetrain } from "../chain.ts";
import { UsageError } from "../errors.ts";
import { type JobOptions, runJob, withJob } from "../job.ts";
import { positive, share, whole } from "../options.ts";
import { perLayer, type PerLayer, rulesOf } from "../rules.ts";
import { grouped } from "../table.ts";

interface PruneOptions extends JobOptions {
  readonly share?: PerLayer;
  readonly threshold?: PerLayer;
  readonly deviations?: PerLayer;
  readonly unitDeviations?: PerLayer;
  readonly together?: number;
  readonly nan?: true;
  readonly removeDead?: true;
  readonly rounds: number;
  readonly epochs: number;
  readonly rate: number;
}

const kinds = ["share", "threshold", "deviations", "unitDeviations"] as const;

/** `kilonet prune`: takes the smallest weights away and trains the others again. */
export function register(program: Command): void {
  const rules = [
    new Option("--share <number>", "of weights to keep: 0.1, or fc1=0.08,fc2=0.09").argParser(perLayer(share)),
    new Option("--threshold <number>", "keep magnitudes from it up: 0.01, or by layer").argParser(perLayer(positive)),
    new Option("--deviations <number>", "keep magnitudes from so many standard deviations up: 1.5, or by layer")
      .argParser(perLayer(positive)),
    new Option("--unit-deviations <number>", "the same with the deviation of each neuron or filter")
      .argParser(perLayer(positive)),
    new Option("--together <share>", "of the weights of all layers together, wherever they are").argParser(share),
  ];
  const command = program
    .command("prune")
    .description("take small weights away in rounds, training what is left after each; layers not named keep all");
  for (const rule of rules) {
    const others = rules.filter((other) => other !== rule).map((other) => other.attributeName());
    command.addOption(rule.conflicts(others));
  }
  command
    .option("--nan", "NaN in the file means that a weight is pruned, and stays so")
    .option("--remove-dead", "leave units out that nothing leads into or out of, instead of setting them to zero")
    .option("--rounds <count>", "how often weights are taken away; 1 does it all at once", whole(1, 100), 4)
    .option("--epochs <count>", "passes over the training images after each round", whole(1, 1e4), 2)
    .option("--rate <number>", "the highest learning rate", positive, 0.001);
  withJob(command, "kilonet prune digits.knet --share fc1=0.08,fc2=0.09,fc3=0.26 -o pruned.knet");
  command.action((path: string, options: PruneOptions) => {
    const { together, nan, rounds, epochs, rate } = options;
    const kind = kinds.find((name) => options[name] !== undefined);
    if (kind === undefined && together === undefined && nan === undefined) {
      throw new UsageError("prune: needs --share, --threshold, --deviations, --unit-deviations, --together or --nan");
    }
    return runJob(
      path,
      options,
      async ({ network, weights, chain }) => {
        const rules = kind === undefined ? {} : rulesOf(kind, options[kind]!, network);
        const start = nan === undefined ? { weights } : readPruned(weights);
        const { weights: from, ...masks } = start;
        const pruned = await pruneAndRetrain(from, { ...chain, ...masks, rules, together, rounds, epochs, rate });
        const made = options.removeDead ? removeDead(network, pruned) : { network, ...clearDead(network, pruned) };
        const dead = made.dead.map(({ layer, units, dead: gone }) => ({ layer, units, dead: gone.length }));
        const said = dead.filter((one) => one.dead > 0);
        return {
          network: made.network,
          sections: sectionsOf(made.weights),
          result: { dead },
          text: said.map((one) => `${one.layer}: ${grouped(one.dead)} of ${grouped(one.units)} units were dead`),
        };
      },
      { nan: nan === true },
    );
  });
}
