// Softmax regression in 336 bytes with one call, as `kilonet miracle` makes it: `npx tsx examples/softmax.ts`. A good
// file takes fifty times the steps; the digits are drawn by our own code.

import { createRuntime } from "../lib/index.ts";
import { toWeights, unpack } from "../codecs/index.ts";
import { evaluate, glyphs, softmax as network } from "../models/index.ts";
import { miracle } from "../bin/node/index.ts";

const runtime = await createRuntime();
const training = glyphs({ count: 3000, seed: 1 });
const steps = { pretraining: 200, training: 400, refit: 1, batch: 50, samples: 1 };
const prices = { start: 1e-4, rate: 0.01 };
const { bytes } = await miracle(network, { training }, { runtime, bytes: 336, bits: 12, ...steps, prices });

const data = glyphs({ count: 1000, seed: 1, start: 3000 });
const { accuracy } = await evaluate({ runtime, network, weights: toWeights(unpack(bytes)), data });
console.log(`${bytes.length} bytes instead of 31400; ${(100 * accuracy).toFixed(1)} % of new digits are read right`);
await runtime.close();
