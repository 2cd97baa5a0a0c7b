import assert from "node:assert/strict";
import { test } from "node:test";
import {
  architecture,
  architectureNumber,
  architectures,
  cnn1024,
  lenet300,
  lenet5,
  linear,
  parametersOf,
  shapesOf,
  softmax,
} from "../../lib/architectures.ts";
import { ShapeError } from "../../lib/errors.ts";
import type { Convolution, Dense, Layer, Network } from "../../lib/network.ts";
import { sizeOf } from "../../lib/shape.ts";

const count = (network: Network): number => parametersOf(network).reduce((sum, { shape }) => sum + sizeOf(shape), 0);

test("the known architectures have the published numbers of parameters", () => {
  assert.equal(count(lenet5), 431_080);
  assert.equal(count(lenet300), 266_610);
  assert.equal(count(softmax), 7_850);
  assert.equal(count(linear), 7_840);
  assert.equal(count(cnn1024), 3_274_634);
});

test("numbers are part of the format: append-only", () => {
  // Lines are added here, never changed.
  assert.deepEqual(architectures.map(({ number, network }) => `${number} ${network.name}`).slice(0, 5), [
    "1 lenet5",
    "2 lenet300",
    "3 softmax",
    "4 linear",
    "5 cnn1024",
  ]);
  assert.equal(new Set(architectures.map(({ number }) => number)).size, architectures.length);
  for (const { number, network } of architectures) {
    assert.equal(architecture(number), network);
    assert.equal(architectureNumber(structuredClone(network)), number);
    assert.equal(architectureNumber({ ...network, name: "other" }), 0);
    assert.equal(architectureNumber({ ...network, classes: [...network.classes, "more"] }), 0);
  }
  assert.equal(architecture(0), undefined);
});

test("names and shapes of LeNet-5 follow from its layers", () => {
  assert.deepEqual(
    parametersOf(lenet5).map(({ name, shape }) => `${name} ${shape.join("x")}`),
    [
      "conv1.weight 5x5x1x20",
      "conv1.bias 20",
      "conv2.weight 5x5x20x50",
      "conv2.bias 50",
      "fc1.weight 800x500",
      "fc1.bias 500",
      "fc2.weight 500x10",
      "fc2.bias 10",
    ],
  );
  assert.deepEqual(
    shapesOf(lenet5).map((shape) => shape.join("x")),
    ["28x28x1", "24x24x20", "12x12x20", "8x8x50", "4x4x50", "800", "500", "10"],
  );
});

const conv = (changes: Partial<Convolution> = {}): Convolution => ({
  type: "convolution",
  name: "c",
  filters: 2,
  kernel: [3, 3],
  stride: [1, 1],
  padding: "same",
  bias: false,
  activation: "relu",
  ...changes,
});
const full = (changes: Partial<Dense> = {}): Dense => ({
  type: "dense",
  name: "d",
  units: 2,
  bias: true,
  activation: "none",
  ...changes,
});
const flatten: Layer = { type: "flatten" };
const network = (layers: readonly Layer[], changes: Partial<Network> = {}): Network => ({
  name: "n",
  input: { height: 7, width: 6, channels: 2, scale: 1, offset: 0 },
  layers,
  classes: ["a", "b"],
  ...changes,
});

test("strides and paddings give the sizes of their definitions", () => {
  const sizes = (changes: Partial<Convolution>) => shapesOf(network([conv(changes)]))[1];
  assert.deepEqual(sizes({}), [7, 6, 2]);
  assert.deepEqual(sizes({ stride: [2, 4] }), [4, 2, 2]);
  assert.deepEqual(sizes({ padding: "valid", stride: [2, 2] }), [3, 2, 2]);
  assert.deepEqual(shapesOf(network([{ type: "maxPool", size: 2, stride: 2 }]))[1], [3, 3, 2]);
  assert.deepEqual(shapesOf(network([{ type: "maxPool", size: 3, stride: 1 }]))[1], [5, 4, 2]);
});

test("layers that do not meet are refused before anything runs", () => {
  const shapes: Network[] = [
    network([full()]),
    network([flatten]),
    network([conv()]),
    network([flatten, conv(), flatten, full()]),
    network([flatten, full({ units: 3 })]),
    network([conv({ padding: "valid", kernel: [8, 1] }), flatten, full()]),
    network([{ type: "maxPool", size: 7, stride: 1 }, flatten, full()]),
    network([flatten, flatten, full()]),
  ];
  for (const [i, bad] of shapes.entries()) assert.throws(() => parametersOf(bad), ShapeError, `case ${i}`);
});

test("fields outside their range are refused", () => {
  const input = network([]).input;
  const fields: Network[] = [
    network([conv({ kernel: [0, 3] }), flatten, full()]),
    network([conv({ stride: [1, 0] }), flatten, full()]),
    network([conv({ filters: 1.5 }), flatten, full()]),
    network([conv({ filters: 2 ** 21 }), flatten, full()]),
    network([conv({ padding: "full" as "same" }), flatten, full()]),
    network([conv({ activation: "swish" as "relu" }), flatten, full()]),
    network([conv({ name: "" }), flatten, full()]),
    network([conv({ name: "../x" }), flatten, full()]),
    network([conv({ name: "d", bias: true }), flatten, full()]),
    network([conv({ kernel: [2 ** 11, 2 ** 11], padding: "same" }), flatten, full()]),
    network([{ type: "maxPool", size: 2, stride: 0 }, flatten, full()]),
    network([{ type: "dropout", keep: 0 }, flatten, full()]),
    network([{ type: "dropout", keep: NaN }, flatten, full()]),
    network([{ type: "batchNorm" } as unknown as Layer, flatten, full()]),
    network([flatten, full()], { input: { ...input, scale: 0 } }),
    network([flatten, full()], { input: { ...input, offset: Infinity } }),
    network([flatten, full()], { input: { ...input, height: 0 } }),
    network([flatten, full()], { input: { ...input, height: 2 ** 20, width: 2 ** 20 } }),
    network([flatten], { input: { ...input, height: 1, width: 1 } }),
  ];
  for (const [i, bad] of fields.entries()) assert.throws(() => parametersOf(bad), RangeError, `case ${i}`);
});
