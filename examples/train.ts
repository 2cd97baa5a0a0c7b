// Trains a network, makes a small file of it, opens that again and sees what it is worth: `npx tsx examples/train.ts`.

import { createRuntime } from "../lib/index.ts";
import { applyMasks, code, pack, prune, share, toWeights, unpack } from "../codecs/index.ts";
import { evaluate, fit, glyphs, lenet300 as network } from "../models/index.ts";

const runtime = await createRuntime();
const train = glyphs({ count: 5000, seed: 1 }); // digits drawn by our own code
const training = { runtime, network, data: { train }, epochs: 5, batchSize: 20 };
const { weights } = await fit(training);

const masks = prune(weights, { share: 0.1 }); // a tenth of the weights is enough,
const pruned = await fit({ ...training, weights: applyMasks(weights, masks), masks });
const sections = pruned.weights.map(({ name, values }) => {
  const book = share(values, { size: Math.min(16, values.length) }); // and 16 values for those of a layer
  return { tensors: [name], coded: code(book) };
});
const bytes = pack({ network, sections });

const file = unpack(bytes);
const data = glyphs({ count: 2000, seed: 1, start: 5000 });
const { accuracy } = await evaluate({ runtime, network: file.network, weights: toWeights(file), data });
console.log(`${bytes.length} bytes instead of 1066440; ${(100 * accuracy).toFixed(1)} % of new digits are read right`);
await runtime.close();
