import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { grad } from "../../lib/grad.ts";
import { relu, tanh } from "../../lib/ops/activations.ts";
import { add, exp, multiply, square, subtract } from "../../lib/ops/arithmetic.ts";
import { conv2d } from "../../lib/ops/conv2d.ts";
import { gather } from "../../lib/ops/gather.ts";
import { concat, reshape } from "../../lib/ops/layout.ts";
import { matmul } from "../../lib/ops/matmul.ts";
import { maxPool2d } from "../../lib/ops/maxPool2d.ts";
import { crossEntropy } from "../../lib/ops/softmax.ts";
import { sum } from "../../lib/ops/sum.ts";
import { sgd } from "../../lib/optimizers/sgd.ts";
import { Runtime } from "../../lib/runtime.ts";
import { sizeOf } from "../../lib/shape.ts";
import type { Tensor } from "../../lib/tensor.ts";
import { assertSlopes } from "./laws.ts";
import { programs, runProgram, variableShapes } from "./programs.ts";
import { devices, exactRuntime, runtimeOf, SpyBackend } from "./runtimes.ts";

const runtime = exactRuntime();
const numbers = (tensors: readonly Tensor[]): number[][] => tensors.map((tensor) => [...tensor.readSync()]);

for (const device of devices) {
  test(`a tensor on ${device.name} that is used twice gets both gradients, by whatever ways they come`, async () => {
    const on = await runtimeOf(device);
    for (const around of [<T>(body: () => T) => body(), <T>(body: () => T) => on.step(body)]) {
      const x = on.tensor([1, 2, 3, 4], [2, 2]);
      const [first] = around(() => {
        const twice = add(multiply(x, 3), multiply(x, 4));
        const product = matmul(x, x);
        const joined = concat([x, reshape(x, [1, 4]), x].map((part) => reshape(part, [4])));
        return grad(add(add(sum(twice), sum(product)), sum(joined)), [x]);
      });
      // 7 + 3 from the copies, and of the product's sum d/dx[i, j] = its row sum[j] + column sum[i].
      assert.deepEqual([...(await first!.read())], [10 + 3 + 4, 10 + 7 + 4, 10 + 3 + 6, 10 + 7 + 6]);
    }
  });

  test(`what a loss on ${device.name} does not depend on has the gradient zero, in its shape`, async () => {
    const on = await runtimeOf(device);
    const [x, other] = [on.tensor([1, 2]), on.tensor([1, 2, 3, 4, 5, 6], [2, 3])];
    const w = on.variable([1], [1]);
    const labels = on.tensor(Int32Array.of(0, 1));
    const gradients = on.step(() => grad(sum(multiply(x, 2)), [other, w, x, labels]));
    assert.deepEqual(gradients.map(({ shape }) => shape), [[2, 3], [1], [2], [2]]);
    const read = await Promise.all(gradients.map(async (gradient) => [...(await gradient.read())]));
    assert.deepEqual(read, [[0, 0, 0, 0, 0, 0], [0], [2, 2], [0, 0]]);
  });
}

test("anything is a target: the loss itself, what lies between, the same tensor twice", () => {
  const x = runtime.tensor([1, 2]);
  const y = square(x);
  const loss = sum(multiply(y, 3));
  assert.deepEqual(numbers(grad(loss, [loss, y, x, y, x])), [[1], [3, 3], [6, 12], [3, 3], [6, 12]]);
  assert.deepEqual(grad(loss, []), []);
  const lone = runtime.tensor([5], [1, 1]);
  assert.deepEqual(numbers(grad(lone, [lone])), [[1]]);
  assert.deepEqual(grad(lone, [lone])[0]!.shape, [1, 1]);
});

test("the loss is one number", () => {
  const x = runtime.tensor([1, 2]);
  assert.throws(() => grad(x, [x]), { name: "ShapeError", message: "grad: the loss must have one element, got [2]" });
});

test("operations outside steps record too, and a step goes on where they ended", () => {
  const w = runtime.variable([1, 2], [2]);
  const outside = square(w);
  const gradients = runtime.step(() => grad(sum(exp(multiply(outside, 0))), [w, outside]));
  assert.deepEqual(numbers(gradients), [[0, 0], [0, 0]]);
  assert.deepEqual(numbers(runtime.step(() => grad(sum(multiply(outside, 2)), [w]))), [[4, 8]]);
  assert.deepEqual(numbers(grad(sum(outside), [w])), [[2, 4]], "a tape may be walked again");
});

test("what a step returns is where its tape ends", () => {
  const w = runtime.variable([1, 2], [2]);
  const y = runtime.step(() => square(w));
  assert.deepEqual(numbers(grad(sum(multiply(y, 3)), [w, y])), [[0, 0], [3, 3]]);
});

test("gradients are not recorded: there are no second derivatives, and updates are none of the tape's business", () => {
  const w = runtime.variable([1, 2], [2]);
  const [g] = grad(sum(multiply(square(w), w)), [w]);
  assert.deepEqual(numbers(grad(sum(g!), [w])), [[0, 0]]);
  w.assign(multiply(w, 2));
  assert.deepEqual(numbers(grad(sum(multiply(w, 3)), [w])), [[3, 3]]);
});

test("a variable that was overwritten after an operation had read it is refused", () => {
  const x = runtime.tensor([1, 2, 3, 4], [2, 2]);
  const w = runtime.variable([1, 2, 3, 4], [2, 2], "fc1.weight");
  const overwrites: (() => void)[] = [
    () => w.assign([4, 3, 2, 1]),
    () => w.assign(multiply(w, 2)),
    () => sgd([w]).update([x], 0.1),
  ];
  const reads: [string, () => Tensor][] = [
    ["matmul", () => matmul(x, w)],
    ["multiply", () => multiply(x, w)],
    ["reshape", () => reshape(w, [4])],
  ];
  for (const overwrite of overwrites) {
    for (const [name, read] of reads) {
      const body = (): Tensor[] => {
        const loss = sum(relu(read()));
        overwrite();
        return grad(loss, [x, w]);
      };
      const message = `grad: variable fc1.weight was overwritten after ${name} had read it`;
      assert.throws(body, { name: "DeviceError", message });
      assert.throws(() => runtime.step(body), { name: "DeviceError", message });
    }
    const loss = sum(w);
    overwrite();
    assert.throws(() => grad(loss, [w]), { name: "DeviceError", message: /overwritten after sum/ }, "at once");
  }
});

test("an overwritten variable does not matter before it is read, after the gradients, or where none is wanted", () => {
  const x = runtime.tensor([1, 2]);
  const w = runtime.variable([1, 2], [2]);
  w.assign([3, 4]);
  const loss = sum(multiply(w, x));
  const [g] = grad(loss, [w]);
  w.assign([5, 6]);
  assert.deepEqual([...g!.readSync()], [1, 2]);
  assert.throws(() => grad(loss, [w]));
  const hidden = multiply(w, x);
  const top = sum(multiply(hidden, 2));
  w.assign([7, 8]);
  assert.deepEqual(numbers(grad(top, [hidden])), [[2, 2]], "the operation that read it is not walked through");
});

test("work for inputs that nobody asked about is not done", () => {
  const backend = new SpyBackend();
  const spied = new Runtime(backend);
  const images = spied.tensor(new Float32Array(2 * 6 * 6), [2, 6, 6, 1]);
  const filters = spied.variable(new Float32Array(2 * 2 * 3), [2, 2, 1, 3]);
  const dense = spied.variable(new Float32Array(12 * 2), [12, 2]);
  const labels = spied.tensor(Int32Array.of(0, 1));
  const loss = (): Tensor => {
    const pooled = maxPool2d(conv2d(images, filters, { activation: "relu" }), 2);
    return sum(crossEntropy(matmul(reshape(pooled, [2, 12]), dense), labels));
  };
  const operationsFor = (...targets: Tensor[]): string[] =>
    spied.step(() => {
      const made = loss();
      backend.forget();
      grad(made, targets);
      return [...backend.operations];
    });
  assert.deepEqual(operationsFor(dense), ["crossEntropyGradient", "matmul"]);
  const common = ["crossEntropyGradient", "matmul", "maxPool2dGradient"];
  assert.deepEqual(operationsFor(filters), [...common, "conv2dFilterGradient"]);
  assert.deepEqual(operationsFor(images), [...common, "conv2dInputGradient"]);
  assert.deepEqual(operationsFor(labels), []);

  const [a, b] = [spied.tensor([1, 2]), spied.tensor([3])];
  const joined = sum(concat([a, b]));
  backend.forget();
  assert.deepEqual(numbers(grad(joined, [b])), [[1]]);
  assert.deepEqual(backend.operations, ["slice"]);
});

test("a long tape is walked without recursion", () => {
  const x = runtime.tensor([1]);
  let y: Tensor = x;
  for (let i = 0; i < 20000; i++) y = reshape(y, i % 2 === 0 ? [1, 1] : [1]);
  assert.deepEqual(numbers(grad(y, [x])), [[1]]);
});

test("gradients of random programs are slopes", () => {
  fc.assert(
    fc.property(programs(["assign", "read", "relu", "minimum", "maximum", "square"]), (lines) => {
      const inputs = variableShapes.map((shape, k) =>
        runtime.tensor(Float64Array.from({ length: sizeOf(shape) }, (_, i) => (i - 2 + k) / 4), shape),
      );
      assertSlopes(
        runtime,
        (...given) => {
          const values = given.map((tensor) => ({ tensor, plain: { shape: tensor.shape, values: tensor.readSync() } }));
          runProgram(lines, values, () => {});
          // Bounded, and curved, so that every value's gradient depends on the numbers.
          const parts = values.map(({ tensor }) => sum(tanh(multiply(tensor, 0.1))));
          return parts.reduce((a, b) => subtract(b, multiply(a, 0.9)));
        },
        inputs,
      );
    }),
    { numRuns: 25 },
  );
});

test("shared weights sum the gradients of their members", () => {
  const shared = runtime.variable([0.5, -1], [2]);
  const w = gather(shared, runtime.tensor(Int32Array.of(0, 1, 1, 0, 0, 1), [2, 3]));
  const x = runtime.tensor([1, 10], [1, 2]);
  assert.deepEqual(numbers(grad(sum(matmul(x, w)), [shared])), [[1 + 10 + 10, 1 + 1 + 10]]);
});
