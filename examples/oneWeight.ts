// The smallest problem of all: y = 2 x and some noise, one weight, and four bits for it. Prints the 16 values that the
// file can name, and which one training chose: `npx tsx examples/oneWeight.ts`.

import { createRuntime, mean, multiply, type Network, square, subtract, type Tensor } from "../lib/index.ts";
import { Miracle, pack, type RandomCode, toWeights } from "../codecs/index.ts";

const network: Network = {
  name: "line",
  input: { height: 1, width: 1, channels: 1, scale: 1, offset: 0 },
  layers: [{ type: "flatten" }, { type: "dense", name: "line", units: 1, bias: false, activation: "none" }],
  classes: ["y"],
};
const runtime = await createRuntime({ device: "reference" });
const x = Float32Array.from({ length: 100 }, (_, i) => (i - 50) / 25);
const y = x.map((value, i) => 2 * value + (((i * 37) % 11) - 5) / 20); // even the noise is the same every time

const loss = ([w]: readonly Tensor[]): Tensor =>
  mean(square(subtract(multiply(runtime.tensor(x, [1, 100]), w!), runtime.tensor(y, [1, 100]))));
const miracle = new Miracle({
  ...{ runtime, loss, shapes: [[1, 1]], bits: 4, blocks: 1, seed: 1 },
  start: [{ name: "line.weight", shape: [1, 1], values: Float32Array.of(0.1) }],
  prices: { start: 1e-3, rate: 0.01 },
});
const rates = { mean: 0.01, deviation: 0.05, scale: 0.005 };
await miracle.pretrain({ steps: 200, rate: () => 0.02 });
await miracle.train({ steps: 400, rates: () => rates });
const code = await miracle.compress({ refit: 0, rates: () => rates });

const fileOf = (coded: RandomCode) => ({ network, sections: [{ tensors: ["line.weight"], coded }] });
const weightOf = (coded: RandomCode): string => toWeights(fileOf(coded))[0]!.values[0]!.toFixed(2);
const all = Array.from({ length: 16 }, (_, index) => weightOf({ ...code, indices: Uint32Array.of(index) }));
console.log(`Of ${all.join(" ")} number ${code.indices[0]}: ${weightOf(code)}, in ${pack(fileOf(code)).length} bytes`);
await runtime.close();
