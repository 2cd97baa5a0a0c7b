import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { crossEntropy, logSoftmax, softmax } from "../../../lib/ops/softmax.ts";
import { dim, grid, gridNumber, list, shapes } from "../arbitraries.ts";
import { opLaws, type Plain } from "../laws.ts";
import { devices, runtimeOf } from "../runtimes.ts";

/** The rows along the last axis. */
function rowsOf({ shape, values }: Plain): number[][] {
  const size = shape.at(-1)!;
  const all = Array.from(values);
  return Array.from({ length: all.length / size }, (_, i) => all.slice(i * size, (i + 1) * size));
}

/** `f` of every row. */
function byRow(x: Plain, f: (row: number[]) => number[]): Plain {
  return { shape: x.shape, values: rowsOf(x).flatMap(f) };
}

/** ln Σ exp, straight from the formula: fine for small numbers. */
const logSumExp = (row: number[]): number => Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));

const rows = shapes({ minRank: 1 }).map((shape) => [shape]);

opLaws(softmax, rows, {
  plain: ([x]) => byRow(x!, (row) => row.map((v) => Math.exp(v) / row.reduce((sum, u) => sum + Math.exp(u), 0))),
  large: [[[67, 10]], [[3, 1000]]],
  refused: [[[[]], /needs an axis of classes, got \[\]$/]],
});

opLaws(logSoftmax, rows, {
  plain: ([x]) => byRow(x!, (row) => row.map((v) => v - logSumExp(row))),
  large: [[[67, 10]], [[3, 1000]]],
  refused: [[[[]], /needs an axis of classes, got \[\]$/]],
});

const logits = fc.tuple(dim, dim);

opLaws(crossEntropy, logits.map(([n, c]) => [[n, c], [n]]), {
  title: "crossEntropy of hard labels",
  ints: [1],
  values: (size, index, [x]) => list(index === 1 ? fc.nat(x![1]! - 1) : gridNumber, size),
  plain: ([x, labels]) => ({
    shape: labels!.shape,
    values: rowsOf(x!).map((row, i) => logSumExp(row) - row[labels!.values[i]!]!),
  }),
  large: [[[67, 10], [67]]],
  refused: [
    [
      [[2, 3], [3]],
      /needs logits \[n, c\] and labels, ints \[n\] or floats \[n, c\]; got \[2, 3\] and ints \[3\]$/,
    ],
    [[[2, 3], [2, 3]], /got \[2, 3\] and ints \[2, 3\]$/],
    [[[6], [6]], /got \[6\] and ints \[6\]$/],
  ],
});

opLaws(crossEntropy, logits.map(([n, c]) => [[n, c], [n, c]]), {
  title: "crossEntropy of soft labels",
  // Any weights, not only those that sum to 1.
  values: (size, index) => list(index === 1 ? grid(0, 2) : gridNumber, size),
  plain: ([x, labels]) => {
    const weights = rowsOf(labels!);
    const loss = (row: number[], i: number): number =>
      row.reduce((sum, v, j) => sum + weights[i]![j]! * (logSumExp(row) - v), 0);
    return { shape: [weights.length], values: rowsOf(x!).map(loss) };
  },
  tolerance: 4e-6,
  large: [[[67, 10], [67, 10]]],
  refused: [
    [[[2, 3], [3, 2]], /got \[2, 3\] and floats \[3, 2\]$/],
    [[[2, 3], [2]], /got \[2, 3\] and floats \[2\]$/],
  ],
});

for (const device of devices) {
  test(`softmax on ${device.name}: far numbers neither overflow nor vanish, and -Infinity has no share`, async () => {
    const runtime = await runtimeOf(device);
    const x = runtime.tensor([1e4, 1e4, -1e4, -Infinity], [1, 4]);
    assert.deepEqual([...(await softmax(x).read())], [0.5, 0.5, 0, 0]);
    const half = Math.fround(Math.log(2));
    assert.deepEqual(Array.from(await logSoftmax(runtime.tensor([-300, -300])).read(), Math.fround), [-half, -half]);
    const far = crossEntropy(runtime.tensor([0, 200], [1, 2]), runtime.tensor(Int32Array.of(0)));
    assert.deepEqual([...(await far.read())], [200]);
    assert.deepEqual([...(await softmax(runtime.tensor([NaN, 1])).read())], [NaN, NaN]);
  });

  test(`crossEntropy on ${device.name}: a label outside the classes is a RangeError`, async () => {
    const runtime = await runtimeOf(device);
    for (const label of [-1, 3]) {
      assert.throws(
        () => crossEntropy(runtime.tensor(new Float32Array(6), [2, 3]), runtime.tensor(Int32Array.of(1, label))),
        { name: "RangeError", message: `crossEntropy: label ${label} is outside 0 to 2` },
      );
    }
  });
}
