import assert from "node:assert/strict";
import { test } from "node:test";
import { grad } from "../../../lib/grad.ts";
import { leakyRelu, relu, reluGradient, sigmoid, tanh } from "../../../lib/ops/activations.ts";
import type { Tensor } from "../../../lib/tensor.ts";
import { awayFrom, grid, list } from "../arbitraries.ts";
import { elementwiseLaws } from "../laws.ts";
import { exactRuntime } from "../runtimes.ts";

const nonZero = (size: number) => list(awayFrom(0), size);

elementwiseLaws(relu, (x) => (x < 0 ? 0 : x), { name: "relu", values: nonZero });
elementwiseLaws(reluGradient, (y, dy) => (y > 0 ? dy : 0), {
  name: "reluGradient",
  values: nonZero,
  differentiable: [1],
});
elementwiseLaws((x: Tensor) => leakyRelu(x), (x) => (x < 0 ? 0.01 * x : x), { name: "leakyRelu", values: nonZero });
elementwiseLaws((x: Tensor) => leakyRelu(x, 0.3), (x) => (x < 0 ? 0.3 * x : x), {
  name: "leakyRelu",
  title: "leakyRelu 0.3",
  values: nonZero,
});
elementwiseLaws(sigmoid, (x) => 1 / (1 + Math.exp(-x)), { name: "sigmoid", values: (size) => list(grid(-9, 9), size) });
elementwiseLaws(tanh, (x) => Math.tanh(x), {
  name: "tanh",
  // Its series ends 2e-11 from the other form where they meet, at 1/4: no difference is taken across.
  values: (size) => list(awayFrom(-0.25, 0.25), size),
  exactness: 4e-11,
});

test("tanh and sigmoid hold at both ends", () => {
  const x = exactRuntime().tensor([-1000, -30, 30, 1000]);
  assert.deepEqual([...tanh(x).readSync()], [-1, -1, 1, 1]);
  const [low, , , high] = sigmoid(x).readSync();
  assert.deepEqual([low, high], [0, 1]);
});

test("tanh near zero is relatively right: its series meets the other form within 2e-11", () => {
  const runtime = exactRuntime();
  for (const x of [1e-300, 1e-8, 1e-3, 0.1, 0.2499999, 0.25, 0.2500001]) {
    const [y] = tanh(runtime.tensor(x)).readSync();
    assert.ok(Math.abs(y! / Math.tanh(x) - 1) < 2.1e-11, `tanh(${x}) = ${y}`);
  }
});

test("the rectifier's gradient is zero at zero", () => {
  const x = exactRuntime().tensor(0);
  assert.deepEqual([...grad(relu(x), [x])[0]!.readSync()], [0]);
});
