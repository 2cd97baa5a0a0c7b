// Trains a network into a file of 200 bytes by MIRACLE, in the seven steps of the library that was published with the
// method, and opens it again: `npx tsx examples/miracle.ts`. (`miracle` of kilonet/node is one call for all of it.)

import { createRuntime, crossEntropy, mean, parametersOf, type Tensor } from "../lib/index.ts";
import { blocksFor, type Draw, Miracle, pack, toWeights, unpack } from "../codecs/index.ts";
import { batchesOf, evaluate, forward, glyphs, initialise, softmax as network } from "../models/index.ts";

const seed = 1;
const data = glyphs({ count: 4000, seed }); // digits drawn by our own code

// 1. Variables: of the 7840 weights, 10 at a time share one number, which a hash picks; each bias has its own.
const groups = [{ size: 10, hashed: true }, { size: 1, hashed: false }];
const start = initialise(network, seed);

// 2. The device.
const runtime = await createRuntime();

// 3. A loss, and a budget in bytes: the file has as many blocks of 12 bits as fit in it.
const batches = batchesOf(data, network.input, { size: 50, seed });
const loss = (parameters: readonly Tensor[], { step }: Draw): Tensor => {
  const { images, labels } = batches.at(step);
  const logits = forward(network, parameters, runtime.tensor(images, [50, 28, 28, 1]));
  return mean(crossEntropy(logits, runtime.tensor(labels)));
};
const budget = { network, bytes: 200, bits: 12, seed, groups };
const blocks = blocksFor(budget);
const shapes = parametersOf(network).map(({ shape }) => shape);
const prices = { start: 1e-4, rate: 0.01 };
const miracle = new Miracle({ runtime, shapes, start, groups, loss, bits: budget.bits, blocks, seed, prices });

// 4. Weights that know their task. 5. The same with noise, until a block's KL is what its bits can say.
await miracle.pretrain({ steps: 300, rate: () => 2e-3 });
const rates = { mean: 2e-3, deviation: 1e-2, scale: 1e-3 };
await miracle.train({ steps: 900, shared: 600, rates: () => rates });

// 6. One random sample per block, and between two blocks some training of what is left.
const coded = await miracle.compress({ refit: 4, rates: () => rates });
const tensors = parametersOf(network).map(({ name }) => name);
const bytes = pack({ network, sections: [{ tensors, coded }] });

// 7. Whoever has the bytes has the network: nothing of what trained it is needed.
const file = unpack(bytes);
const unseen = glyphs({ count: 2000, seed, start: 4000 });
const { accuracy } = await evaluate({ runtime, network: file.network, weights: toWeights(file), data: unseen });
console.log(`${bytes.length} bytes instead of 31400; ${(100 * accuracy).toFixed(1)} % of new digits are read right`);
await runtime.close();
