import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import * as ops from "../../../lib/ops/update.ts";
import { hasRelaxedSimd } from "../../../lib/wasm/kernel.ts";
import { adamUpdate, copyInto, sgdUpdate } from "../../../lib/wasm/update.ts";
import { launch, type Values } from "./launching.ts";
import { numbers } from "./workbench.ts";

const times = fc.integer({ min: 1, max: 2000 });
const counts = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(16_383, 16_384, 33_001));

/** Parameter, gradient and moments, and a mask with a third of zeros. */
function arrays(count: number, moments: number, masked: boolean, seed: number): Float32Array[] {
  const list = Array.from({ length: 2 + moments }, (_, i) => numbers(count, seed + i));
  // The second moment of Adam is not negative.
  if (moments === 2) list[3] = list[3]!.map(Math.abs);
  if (masked) list.push(Float32Array.from({ length: count }, (_, i) => Number((i + seed) % 3 !== 0)));
  return list;
}

function near(got: Values, right: Float64Array | undefined, most: number): void {
  got.forEach((value, i) => {
    const wrong = `${i} is ${value}, not ${right![i]}`;
    assert.ok(Math.abs(value - right![i]!) <= most * (1 + Math.abs(right![i]!)), wrong);
  });
}

for (const relaxed of hasRelaxedSimd() ? [false, true] : [false]) {
  const name = relaxed ? " with relaxed SIMD" : "";

  test(`SGD agrees with float64${name}`, () => {
    fc.assert(
      fc.property(counts, fc.boolean(), fc.boolean(), fc.nat(100), (count, masked, nesterov, seed) => {
        const given = arrays(count, 1, masked, seed);
        const scalars = [0.1 + seed / 1000, seed % 2 ? 0.9 : 0, seed % 3 ? 0.0005 : 0];
        const call = {
          attributes: { masked, nesterov },
          inputs: given.map((values) => [[count], values] as const),
          outputs: [],
          overwrites: [0, 2],
          scalars,
          relaxed,
        };
        const exact = given.map((values) => Float64Array.from(values));
        const specs = given.map(() => ({ shape: [count], type: "float" as const }));
        const { attributes } = call;
        ops.sgdUpdate.reference({ attributes, inputs: specs, outputs: [], scalars, words: [] }, exact, []);
        const [w, v] = launch(sgdUpdate, call);
        near(w!, exact[0], 1e-6);
        near(v!, exact[2], 1e-6);
      }),
      { numRuns: 30 },
    );
  });

  test(`Adam and AdamW agree with float64${name}`, () => {
    fc.assert(
      fc.property(counts, fc.boolean(), fc.boolean(), times, (count, masked, decoupled, t) => {
        const given = arrays(count, 2, masked, t);
        const scalars = [0.01, 0.9, 0.999, 1e-8, t % 2 ? 0.01 : 0, 1 - 0.9 ** t, 1 - 0.999 ** t];
        const call = {
          attributes: { masked, decoupled },
          inputs: given.map((values) => [[count], values] as const),
          outputs: [],
          overwrites: [0, 2, 3],
          scalars,
          relaxed,
        };
        const exact = given.map((values) => Float64Array.from(values));
        const specs = given.map(() => ({ shape: [count], type: "float" as const }));
        const { attributes } = call;
        ops.adamUpdate.reference({ attributes, inputs: specs, outputs: [], scalars, words: [] }, exact, []);
        const [w, m, v] = launch(adamUpdate, call);
        near(w!, exact[0], 2e-6);
        near(m!, exact[2], 1e-6);
        near(v!, exact[3], 1e-6);
      }),
      { numRuns: 30 },
    );
  });
}

test("where the mask is zero, even NaN becomes zero", () => {
  const list = [numbers(5, 1), Float32Array.of(NaN, 1, Infinity, 1, NaN), numbers(5, 2), numbers(5, 3).map(Math.abs)];
  const mask = Float32Array.of(0, 1, 0, 1, 0);
  const call = {
    attributes: { masked: true, decoupled: false },
    inputs: [...list, mask].map((values) => [[5], values] as const),
    outputs: [],
    overwrites: [0, 2, 3],
    scalars: [0.01, 0.9, 0.999, 1e-8, 0, 0.1, 0.001],
  };
  for (const changed of launch(adamUpdate, call)) {
    assert.deepEqual([...changed].map((value, i) => (mask[i] === 0 ? value : 0)), [0, 0, 0, 0, 0]);
    assert.ok([...changed].every((value) => Number.isFinite(value)));
  }
});

test("a variable is overwritten whole", () => {
  for (const count of [1, 7, 65_536, 65_537, 140_001]) {
    const from = numbers(count, 2);
    const call = {
      attributes: {},
      inputs: [[[count], numbers(count, 1)], [[count], from]] as const,
      outputs: [],
      overwrites: [0],
    };
    assert.deepEqual(launch(copyInto, call), [from]);
  }
});
