// What every device is asked to do, in a page and in Node: one program, in which only the device is named differently.

import { createRuntime, crossEntropy, grad, mean } from "kilonet";
import { toWeights, unpack } from "kilonet/codecs";
import { digest, evaluate, fit, forward, glyphs, initialise, lenet300 } from "kilonet/models";

const train = glyphs({ count: 64, seed: 5 });
/** All of `fit` but the runtime: plain data. */
export const training = {
  network: lenet300,
  data: { train },
  epochs: 3,
  batchSize: 16,
  schedule: { name: "constant", rate: 0.002 },
};
const unseen = glyphs({ count: 32, seed: 1, start: 7000 });

/** Trains, and evaluates files: `options` are those of `createRuntime`, `files` the bytes by name. */
export async function run(options, files) {
  const runtime = await createRuntime(options);
  try {
    const { description } = runtime;
    const first = await firstStep(runtime);
    const { history, weights } = await fit({ runtime, ...training });
    const losses = history.map(({ loss }) => loss);
    const evaluations = {};
    for (const [name, bytes] of Object.entries(files)) {
      const file = unpack(bytes);
      const weights = toWeights(file);
      const { errors, loss } = await evaluate({ runtime, network: file.network, weights, data: unseen });
      evaluations[name] = { decoded: digest(weights), errors, loss };
    }
    return { description, first, losses, trained: digest(weights), evaluations };
  } finally {
    await runtime.close();
  }
}

/** Loss and gradients of the first eight images at starting weights. */
async function firstStep(runtime) {
  const parameters = initialise(lenet300, 3).map(({ values, shape, name }) => runtime.variable(values, shape, name));
  const pixels = Float32Array.from(train.images.subarray(0, 8 * 784), (pixel) => pixel / 255);
  const labels = Int32Array.from(train.labels.subarray(0, 8));
  const { loss, slopes } = runtime.step(() => {
    const logits = forward(lenet300, parameters, runtime.tensor(pixels, [8, 28, 28, 1]));
    const loss = mean(crossEntropy(logits, runtime.tensor(labels)));
    return { loss, slopes: grad(loss, parameters) };
  });
  const gradients = [];
  for (const slope of slopes) gradients.push(await slope.read());
  return { loss: (await loss.read())[0], gradients };
}

/** The largest difference of two arrays, as a share of the largest magnitude of `want`. */
export function distance(got, want) {
  let [difference, magnitude] = [0, 0];
  for (let i = 0; i < want.length; i++) {
    // Whatever is no number is as far as can be.
    if (!(Math.abs(got[i] - want[i]) <= difference)) difference = Math.abs(got[i] - want[i]);
    magnitude = Math.max(magnitude, Math.abs(want[i]));
  }
  return Number.isNaN(difference) ? Infinity : difference / magnitude;
}
