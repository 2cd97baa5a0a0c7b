import type { Command } from "commander";
import { network as networkCalled } from "../../models/index.ts";
import { squeeze, squeezeHead, type SqueezeRunProgress } from "../node/index.ts";
import { positive, whole } from "../options.ts";
import { runSized, type SizedOptions, withRun, withSize } from "../sized.ts";
import { grouped } from "../table.ts";

interface SqueezeOptions extends SizedOptions {
  readonly pretraining?: number;
  readonly training?: number;
  readonly pretrainingRate?: number;
  readonly step?: number;
  readonly refine?: number;
}

/** `kilonet squeeze`: trains a network for a file of about so many bytes, of whole levels, and writes it. */
export function register(program: Command): void {
  const command = program
    .command("squeeze")
    .description("train a network into a file of a given size: whole levels, trained under the length of their code");
  withSize(command, {
    bytes: "of the whole file, which comes within 2 % of it",
    seed: "what all random choices follow from",
    live: "trained units of each layer but the last: 6-12-20 (default: by network)",
    rate: "the highest learning rate of levels",
  })
    .option("--pretraining <steps>", "as usual", whole(1, 2 ** 22))
    .option("--training <steps>", "with levels and a price on their bits", whole(1, 2 ** 22))
    .option("--pretraining-rate <number>", "the highest learning rate of pretraining", positive)
    .option("--step <number>", "distance of levels, in root mean squares of a tensor", positive)
    .option("--refine <rounds>", "then try single levels on all images; begins anew after --resume", whole(0, 1000));
  withRun(command, "kilonet squeeze --model lenet5 --data mnist --bytes 900 --augment 11 -o tiny.knet");
  command.action(run);
}

async function run(options: SqueezeOptions): Promise<void> {
  const { pretraining, training, pretrainingRate, step, refine } = options;
  const network = networkCalled(options.model);
  await runSized(network, options, {
    check: (file) => {
      squeezeHead(network, file);
      return null;
    },
    train: (images, shared) =>
      squeeze(network, images, { ...shared, pretraining, training, pretrainingRate, step, refine }),
    figures: ({ loss, bytes }: SqueezeRunProgress) => [
      ...(bytes === null ? [] : [`${grouped(bytes)} bytes`]),
      `loss ${loss.toFixed(4)}`,
    ],
  });
}
