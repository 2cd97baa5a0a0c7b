// Every method that makes a file, from beginning to end, on a gpu device. The file says the same everywhere.

import assert from "node:assert/strict";
import { test } from "node:test";
import { compressChain } from "../../../../bin/chain.ts";
import { miracle, squeeze } from "../../../../bin/node/index.ts";
import { sizesOf } from "../../../../bin/rules.ts";
import { pack, toWeights, unpack } from "../../../../codecs/index.ts";
import type { Runtime, Weights } from "../../../../lib/index.ts";
import { evaluate, initialise } from "../../../../models/index.ts";
import { smallData, smallNetwork } from "../../../models/small.ts";
import { exactRuntime, runtimeOf } from "../../runtimes.ts";
import { gpuDevices, skip } from "./modes.ts";

const network = smallNetwork();
const images = { training: smallData(32), validation: smallData(30, 2) };
const lossOf = async (runtime: Runtime, weights: Weights): Promise<number> =>
  (await evaluate({ runtime, network, weights, data: images.validation })).loss;

const methods: Readonly<Record<string, (runtime: Runtime) => Promise<Uint8Array>>> = {
  miracle: async (runtime) => {
    const steps = { pretraining: 2, training: 10, refit: 1 };
    const options = { runtime, bytes: 106, bits: 12, live: [2, 3], batch: 8, samples: 1, ...steps };
    return (await miracle(network, images, options)).bytes;
  },
  squeeze: async (runtime) => {
    const options = { runtime, bytes: 130, batch: 8, pretraining: 5, training: 20 };
    return (await squeeze(network, images, options)).bytes;
  },
  "pruning and shared values": async (runtime) => {
    const common = { runtime, network, seed: 1 };
    const rules = { "d1.weight": { share: 0.5 } };
    const lossy = { rules, sizes: sizesOf(2, network, {}), rounds: 1, epochs: 1, tuning: 1, rate: 0.01, batchSize: 8 };
    const { training } = images;
    return pack({ network, sections: await compressChain(initialise(network, 1), { ...common, ...lossy, training }) });
  },
};

// Plain JavaScript runs the same kernels as WebAssembly does: other tests have both.
for (const device of gpuDevices.filter(({ name }) => name !== "gpu, cpu")) {
  for (const [name, method] of Object.entries(methods)) {
    test(`${name} on ${device.name}: a file, and what it computes is the same on the CPU`, { skip }, async () => {
      const runtime = await runtimeOf(device);
      const weights = toWeights(unpack(await method(runtime)));
      assert.ok(weights.some(({ values }) => values.some((value) => value !== 0)));
      const [loss, right] = [await lossOf(runtime, weights), await lossOf(exactRuntime(), weights)];
      assert.ok(Math.abs(loss - right) < 1e-5 * right, `${loss} and ${right}`);
    });
  }
}
