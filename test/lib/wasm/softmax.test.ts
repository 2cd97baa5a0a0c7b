import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import * as wasm from "../../../lib/wasm/softmax.ts";
import { launch } from "./launching.ts";
import { numbers } from "./workbench.ts";

const size = fc.oneof(fc.constantFrom(1, 2, 3, 4, 5, 7, 8, 10), fc.integer({ min: 1, max: 40 }));
const rows = fc.integer({ min: 1, max: 30 });

/** A row's `x - max x` and `ln Σ exp(x - max x)`, in float64. */
function logits(x: Float32Array, row: number, count: number): { shifted: number[]; total: number } {
  const own = [...x.subarray(row * count, (row + 1) * count)];
  const top = Math.max(...own);
  const shifted = own.map((value) => value - top);
  return { shifted, total: Math.log(shifted.reduce((sum, value) => sum + Math.exp(value), 0)) };
}

function close(got: number, right: number, most: number, what: string): void {
  assert.ok(Object.is(got, right) || Math.abs(got - right) <= most, `${what} is ${got}, not ${right}`);
}

function scaled(count: number, seed: number, scale: number): Float32Array {
  return numbers(count, seed).map((value) => value * scale);
}

test("softmax, log-softmax and cross entropy agree with float64", () => {
  fc.assert(
    fc.property(rows, size, fc.constantFrom(0.01, 1, 10, 60), fc.nat(1000), (n, c, scale, seed) => {
      const x = scaled(n * c, seed, scale);
      const labels = Int32Array.from({ length: n }, (_, i) => (i * 7 + seed) % c);
      const soft = numbers(n * c, seed + 1).map(Math.abs);
      const [empty, losses] = [new Float32Array(n * c), new Float32Array(n)];
      const shape = [n, c];
      const input = [shape, x] as const;
      const [y] = launch(wasm.softmaxRows, { attributes: {}, inputs: [input], outputs: [[shape, empty]] });
      const [z] = launch(wasm.logSoftmaxRows, { attributes: {}, inputs: [input], outputs: [[shape, empty]] });
      const outputs = [[[n], losses], [shape, empty]] as const;
      const [hard, p] = launch(wasm.crossEntropyRows, { attributes: {}, inputs: [input, [[n], labels]], outputs });
      const [weighed, q] = launch(wasm.crossEntropyRows, { attributes: {}, inputs: [input, [shape, soft]], outputs });
      assert.deepEqual(p, y);
      assert.deepEqual(q, y);
      for (let i = 0; i < n; i++) {
        const { shifted, total } = logits(x, i, c);
        let loss = 0;
        shifted.forEach((value, j) => {
          const at = i * c + j;
          const right = Math.exp(value - total);
          // The argument of exp is rounded, and a large one carries that into the result.
          close(y![at]!, right, right * 2 ** -23 * (3 + Math.abs(value)) + 2 ** -149, `softmax ${at}`);
          close(z![at]!, value - total, 2 ** -23 * (2 + Math.abs(value - total)), `logSoftmax ${at}`);
          loss += soft[at]! * (total - value);
        });
        const right = total - shifted[labels[i]!]!;
        close(hard![i]!, right, 2 ** -23 * (2 + right), `loss ${i}`);
        close(weighed![i]!, loss, 2 ** -22 * (2 * c + loss), `soft loss ${i}`);
      }
    }),
    { numRuns: 60 },
  );
});

test("the gradient of cross entropy is (p Σt - t) dy", () => {
  fc.assert(
    fc.property(rows, size, fc.nat(1000), (n, c, seed) => {
      const p = numbers(n * c, seed).map(Math.abs);
      const dy = numbers(n, seed + 2);
      const labels = Int32Array.from({ length: n }, (_, i) => (i * 5 + seed) % c);
      const soft = numbers(n * c, seed + 1).map(Math.abs);
      const shape = [n, c];
      const outputs = [[shape, new Float32Array(n * c)]] as const;
      const give = (target: readonly [readonly number[], Float32Array | Int32Array]) =>
        launch(wasm.crossEntropyGradient, { attributes: {}, inputs: [[shape, p], target, [[n], dy]], outputs })[0]!;
      const [hard, weighed] = [give([[n], labels]), give([shape, soft])];
      for (let i = 0; i < n; i++) {
        const total = soft.subarray(i * c, (i + 1) * c).reduce((sum, t) => sum + t, 0);
        for (let j = 0; j < c; j++) {
          const at = i * c + j;
          close(hard[at]!, (p[at]! - Number(labels[i] === j)) * dy[i]!, 2e-6, `hard ${at}`);
          close(weighed[at]!, (p[at]! * total - soft[at]!) * dy[i]!, 1e-6 * (1 + total), `soft ${at}`);
        }
      }
    }),
    { numRuns: 60 },
  );
});

test("many rows are cut into tiles", () => {
  const [n, c] = [1301, 17];
  const x = numbers(n * c, 5);
  const [y] = launch(wasm.softmaxRows, { attributes: {}, inputs: [[[n, c], x]], outputs: [[[n, c], x]] });
  for (let i = 0; i < n; i++) {
    const { shifted, total } = logits(x, i, c);
    shifted.forEach((value, j) => close(y![i * c + j]!, Math.exp(value - total), 1e-6, `row ${i}`));
  }
});

test("infinities and NaN in a row", () => {
  const rows = [[0, -Infinity, 0], [NaN, 1, 2], [1, Infinity, 2], [-1e30, 0, -1e30], [3e38, -3e38, 0]];
  const x = Float32Array.from(rows.flat());
  const [y] = launch(wasm.softmaxRows, { attributes: {}, inputs: [[[5, 3], x]], outputs: [[[5, 3], x]] });
  assert.deepEqual([...y!], [0.5, 0, 0.5, NaN, NaN, NaN, NaN, NaN, NaN, 0, 1, 0, 1, 0, 0]);
});

test("a label that is no class is refused by name", () => {
  for (const label of [-1, 3, 2 ** 31 - 1]) {
    const inputs = [[[2, 3], numbers(6, 1)], [[2], Int32Array.of(1, label)]] as const;
    const outputs = [[[2], new Float32Array(2)], [[2, 3], new Float32Array(6)]] as const;
    assert.throws(
      () => launch(wasm.crossEntropyRows, { attributes: {}, inputs, outputs }),
      new RangeError(`crossEntropy: label ${label} is outside 0 to 2`),
    );
  }
});
