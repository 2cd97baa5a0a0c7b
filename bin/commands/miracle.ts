import { type Command, Option } from "commander";
import type { Group } from "../../codecs/index.ts";
import { type Network, parametersOf } from "../../lib/index.ts";
import { network as networkCalled } from "../../models/index.ts";
import { UsageError } from "../errors.ts";
import { miracle, miracleBlocks, type MiracleRunProgress } from "../node/index.ts";
import { positive, whole } from "../options.ts";
import { perLayer, type PerLayer } from "../rules.ts";
import { runSized, type SizedOptions, withRun, withSize } from "../sized.ts";
import { grouped, percent } from "../table.ts";

interface MiracleOptions extends SizedOptions {
  readonly group?: PerLayer;
  readonly hashed?: true;
  readonly bits?: number;
  readonly pretraining?: number;
  readonly training?: number;
  readonly refit?: number;
  readonly samples?: number;
  readonly refitRate?: number;
  readonly choice: "maximum" | "sampling";
  readonly weighing: "importance" | "density";
}

/** `kilonet miracle`: trains a network for a file of so many bytes, and writes it. */
export function register(program: Command): void {
  const command = program
    .command("miracle")
    .description("train a network into a file of a given size: random codes, one index per block of weights");
  withSize(command, {
    bytes: "of the whole file",
    seed: "of all draws, below 128 one byte of the file",
    live: "trained units of each layer but the last: 6-12-16 (default: by size)",
    rate: "the highest learning rate",
  })
    .option("--group <number>", "weights that share one number: 50, or conv2=2,fc1=50", perLayer(whole(1, 2 ** 20)))
    .option("--hashed", "groups by hash and with signs, in place of neighbours")
    .option("--bits <count>", "per block, 4 to 20", whole(4, 20))
    .option("--pretraining <steps>", "without noise", whole(0, 2 ** 22))
    .option("--training <steps>", "with noise and budget", whole(0, 2 ** 22))
    .option("--refit <steps>", "after each block", whole(0, 1e5))
    .option("--samples <count>", "draws of the weights per step, which share its images", whole(1, 1024))
    .option("--refit-rate <number>", "the highest learning rate in refitting", positive)
    .addOption(new Option("--choice <rule>", "of a block's sample").choices(["maximum", "sampling"]).default("maximum"))
    .addOption(
      new Option("--weighing <rule>", "of samples").choices(["importance", "density"]).default("importance"),
    );
  withRun(command, "kilonet miracle --model lenet5 --data mnist --bytes 1000 --augment 11 -o tiny.knet");
  command.action(run);
}

async function run(options: MiracleOptions): Promise<void> {
  const { bits, pretraining, training, refit, samples, refitRate, choice, weighing } = options;
  const network = networkCalled(options.model);
  const groups = groupsOf(network, options);
  await runSized(network, options, {
    check: (file) => `${grouped(miracleBlocks(network, { ...file, groups, bits }))} blocks`,
    train: (images, shared) =>
      miracle(network, images, {
        ...shared,
        ...{ groups, bits, pretraining, training, refit, samples, refitRate },
        choice: { by: choice, weighing },
      }),
    figures,
  });
}

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
function figures({ coded, blocks, loss, divergence, validation, bytes }: MiracleRunProgress): string[] {
  return [
    `block ${coded}/${blocks}`,
    ...(Number.isNaN(divergence) ? [] : [`KL ${divergence.toFixed(2)} bits a block`]),
    ...(Number.isNaN(loss) ? [] : [`loss ${loss.toFixed(4)}`]),
    ...(validation === null ? [] : [`validation ${percent(validation.accuracy)}`]),
    `${grouped(bytes)} bytes`,
  ];
}
