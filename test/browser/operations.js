// Every operation, forward and backward, on numbers that are the same everywhere.

import {
  adam, add, clip, concat, conv2d, createRuntime, crossEntropy, divide, dropout, exp, fillUniform, gather,
  gatherBytes, grad, less, log, logSoftmax, matmul, max, maximum, maxPool2d, mean, minimum, multiply, normal, packBytes,
  pad, relu, round, scatterAdd, sgd, sigmoid, sizeOf, slice, softmax, sqrt, subtract, sum, tanh, transpose, uniform,
  where,
} from "kilonet";

/** Numbers from -1 to 1, far from each other and from 0 as far as kinks go. */
function numbers(shape, block) {
  const values = new Float32Array(sizeOf(shape));
  fillUniform(values, [7, 0], { stream: 3, block });
  return values.map((x) => Math.round(2000 * x - 1000) / 1000 + 0.0004);
}

const ints = (...values) => Int32Array.from(values);
const images = [2, 9, 8, 3];

/** Name, shapes of the float tensors, and what is done with them. `ints` in a shape's place are themselves. */
const cases = [
  ["matmul", [[5, 7], [7, 3], [3]], (a, b, bias) => matmul(a, b, { bias })],
  ["matmul, transposed", [[7, 5], [3, 7]], (a, b) => matmul(a, b, { transposeA: true, transposeB: true })],
  ["matmul and rectifier", [[4, 6], [6, 9], [9]], (a, b, bias) => matmul(a, b, { bias, activation: "relu" })],
  ["a long matmul", [[2, 2500], [2500, 3]], (a, b) => matmul(a, b)],
  ["products and sums", [[4, 5], [5], [4, 1]], (x, y, z) => subtract(add(multiply(x, y), divide(z, 3)), x)],
  ["six axes", [[2, 1, 3, 1, 2, 1], [1, 2, 1, 3, 1, 5]], (x, y) => multiply(x, y)],
  ["curves", [[6], [6], [6]], (x, y, z) => add(sigmoid(x), multiply(tanh(y), exp(z)))],
  ["roots and logarithms", [[6], [6]], (x, y) => log(add(sqrt(add(multiply(x, x), 1)), relu(y)))],
  ["choices", [[7], [7]], (x, y) => where(less(x, y), maximum(x, 0.1), minimum(y, clip(x, -0.5, 0.5)))],
  ["round", [[9]], (x) => round(multiply(x, 3.7), { straightThrough: true })],
  ["sum", [[3, 4, 5]], (x) => sum(x, { axes: [0, 2] })],
  ["a long sum", [[2500]], (x) => sum(x)],
  ["mean", [[3, 4, 5]], (x) => mean(x, { axes: [1], keep: true })],
  ["max", [[3, 40]], (x) => max(x, { axes: [1] })],
  ["gather", [[6, 3], ints(5, 0, 0, 2)], (table, at) => gather(table, at)],
  ["scatterAdd", [[4, 3], ints(5, 0, 0, 2)], (updates, at) => scatterAdd(updates, at, 6)],
  ["softmax", [[4, 10]], (x) => softmax(multiply(x, 5))],
  ["logSoftmax", [[4, 10]], (x) => logSoftmax(multiply(x, 5))],
  ["cross entropy", [[4, 10], ints(0, 9, 3, 3)], (x, labels) => crossEntropy(multiply(x, 5), labels)],
  ["cross entropy, soft", [[4, 10], [4, 10]], (x, labels) => crossEntropy(x, labels)],
  ["transpose", [[3, 4, 5]], (x) => transpose(x, [2, 0, 1])],
  ["pad", [[3, 4]], (x) => pad(x, [[1, 2], [0, 3]])],
  ["slice", [[5, 6]], (x) => slice(x, [1, 2], [3, 4])],
  ["concat", [[2, 3], [2, 1], [2, 4]], (x, y, z) => concat([x, y, z], 1)],
  ["conv2d", [images, [3, 2, 3, 4], [4]], (x, w, bias) => conv2d(x, w, { bias })],
  ["conv2d, same", [images, [3, 3, 3, 2]], (x, w) => conv2d(x, w, { stride: [2, 1], padding: "same" })],
  ["conv2d and pooling", [images, [3, 3, 3, 4], [4]], (x, w, bias) => conv2d(x, w, { bias, maxPool: 2 })],
  ["maxPool2d", [images], (x) => maxPool2d(x, 3, 2)],
  ["a wide result", [[1, 9000], [3, 1]], (x, y) => multiply(x, y)],
];

/** For each case the numbers of result and gradients; those of updates; and the draws. */
export async function operations(options) {
  const runtime = await createRuntime(options);
  const found = {};
  for (const [name, shapes, apply] of cases) {
    const given = shapes.map((shape, i) =>
      shape instanceof Int32Array ? runtime.tensor(shape) : runtime.tensor(numbers(shape, i), shape),
    );
    const { y, slopes } = runtime.step(() => {
      const y = apply(...given);
      const weights = runtime.tensor(numbers(y.shape, 9), y.shape);
      return { y, slopes: grad(sum(multiply(y, weights)), given.filter(({ type }) => type === "float")) };
    });
    found[name] = [await y.read()];
    for (const slope of slopes) found[name].push(await slope.read());
  }
  for (const [name, optimizer] of [["sgd", sgd], ["adam", adam]]) {
    const variable = runtime.variable(numbers([7], 0), [7]);
    const updating = optimizer([variable], { weightDecay: 0.01 });
    for (const block of [1, 2]) {
      runtime.step(() => updating.update([runtime.tensor(numbers([7], block))], 0.01));
    }
    found[name] = [await variable.read()];
  }
  const bytes = Uint8Array.from({ length: 70 }, (_, i) => (37 * i) % 256);
  const tables = [0, 28].map((at) => {
    const rows = bytes.subarray(at, at === 0 ? 28 : 70);
    return runtime.tensor(packBytes(rows, 7), [rows.length / 7, 3]);
  });
  const values = runtime.tensor(numbers([256], 0));
  found.gatherBytes = [await gatherBytes(tables, runtime.tensor(ints(9, 0, 4)), values, 7).read()];
  const from = { key: [0xdeadbeef, 3], stream: 4, block: 0xfffffe };
  found.uniform = [await uniform(runtime, [3, 7], from).read()];
  found.normal = [await normal(runtime, [3, 7], from).read()];
  found.dropout = [await dropout(runtime.tensor(numbers([50], 0)), 0.5, from).read()];
  await runtime.close();
  return found;
}
