import { pack, sectionsOf } from "../codecs/index.ts";
import { strongest } from "../models/index.ts";
import type { Job, Made } from "./job.ts";
import {
  miracle,
  type MiracleRecipe,
  miracleRecipe,
  squeeze,
  type SqueezeRecipe,
  squeezeRecipe,
} from "./node/index.ts";

export interface ByMethodOptions {
  readonly codec: "miracle" | "squeeze";
  /** Of the whole file. */
  readonly bytes: number;
  /** Units to keep of each layer but the last. Default: those of the method's recipe. */
  readonly live?: readonly number[] | undefined;
  /** What is to differ from the method's recipe. */
  readonly recipe?: Partial<MiracleRecipe> | Partial<SqueezeRecipe>;
}

/** A file of a given size from a trained network: the strongest of its units are trained on, under the budget. */
export async function compressByMethod(job: Job, options: ByMethodOptions): Promise<Made> {
  const { codec, bytes: wanted, live: units, recipe: change } = options;
  const { network, weights, chain, report, display, checkpoint, sizeOf } = job;
  const { runtime, training, loss, seed, signal, augmentation } = chain;
  const raw = sectionsOf(weights);
  // What the job writes beside the network (where it came from) is paid from the same budget.
  const bytes = wanted - (sizeOf(raw) - pack({ network, sections: raw }).length);
  const recipe = codec === "miracle" ? miracleRecipe(network, bytes) : squeezeRecipe(network);
  const live = units ?? recipe.live;
  const { copies, original } = augmentation ?? { copies: 0 };
  const run = {
    ...change,
    ...{ runtime, bytes, seed, live, loss, copies, original, signal, resume: checkpoint?.resume },
    weights: live === undefined ? weights : strongest(network, weights, live),
    ...(checkpoint && { checkpoint: { save: (state: Uint8Array) => checkpoint.save(state) } }),
    onProgress: ({ phase, done, total, loss }: { phase: string; done: number; total: number; loss: number }) => {
      if (!report.json) display.show(phase, { done, total, figures: [`loss ${loss.toFixed(4)}`] });
    },
  };
  const { file } = await (codec === "miracle" ? miracle : squeeze)(network, { training }, run);
  return { sections: file.sections };
}
