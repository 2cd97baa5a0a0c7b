import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { gemm } from "../../../lib/wasm/gemm.ts";
import { hasRelaxedSimd } from "../../../lib/wasm/kernel.ts";
import type { GemmOptions } from "../../../lib/wasm/gemm.ts";
import { Workbench, numbers } from "./workbench.ts";

/** `C = activation(C0 + op(A) · op(B) + bias)` in float64, with the sum of magnitudes that bounds the rounding. */
function oracle(o: GemmOptions, a: Float32Array, b: Float32Array, c: Float32Array, bias: Float32Array) {
  const { m, n, k } = o;
  const values = new Float64Array(m * n);
  const magnitudes = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = (o.accumulate ? c[i * n + j]! : 0) + (o.bias ? bias[j]! : 0);
      let magnitude = (o.accumulate ? Math.abs(c[i * n + j]!) : 0) + (o.bias ? Math.abs(bias[j]!) : 0);
      for (let t = 0; t < k; t++) {
        const term = a[o.transposeA ? t * m + i : i * k + t]! * b[o.transposeB ? j * k + t : t * n + j]!;
        sum += term;
        magnitude += Math.abs(term);
      }
      const slope = typeof o.activation === "object" ? o.activation.negativeSlope : o.activation === "relu" ? 0 : 1;
      values[i * n + j] = sum < 0 ? slope * sum : sum;
      magnitudes[i * n + j] = magnitude;
    }
  }
  return { values, magnitudes };
}

function check(o: GemmOptions, seed: number): void {
  const { m, n, k } = o;
  const bench = new Workbench();
  const [a, b, c, bias] = [m * k, k * n, m * n, n].map((length, i) => numbers(length, seed + i)) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const words = { a: bench.input(a), b: bench.input(b), c: bench.output(c), bias: bench.input(bias) };
  const { values, magnitudes } = oracle(o, a, b, c, bias);
  for (const relaxed of hasRelaxedSimd() ? [false, true] : [false]) {
    bench.run(gemm(o), words, "c", c, { relaxed }).forEach((value, i) => {
      // Each of the k + 2 roundings is off by at most 2^-24 of what has been summed so far.
      const bound = (k + 3) * 2 ** -24 * magnitudes[i]! + 1e-37;
      const wrong = `${JSON.stringify({ ...o, relaxed })}: element ${i} is ${value}, not ${values[i]}`;
      assert.ok(Math.abs(value - values[i]!) <= bound, wrong);
    });
  }
}

const form = fc.record({ transposeA: fc.boolean(), transposeB: fc.boolean() });
const finish = fc.record({
  accumulate: fc.boolean(),
  bias: fc.boolean(),
  activation: fc.constantFrom("none" as const, "relu" as const, { negativeSlope: 0.125 }),
});
const ragged = fc.oneof(fc.constantFrom(1, 2, 3, 4, 5, 7, 8, 11, 13, 17, 31, 64), fc.integer({ min: 1, max: 70 }));

test("gemm agrees with sums in float64, in every form, on ragged sizes", () => {
  fc.assert(
    fc.property(ragged, ragged, ragged, form, finish, fc.nat(1000), (m, n, k, transposed, rest, seed) =>
      check({ m, n, k, ...transposed, ...rest }, seed),
    ),
    { numRuns: 100 },
  );
});

test("gemm: several blocks of rows, columns and inner index, and panels", () => {
  const sizes = [
    [131, 61, 300],
    [241, 50, 193],
    [3, 401, 129],
    [1, 530, 270],
    [2, 5, 2051],
    [122, 17, 1030],
  ];
  for (const [m, n, k] of sizes as [number, number, number][]) {
    for (const transposeA of [false, true]) {
      for (const transposeB of [false, true]) {
        check({ m, n, k, transposeA, transposeB }, 1);
        check({ m, n, k, transposeA, transposeB, accumulate: true, bias: true, activation: "relu" }, 2);
      }
    }
  }
});

test("gemm lets NaN and infinity through", () => {
  for (const [transposeA, transposeB] of [
    [false, false],
    [true, false],
    [false, true],
    [true, true],
  ] as const) {
    const bench = new Workbench();
    const words = {
      a: bench.input(Float32Array.of(NaN, 1, Infinity, 1)),
      b: bench.input(Float32Array.of(1, 1, 1, 1)),
      c: bench.output(new Float32Array(4)),
    };
    const plan = gemm({ m: 2, n: 2, k: 2, transposeA, transposeB, activation: "relu" });
    const got = [...bench.run(plan, words, "c", new Float32Array(4))];
    assert.deepEqual(
      got,
      transposeA ? [NaN, NaN, 2, 2].map((_, i) => (i < 2 ? NaN : 2)) : [NaN, NaN, Infinity, Infinity],
    );
  }
});

test("gemm refuses sizes that are not whole numbers from 1", () => {
  assert.throws(() => gemm({ m: 0, n: 1, k: 1 }), RangeError);
  assert.throws(() => gemm({ m: 1, n: 1.5, k: 1 }), RangeError);
});
