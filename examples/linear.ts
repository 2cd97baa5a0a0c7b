// The linear model without biases, with means and KL in place of means and deviations (arXiv 2307.07816): its blocks
// have the KL of their bits from the first step on. `npx tsx examples/linear.ts`

import { createRuntime } from "../lib/index.ts";
import { toWeights, unpack } from "../codecs/index.ts";
import { evaluate, glyphs, linear as network } from "../models/index.ts";
import { miracle, type MiracleRunProgress } from "../bin/node/index.ts";

const runtime = await createRuntime();
const training = glyphs({ count: 3000, seed: 1 });
const steps = { pretraining: 200, training: 300, refit: 1, batch: 50, samples: 1 };
const looks: MiracleRunProgress[] = [];
const onProgress = (look: MiracleRunProgress): void => void looks.push(look);
const options = { runtime, bytes: 336, bits: 12, free: "divergences", ...steps, onProgress } as const;
const { bytes } = await miracle(network, { training }, options);

const data = glyphs({ count: 1000, seed: 1, start: 3000 });
const { accuracy } = await evaluate({ runtime, network, weights: toWeights(unpack(bytes)), data });
const kl = looks.find(({ phase }) => phase === "train")!.divergence.toFixed(1);
console.log(`${bytes.length} bytes, ${kl} bits a block; ${(100 * accuracy).toFixed(1)} % of new digits are read right`);
await runtime.close();
