import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { add, multiply } from "../../../lib/ops/arithmetic.ts";
import { quadraticOfNormals } from "../../../lib/ops/quadraticOfNormals.ts";
import { sum } from "../../../lib/ops/sum.ts";
import { seedKey, STREAMS } from "../../../lib/random.ts";
import { assertForms, evaluated, type Forms, forms, tableOf } from "../quadraticForms.ts";
import { devices, exactRuntime, runtimeOf } from "../runtimes.ts";

const small = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }));
/** More than a tile of rows, and rows longer than one. */
const large = fc.constantFrom<[number, number]>([2048, 30], [1501, 31], [2, 20_001], [20_001, 1]);

for (const device of devices) {
  test(`quadraticOfNormals on ${device.name}: a table of draws and a float64 sum, but for rounding`, async () => {
    const runtime = await runtimeOf(device);
    const holds = (given: Forms): Promise<void> => assertForms(runtime, given, "float64");
    await fc.assert(fc.asyncProperty(forms(small), holds), { numRuns: 100 });
    await fc.assert(fc.asyncProperty(forms(large), holds), { numRuns: 8 });
  });
}

for (const device of devices.filter(({ name }) => name.startsWith("wasm"))) {
  // Files that were made with those operations are made again, byte for byte.
  test(`quadraticOfNormals on ${device.name}: the bits of operations on a table`, async () => {
    const runtime = await runtimeOf(device);
    const same = async (given: Forms): Promise<void> => {
      const { rows, a, b } = given;
      const table = runtime.step(() => {
        const z = runtime.tensor(tableOf(given), [rows, a.length]);
        const slope = multiply(runtime.tensor(Float32Array.from(a)), z);
        return sum(multiply(z, add(slope, runtime.tensor(Float32Array.from(b)))), { axes: [1] });
      });
      assert.deepEqual(await evaluated(runtime, given), await table.read());
    };
    await fc.assert(fc.asyncProperty(forms(small), same), { numRuns: 100 });
    await fc.assert(fc.asyncProperty(forms(large), same), { numRuns: 8 });
  });
}

test("quadraticOfNormals: check values", async () => {
  const runtime = exactRuntime();
  const from = { key: seedKey(1), stream: STREAMS.candidates, block: 2, start: 3 };
  const y = await quadraticOfNormals(runtime.tensor([1, -0.5, 0.25]), runtime.tensor([2, 0, -1]), 4, from).read();
  assert.deepEqual([...y], [-1.7929476608212207, 1.6735110172195373, -1.1795970342881894, 0.2944236635032116]);
});

test("quadraticOfNormals: refuses shapes that do not meet, and draws that do not exist", () => {
  const runtime = exactRuntime();
  const from = { key: seedKey(1), stream: 6, block: 0 };
  const [two, three] = [runtime.tensor([1, 2]), runtime.tensor([1, 2, 3])];
  const refused = /^quadraticOfNormals: a and b must be rows of one length, got \[2\] · \[3\]$/;
  assert.throws(() => quadraticOfNormals(two, three, 4, from), { name: "ShapeError", message: refused });
  const flat = runtime.tensor([1, 2], [1, 2]);
  assert.throws(() => quadraticOfNormals(flat, flat, 4, from), { name: "ShapeError" });
  assert.throws(() => quadraticOfNormals(runtime.tensor(Int32Array.of(1, 2)), two, 4, from), { name: "ShapeError" });
  for (const rows of [0, 1.5]) assert.throws(() => quadraticOfNormals(two, two, rows, from), { name: "ShapeError" });
  for (const other of [{ start: 2 ** 33 - 7 }, { start: -1 }, { start: 0.5 }, { stream: 255 }, { block: 2 ** 24 }]) {
    assert.throws(() => quadraticOfNormals(two, two, 4, { ...from, ...other }), RangeError, JSON.stringify(other));
  }
  quadraticOfNormals(two, two, 4, { ...from, start: 2 ** 33 - 8 });
});
