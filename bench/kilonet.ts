// Our own side of the benchmark: answers the peers' protocol (bench/peers/serve.mjs). `--form fast` asks for the fast
// precision, anything else for the default.

import { readFileSync } from "node:fs";
import { adam, createRuntime, crossEntropy, grad, matmul, mean, type Tensor, type Variable } from "../lib/index.ts";
import { forward, lenet300, lenet5 } from "../models/index.ts";
import { asked, serve } from "./peers/serve.mjs";
import { adam as settings, examples, factors, parameters } from "./peers/works.mjs";

type Work =
  | { readonly kind: "gemm"; readonly m: number; readonly k: number; readonly n: number }
  | { readonly kind: "step" | "inference"; readonly network: "lenet5" | "lenet300"; readonly batch: number };

const about = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
const fast = asked.form === "fast";
const runtime = await createRuntime({ device: "wasm", threads: asked.threads, precision: fast ? "fast" : "float32" });
const networks = { lenet5, lenet300 };

/** The network's variables with the benchmark's numbers: its filters are [out, in, h, w], ours [h, w, in, out]. */
function variables(name: "lenet5" | "lenet300"): Variable[] {
  return Object.entries(parameters(name)).map(([tensor, { shape, data }]) => {
    if (shape.length !== 4) return runtime.variable(reordered(tensor, data), shape, tensor);
    const [out, channels, height, width] = shape as [number, number, number, number];
    const filter = new Float32Array(data.length);
    data.forEach((value: number, i: number) => {
      const [x, y] = [i % width, Math.floor(i / width) % height];
      const [c, o] = [Math.floor(i / (width * height)) % channels, Math.floor(i / (width * height * channels))];
      filter[((y * width + x) * channels + c) * out + o] = value;
    });
    return runtime.variable(filter, [height, width, channels, out], tensor);
  });
}

/** The first dense layer of LeNet-5 reads 50 maps of 4 x 4, map after map there and pixel after pixel here. */
function reordered(tensor: string, data: Float32Array): Float32Array {
  if (tensor !== "dense1Weight" || data.length !== 800 * 500) return data;
  const result = new Float32Array(data.length);
  for (let map = 0; map < 50; map++) {
    for (let pixel = 0; pixel < 16; pixel++) {
      const from = (map * 16 + pixel) * 500;
      result.set(data.subarray(from, from + 500), (pixel * 50 + map) * 500);
    }
  }
  return result;
}

function prepare(work: Work) {
  if (work.kind === "gemm") {
    const { a, b } = factors(work);
    const left = runtime.variable(a, [work.m, work.k]);
    const right = runtime.variable(b, [work.k, work.n]);
    const place = runtime.variable(new Float32Array(work.m * work.n), [work.m, work.n]);
    // The product stays in the library's memory; an element that depends on it says that it is there.
    return {
      run: async () => {
        runtime.step(() => void matmul(left, right));
        return place;
      },
      read: async () => runtime.step(() => matmul(left, right)).read(),
    };
  }
  const network = networks[work.network];
  const weights = variables(work.network);
  const { images, labels } = examples(work.batch);
  const shape = [work.batch, 28, 28, 1];
  if (work.kind === "inference") {
    return {
      run: async () => runtime.step(() => forward(network, weights, runtime.tensor(images, shape))).read(),
    };
  }
  // The batch lies in the library's memory already.
  const batch = runtime.variable(images, shape, "images");
  const answers = runtime.variable(labels, [work.batch], "labels");
  const optimizer = adam(weights, settings);
  const step = (): Tensor => {
    const loss = mean(crossEntropy(forward(network, weights, batch), answers));
    optimizer.update(grad(loss, weights), settings.rate);
    return loss;
  };
  return { run: async () => (await runtime.step(step).read())[0]! };
}

await serve({
  peer: fast ? "kilonet-fast" : "kilonet",
  version: `${about.version} (${runtime.description})`,
  prepare: async (work: Work) => prepare(work),
});
