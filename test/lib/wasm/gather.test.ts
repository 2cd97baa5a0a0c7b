import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { sizeOf } from "../../../lib/shape.ts";
import { gatherRows, scatterRows } from "../../../lib/wasm/gather.ts";
import { launch } from "./launching.ts";
import { numbers } from "./workbench.ts";

const row = fc.array(fc.constantFrom(1, 2, 3, 4, 5, 7, 33), { maxLength: 2 });
const shape = fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 2 });
const picks = fc.tuple(fc.integer({ min: 1, max: 20 }), shape, row, fc.nat(1000));

function indicesOf(count: number, size: number, seed: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => (Math.imul(i + 1, 2654435761 + seed) >>> 8) % size);
}

function checkGather(size: number, shape: readonly number[], rest: readonly number[], seed: number): void {
  const width = sizeOf(rest);
  const indices = indicesOf(sizeOf(shape), size, seed);
  const table = numbers(size * width, seed);
  const place = (i: number): number => indices[Math.floor(i / width)]! * width + (i % width);
  const right = Float32Array.from({ length: indices.length * width }, (_, i) => table[place(i)]!);
  for (const values of [table, new Int32Array(table.buffer)]) {
    const like = values instanceof Int32Array ? new Int32Array(right.length) : new Float32Array(right.length);
    const [got] = launch(gatherRows, {
      attributes: {},
      inputs: [[[size, ...rest], values], [shape, indices]],
      outputs: [[[...shape, ...rest], like]],
    });
    assert.deepEqual(new Uint8Array(got!.buffer), new Uint8Array(right.buffer));
  }
}

test("gather copies the rows that indices name, floats and ints alike", () => {
  fc.assert(fc.property(picks, ([size, shape, rest, seed]) => checkGather(size, shape, rest, seed)), { numRuns: 80 });
  checkGather(300, [40_001], [], 1);
  checkGather(50, [701], [301], 2);
});

function checkScatter(size: number, shape: readonly number[], rest: readonly number[], seed: number): void {
  const width = sizeOf(rest);
  const indices = indicesOf(sizeOf(shape), size, seed);
  const updates = numbers(indices.length * width, seed);
  const right = new Float64Array(size * width);
  updates.forEach((value, i) => (right[indices[Math.floor(i / width)]! * width + (i % width)]! += value));
  const [got] = launch(scatterRows, {
    attributes: { size },
    inputs: [[[...shape, ...rest], updates], [shape, indices]],
    outputs: [[[size, ...rest], new Float32Array(right.length)]],
  });
  got!.forEach((value, i) => {
    const most = Math.abs(right[i]!) * 2 ** -24 * (1 + 1e-6) + 1e-10;
    assert.ok(Math.abs(value - right[i]!) <= most, `sum ${i} is ${value}, not ${right[i]}`);
  });
}

test("scatter-add gives the float64 sum of each row, rounded once; rows nobody names are zero", () => {
  fc.assert(fc.property(picks, ([size, shape, rest, seed]) => checkScatter(size, shape, rest, seed)), { numRuns: 80 });
  checkScatter(300, [100_003], [], 1);
  checkScatter(1, [70_001], [], 2);
  checkScatter(50, [1701], [301], 3);
  checkScatter(40_001, [500], [], 4);
});

test("an index outside the table is refused by name", () => {
  for (const index of [-1, 4, 2 ** 31 - 1, -(2 ** 31)]) {
    const indices = [[3], Int32Array.of(0, index, 3)] as const;
    const message = (name: string): RangeError => new RangeError(`${name}: index ${index} is outside 0 to 3`);
    for (const rest of [[], [5]]) {
      const width = sizeOf(rest);
      const table = [[4, ...rest], numbers(4 * width, 1)] as const;
      const updates = [[3, ...rest], numbers(3 * width, 1)] as const;
      const gather = { attributes: {}, inputs: [table, indices], outputs: [updates] };
      const scatter = { attributes: { size: 4 }, inputs: [updates, indices], outputs: [table] };
      assert.throws(() => launch(gatherRows, gather), message("gather"));
      assert.throws(() => launch(scatterRows, scatter), message("scatterAdd"));
    }
  }
});
