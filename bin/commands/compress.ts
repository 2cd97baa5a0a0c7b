import { type Command, Option } from "commander";
import { markPruned, type Probe, readPruned, type Section } from "../../codecs/index.ts";
import { checkIdentity, digest, digestOfData, evaluate, type Json, take, writeCheckpoint } from "../../models/index.ts";
import { compressByMethod } from "../byMethod.ts";
import { type BudgetState, compressWithin, noBudgetState } from "../budget.ts";
import { compressChain } from "../chain.ts";
import type { CheckpointFile } from "../checkpoint.ts";
import { UsageError } from "../errors.ts";
import { type Job, type JobOptions, type Made, runJob, withJob } from "../job.ts";
import { counts, positive, share, whole } from "../options.ts";
import { recipeFor } from "../recipes.ts";
import { perLayer, type PerLayer, rulesOf, sizesOf } from "../rules.ts";
import { grouped, table } from "../table.ts";

interface CompressOptions extends JobOptions {
  readonly share?: PerLayer;
  readonly bits?: PerLayer;
  readonly bytes?: number;
  readonly codec: "chain" | "miracle" | "squeeze";
  readonly live?: readonly number[];
  readonly rounds: number;
  readonly epochs: number;
  readonly tuning: number;
  readonly rate: number;
  readonly checkpoint?: string;
  readonly resume?: string | true;
}

/** Images by which shares and bits are compared: enough to tell them apart, and quick to run hundreds of times. */
const probed = 2000;

/** `kilonet compress`: the whole chain from a trained network to a small file. */
export function register(program: Command): void {
  const codec = new Option("--codec <name>", "the chain, or a method that trains on for a file of --bytes")
    .choices(["chain", "miracle", "squeeze"])
    .default("chain");
  const command = program
    .command("compress")
    .description("a trained network to a small file in one go: prune and retrain, share values, code")
    .option("--share <number>", "of weights to keep: 0.1, or fc1=0.08,fc2=0.09 (default: by network)", perLayer(share))
    .option("--bits <count>", "2^bits values a layer: 5, or fc1=5,fc2=6 (default: by network)", perLayer(whole(1, 12)))
    .option("--bytes <count>", "of the whole file at most: searches for shares and bits that lose least", whole(1))
    .addOption(codec)
    .option("--live <counts>", "with those two: units to keep of each layer but the last (default: by network)", counts)
    .option("--rounds <count>", "how often weights are taken away", whole(1, 100), 4)
    .option("--epochs <count>", "passes over the training images in each round, twice in the last", whole(1, 1e4), 2)
    .option("--tuning <count>", "passes that then move the shared values", whole(0, 1e4), 2)
    .option("--rate <number>", "the highest learning rate", positive, 0.001)
    .option("--checkpoint <file>", "where it saves itself (default: the output with .ckpt, removed at the end)")
    .option("--resume [file]", "go on from a checkpoint (default: the one above)");
  withJob(command, "kilonet compress digits.knet --data mnist -o small.knet");
  command.action((path: string, options: CompressOptions) => {
    const { codec, bytes, live, share, bits } = options;
    if (codec === "chain") {
      if (bytes !== undefined && (share !== undefined || bits !== undefined)) {
        throw new UsageError("compress: --bytes searches for what --share and --bits say; choose one");
      }
      if (live !== undefined) throw new UsageError("compress: --live belongs to --codec miracle or squeeze");
      return runJob(path, options, (job) => compress(job, options), { resumable: options });
    }
    if (bytes === undefined) throw new UsageError(`compress: --codec ${codec} needs to know how many --bytes`);
    if (share !== undefined || bits !== undefined) {
      throw new UsageError("compress: --share and --bits belong to --codec chain");
    }
    return runJob(path, options, (job) => compressByMethod(job, { codec, bytes, live }), { resumable: options });
  });
}

async function compress(job: Job, options: CompressOptions): Promise<Made> {
  const { network, weights, chain } = job;
  const { bytes, rounds, epochs, tuning, rate } = options;
  const common = { ...chain, rounds, epochs, tuning, rate };
  const checkpoint = job.checkpoint!;
  if (bytes !== undefined) return { sections: await within(job, { ...options, bytes }) };
  const recipe = recipeFor(network);
  const rules = rulesOf("share", options.share ?? {}, network, recipe.share);
  const sizes = sizesOf(options.bits ?? {}, network, recipe.bits);
  const identity = identityOf(job, options, { rules: rules as unknown as Json, sizes });
  const { pruned } = readState(checkpoint, identity);
  const sections = await compressChain(weights, {
    ...common,
    rules,
    sizes,
    from: pruned ?? undefined,
    onRound: (next) => saveState(checkpoint, identity, { ...noBudgetState, pruned: next }),
  });
  return { sections };
}

async function within(job: Job, options: CompressOptions & { readonly bytes: number }): Promise<Section[]> {
  const { network, weights, chain, report, display, sizeOf } = job;
  const { bytes, rounds, epochs, tuning, rate } = options;
  const { runtime, training, signal } = chain;
  const checkpoint = job.checkpoint!;
  const identity = identityOf(job, options, { bytes });
  const few = take(training, 0, Math.min(probed, training.count));
  return compressWithin(weights, {
    ...chain,
    ...{ bytes, rounds, epochs, tuning, rate, sizeOf },
    lossOf: async (some) => (await evaluate({ runtime, network, weights: some, data: few, signal })).loss,
    state: readState(checkpoint, identity),
    save: (state) => saveState(checkpoint, identity, state),
    onProbe: (label, { group, share, bits, bytes: size, loss }, done, total) => {
      if (report.json) return;
      const figures = [`${group} ${share} in ${bits} bits`, `${grouped(size)} bytes`, `loss ${loss.toFixed(4)}`];
      display.show(label, { done, total, figures });
    },
    onChoice: (choice) => {
      display.end();
      report.event({ event: "choice", choice }, choiceTable(choice));
    },
  });
}

function choiceTable(choice: readonly Probe[]): string {
  return table(
    ["chosen", "share", "bits", "bytes", "loss alone"],
    choice.map(({ group, share, bits, bytes, loss }) => [
      group,
      String(share),
      String(bits),
      grouped(bytes),
      loss.toFixed(4),
    ]),
  );
}

const kind = "compress";

type Identity = Readonly<Record<string, Json>>;

/** Everything that decides the outcome. */
function identityOf({ network, weights, chain }: Job, options: CompressOptions, goal: Identity): Identity {
  const { rounds, epochs, tuning, rate, seed } = options;
  return {
    network: network as unknown as Json,
    weights: digest(weights),
    training: digestOfData(chain.training),
    ...{ rounds, epochs, tuning, rate, seed, ...goal },
    augmentation: (chain.augmentation ?? null) as unknown as Json,
    loss: chain.loss?.name ?? null,
    device: chain.runtime.device,
  };
}

/** Weights travel with NaN where they are pruned: zero alone would not tell a pruned weight from one that is 0. */
async function saveState(checkpoint: CheckpointFile, identity: Identity, state: BudgetState): Promise<void> {
  const { probes, shares, pruned } = state;
  const arrays = pruned === null ? [] : markPruned(pruned.weights, pruned.masks);
  const progress = { probes: probes as unknown as Json, shares, round: pruned?.round ?? 0 };
  await checkpoint.save(writeCheckpoint({ kind, identity, progress, arrays }));
}

function readState({ found }: CheckpointFile, identity: Identity): BudgetState {
  if (found === undefined) return noBudgetState;
  checkIdentity(found, kind, identity);
  const { probes, shares, round } = found.progress as unknown as BudgetState & { readonly round: number };
  return { probes, shares, pruned: round === 0 ? null : { ...readPruned(found.arrays), round } };
}
