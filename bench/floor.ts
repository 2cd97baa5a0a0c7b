// A LeNet-5 step beside nothing but its products: every layer's forward product and gradients as plain matrix products
// of the same sizes, with the same kernels, in the same run.
//
//   node --import tsx bench/floor.ts [--threads 2] [--precision fast] [--batch 64]

import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { adam, createRuntime, crossEntropy, grad, matmul, mean, type Tensor } from "../lib/index.ts";
import { forward, initialise, lenet5 } from "../models/index.ts";

const options = parseArgs({
  options: {
    threads: { type: "string", default: "2" },
    precision: { type: "string", default: "float32" },
    batch: { type: "string", default: "64" },
    rounds: { type: "string", default: "60" },
  },
}).values;
const runtime = await createRuntime({
  device: "wasm",
  threads: Number(options.threads),
  precision: options.precision === "fast" ? "fast" : "float32",
});
const batch = Number(options.batch);

const images = runtime.variable(
  Float32Array.from({ length: batch * 784 }, (_, i) => ((i * 2654435761) >>> 8) % 256 / 255),
  [batch, 28, 28, 1],
);
const labels = runtime.variable(Int32Array.from({ length: batch }, (_, i) => i % 10), [batch]);
const weights = initialise(lenet5, 1).map(({ values, shape, name }) => runtime.variable(values, shape, name));
const optimizer = adam(weights);
const step = (): void =>
  runtime.step(() => {
    const loss = mean(crossEntropy(forward(lenet5, weights, images), labels));
    optimizer.update(grad(loss, weights), 1e-3);
  });

/** Rows, inner size and columns of each layer's forward product; the first layer has no gradient to its input. */
const layers = [
  { m: batch * 576, k: 25, n: 20, input: false },
  { m: batch * 64, k: 500, n: 50, input: true },
  { m: batch, k: 800, n: 500, input: true },
  { m: batch, k: 500, n: 10, input: true },
];
const filled = (...shape: number[]): Tensor =>
  runtime.variable(new Float32Array(shape.reduce((a, b) => a * b)).fill(0.01), shape);
const operands = layers.map(({ m, k, n, input }) => ({ x: filled(m, k), w: filled(k, n), dy: filled(m, n), input }));
const products = (): void =>
  runtime.step(() => {
    for (const { x, w, dy, input } of operands) {
      matmul(x, w);
      matmul(x, dy, { transposeA: true });
      if (input) matmul(dy, w, { transposeB: true });
    }
  });

const sides = [
  { name: "step", run: step, times: [] as number[] },
  { name: "its products alone", run: products, times: [] as number[] },
];
for (let i = 0; i < 20; i++) for (const { run } of sides) run();
for (let round = 0; round < Number(options.rounds); round++) {
  for (const { run, times } of sides) {
    const start = performance.now();
    run();
    times.push(performance.now() - start);
  }
}
const median = (times: number[]): number => times.sort((a, b) => a - b)[Math.floor(times.length / 2)]!;
console.log(`${cpus()[0]!.model}, Node ${process.version}, ${runtime.description}, batch ${batch}.`);
for (const { name, times } of sides) {
  console.log(`${name}: median ${median(times).toFixed(2)} ms, min ${times[0]!.toFixed(2)}`);
}
console.log(`ratio of medians ${(median(sides[0]!.times) / median(sides[1]!.times)).toFixed(2)}`);
await runtime.close();
