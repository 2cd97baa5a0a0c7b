import assert from "node:assert/strict";
import { test } from "node:test";
import { lenet5, parametersOf } from "../../lib/architectures.ts";
import { grad } from "../../lib/grad.ts";
import { mean } from "../../lib/ops/reduce.ts";
import { crossEntropy } from "../../lib/ops/softmax.ts";
import { fillNormal, fillUniform, seedKey } from "../../lib/random.ts";
import { sizeOf } from "../../lib/shape.ts";
import type { Tensor } from "../../lib/tensor.ts";
import { forward } from "../../models/forward.ts";
import { initialise } from "../../models/initialise.ts";
import { exactRuntime } from "./runtimes.ts";

test("LeNet-5: the gradient along 20 random directions is the slope of the loss, in float64", (t) => {
  const runtime = exactRuntime();
  const key = seedKey(5);
  const pixels = new Float32Array(2 * 28 * 28);
  fillUniform(pixels, key, { stream: 200, block: 0 });
  const images = runtime.tensor(pixels, [2, 28, 28, 1]);
  const labels = runtime.tensor(Int32Array.of(3, 8));
  const start = initialise(lenet5, 1).map(({ values }) => Float64Array.from(values));
  const parameters = parametersOf(lenet5).map(({ name, shape }, i) => runtime.variable(start[i]!, shape, name));
  const lossOf = (): Tensor => mean(crossEntropy(forward(lenet5, parameters, images), labels));

  const slopes = runtime.step(() => grad(lossOf(), parameters)).map((gradient) => gradient.readSync());
  let square = 0;
  for (const slope of slopes) for (const g of slope) square += g * g;
  const length = Math.sqrt(square);
  assert.ok(length > 0.1, `a gradient of length ${length} to judge by`);

  // A step of 2^-23 in 431,080 directions at once moves the weights by 8e-5: what bends in between is below 1e-8.
  const h = 2 ** -23;
  let worst = 0;
  for (let direction = 0; direction < 20; direction++) {
    const along = slopes.map((slope, i) => {
      const normals = new Float32Array(slope.length);
      fillNormal(normals, key, { stream: 201, block: direction * slopes.length + i });
      return normals;
    });
    const lossAt = (move: number): number => {
      parameters.forEach((parameter, i) => parameter.assign(start[i]!.map((w, k) => w + move * along[i]![k]!)));
      return runtime.step(lossOf).readSync()[0]!;
    };
    const want = (lossAt(h) - lossAt(-h)) / (2 * h);
    let got = 0;
    slopes.forEach((slope, i) => slope.forEach((g, k) => (got += g * along[i]![k]!)));
    worst = Math.max(worst, Math.abs(got - want) / length);
    assert.ok(Math.abs(got - want) <= 1e-6 * length, `direction ${direction}: gradient ${got}, difference ${want}`);
  }
  assert.equal(parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0), 431080);
  t.diagnostic(`largest error ${worst.toExponential(1)} of the gradient's length ${length.toFixed(2)}`);
});
