import { type Command, Option } from "commander";
import type { Group, PriceOptions } from "../../codecs/index.ts";
import { type Network, parametersOf } from "../../lib/index.ts";
import { network as networkCalled } from "../../models/index.ts";
import { UsageError } from "../errors.ts";
import { miracle, miracleBlocks, type MiracleRunProgress, type RunChoice } from "../node/index.ts";
import { counts, positive, real, whole } from "../options.ts";
import { perLayer, type PerLayer } from "../rules.ts";
import { runSized, type SizedOptions, withRun, withSize } from "../sized.ts";
import { grouped, percent } from "../table.ts";

interface MiracleOptions extends Omit<SizedOptions, "live"> {
  readonly live?: readonly number[] | "auto";
  readonly searching?: number;
  readonly bitsPerWeight?: number;
  readonly group?: PerLayer;
  readonly hashed?: true;
  readonly bits?: number;
  readonly pretraining?: number;
  readonly training?: number;
  readonly refit?: number;
  readonly samples?: number;
  readonly refitRate?: number;
  readonly patience?: number;
  readonly meanKl?: true;
  readonly equalKl?: true;
  readonly deviation?: number;
  readonly firstPrice?: number;
  readonly priceRate?: number;
  readonly priceRule?: "proportional" | "sign";
  readonly choice: "maximum" | "sampling" | "loss";
  readonly weighing?: "importance" | "density";
  readonly among?: number;
  readonly judges?: number;
}

/** `kilonet miracle`: trains a network for a file of so many bytes, and writes it. */
export function register(program: Command): void {
  const command = program
    .command("miracle")
    .description("train a network into a file of a given size: random codes, one index per block of weights");
  const choice = new Option("--choice <rule>", "of a block's sample: largest weight, drawn by weight, or least loss")
    .choices(["maximum", "sampling", "loss"])
    .default("maximum");
  const texts = {
    bytes: "of the whole file",
    seed: "of all draws, below 128 one byte of the file",
    live: "trained units of each layer but the last: 6-12-16, or auto to learn them (default: by size)",
    rate: "the highest learning rate",
  };
  withSize(command, texts, (text: string) => (text === "auto" ? text : counts(text)))
    .option("--searching <steps>", "with --live auto: in which units go (default: 4500)", whole(9, 2 ** 22))
    .option("--bits-per-weight <number>", "with --live auto: of the file, for each one left (default: 1.7)", positive)
    .option("--group <number>", "weights that share one number: 50, or conv2=2,fc1=50", perLayer(whole(1, 2 ** 20)))
    .option("--hashed", "groups by hash and with signs, in place of neighbours")
    .option("--bits <count>", "per block, 4 to 20", whole(4, 20))
    .option("--equal-kl", "blocks of equal KL, whose sizes the budget pays, in place of equal size")
    .option("--mean-kl", "train means and KL, which fits by construction, in place of means and deviations")
    .option("--deviation <number>", "of each number when noise begins (default: 0.01)", positive)
    .option("--first-price <number>", "of a nat of KL when noise begins (default: 1e-6)", positive)
    .option("--price-rate <number>", "how far the logarithm of a price goes in a step (default: 0.003)", priceRate)
    .addOption(
      new Option("--price-rule <rule>", "by what is too much, or by its sign, as published (default: proportional)")
        .choices(["proportional", "sign"]),
    )
    .option("--pretraining <steps>", "without noise", whole(0, 2 ** 22))
    .option("--training <steps>", "with noise and budget", whole(0, 2 ** 22))
    .option("--patience <steps>", "end training once mean KL is settled, accuracy no better", whole(1, 2 ** 22))
    .option("--refit <steps>", "after each block", whole(0, 1e5))
    .option("--samples <count>", "draws of the weights per step, which share its images", whole(1, 1024))
    .option("--refit-rate <number>", "the highest learning rate in refitting", positive)
    .addOption(choice)
    .addOption(
      new Option("--weighing <rule>", "of samples (default: importance)").choices(["importance", "density"]),
    )
    .option("--among <count>", "with --choice loss: samples of the largest weights (default: 16)", whole(1, 2 ** 20))
    .option("--judges <images>", "with --choice loss: whose loss decides (default: 1024)", whole(1, 2 ** 20));
  withRun(command, "kilonet miracle --model lenet5 --data mnist --bytes 1000 --augment 11 -o tiny.knet");
  command.action(run);
}

async function run(options: MiracleOptions): Promise<void> {
  const { live, searching, bitsPerWeight, bits, pretraining, training, refit, samples, refitRate, patience } = options;
  const { meanKl, equalKl, deviation } = options;
  checkTogether(options);
  const network = networkCalled(options.model);
  const groups = groupsOf(network, options);
  const own = {
    ...{ live, searching, bitsPerWeight, groups, bits, pretraining, training, refit, samples, refitRate, patience },
    ...{ deviation, prices: pricesOf(options), choice: choiceOf(options) },
    ...(meanKl && { free: "divergences" as const }),
    ...(equalKl && { equal: "divergence" as const }),
  };
  await runSized(network, { ...options, live: undefined }, {
    check: (file) => {
      const blocks = miracleBlocks(network, { ...file, ...own });
      return blocks === null ? "units are learned" : `${grouped(blocks)} blocks`;
    },
    train: (images, shared) => miracle(network, images, { ...shared, ...own }),
    figures,
  });
}

/** What says nothing without another option, or beside one. */
function checkTogether(options: MiracleOptions): void {
  const refuse = (message: string): never => {
    throw new UsageError(`miracle: ${message}`);
  };
  const given = (names: readonly (keyof MiracleOptions)[]): string | undefined => {
    const found = names.find((name) => options[name] !== undefined);
    return found?.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  };
  const { live, choice, meanKl, weighing, group } = options;
  const searching = live === "auto" ? undefined : given(["searching", "bitsPerWeight"]);
  if (searching !== undefined) refuse(`--${searching} belongs to --live auto, which is missing`);
  if (live === "auto" && group !== undefined) refuse("--live auto learns which weights there are, --group must know");
  const judging = choice === "loss" ? undefined : given(["among", "judges"]);
  if (judging !== undefined) refuse(`--${judging} belongs to --choice loss, which is missing`);
  if (choice === "loss" && weighing === "density") refuse("--choice loss judges the samples of largest importance");
  const priced = meanKl === undefined ? undefined : given(["deviation", "firstPrice", "priceRate", "priceRule"]);
  if (priced !== undefined) refuse(`--${priced} has no meaning with --mean-kl, where KL has no price`);
}

function choiceOf({ choice, weighing, among = 16, judges = 1024 }: MiracleOptions): RunChoice {
  if (choice === "loss") return { by: choice, among, images: judges };
  return { by: choice, weighing: weighing ?? "importance" };
}

function pricesOf({ firstPrice: start, priceRate: rate, priceRule: rule }: MiracleOptions): PriceOptions | undefined {
  return start === undefined && rate === undefined && rule === undefined ? undefined : { start, rate, rule };
}

const priceRate = real("above 0 and below 1", (value) => value > 0 && value < 1);

/** How weights share scalars: layers without a number do not. */
function groupsOf(network: Network, { group, hashed }: MiracleOptions): readonly Group[] | undefined {
  if (group === undefined) {
    if (hashed === true) throw new UsageError("miracle: --hashed belongs to --group, which is missing");
    return undefined;
  }
  const parameters = parametersOf(network);
  const layers = parameters.filter(({ name }) => name.endsWith(".weight")).map(({ name }) => name.slice(0, -7));
  const stray = typeof group === "number" ? undefined : Object.keys(group).find((layer) => !layers.includes(layer));
  if (stray !== undefined) throw new UsageError(`${network.name} has no layer "${stray}"; it has ${layers.join(", ")}`);
  return parameters.map(({ name }) => {
    const layer = name.slice(0, -7);
    const size = !name.endsWith(".weight") ? 1 : typeof group === "number" ? group : (group[layer] ?? 1);
    return { size, hashed: hashed === true && size > 1 };
  });
}

/** How a run stands, for a bar. */
function figures(progress: MiracleRunProgress): string[] {
  const { phase, live, coded, blocks, loss, divergence, validation, bytes } = progress;
  return [
    phase === "units" ? `live ${live!.join("-")}` : `block ${coded}/${blocks}`,
    ...(Number.isNaN(divergence) ? [] : [`KL ${divergence.toFixed(2)} bits a block`]),
    ...(Number.isNaN(loss) ? [] : [`loss ${loss.toFixed(4)}`]),
    ...(validation === null ? [] : [`validation ${percent(validation.accuracy)}`]),
    `${grouped(bytes)} bytes`,
  ];
}
