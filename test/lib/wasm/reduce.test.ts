import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { groups, remaining } from "../../../lib/ops/sum.ts";
import { type Shape, sizeOf } from "../../../lib/shape.ts";
import { maxAxes, sumAxes } from "../../../lib/wasm/reduce.ts";
import { launch } from "./launching.ts";
import { numbers } from "./workbench.ts";

const axis = fc.oneof(fc.constantFrom(1, 2, 3, 4, 5, 7, 8, 16, 17), fc.integer({ min: 1, max: 40 }));
const reductions = fc
  .array(fc.tuple(axis, fc.boolean()), { maxLength: 4 })
  .filter((axes) => axes.reduce((size, [n]) => size * n, 1) <= 20000)
  .map((axes) => ({
    shape: axes.map(([size]) => size),
    axes: axes.flatMap(([, reduced], i) => (reduced ? [i] : [])),
  }));

/** The error of float64 sums is far below the last place of a float: the result is half a unit of that away at most. */
function checkSum(shape: Shape, axes: readonly number[], x: Float32Array): void {
  const to = new Float32Array(sizeOf(remaining(shape, axes)));
  const right = new Float64Array(to.length);
  const magnitudes = new Float64Array(to.length);
  let i = 0;
  for (const group of groups(shape, axes)) {
    right[group]! += x[i]!;
    magnitudes[group]! += Math.abs(x[i++]!);
  }
  const [got] = launch(sumAxes, { attributes: { axes }, inputs: [[shape, x]], outputs: [[[to.length], to]] });
  got!.forEach((value, group) => {
    const error = Math.abs(value - right[group]!);
    const most = Math.abs(right[group]!) * 2 ** -24 * (1 + 1e-6) + magnitudes[group]! * 2 ** -40;
    assert.ok(error <= most, `[${shape}] over [${axes}]: ${group} is ${value}, not ${right[group]}`);
  });
}

test("sums over any axes are the float64 sum, rounded once", () => {
  fc.assert(
    fc.property(reductions, fc.nat(100), ({ shape, axes }, seed) =>
      checkSum(shape, axes, numbers(sizeOf(shape), seed)),
    ),
    { numRuns: 200 },
  );
});

test("long sums in pieces, and many of them in tiles", () => {
  const cases: readonly [Shape, readonly number[]][] = [
    [[300_007], [0]],
    [[3, 70_001], [1]],
    [[20_011, 7], [0]],
    [[2011, 3, 17], [0]],
    [[31, 5, 1201], [0, 2]],
    [[5003, 11], [1]],
    [[9, 4099], [0]],
    [[4, 3, 70_001], [0, 2]],
  ];
  for (const [shape, axes] of cases) checkSum(shape, axes, numbers(sizeOf(shape), 1));
});

test("sums keep small terms beside large ones", () => {
  // In float32 every one of the small terms would be lost.
  const x = new Float32Array(10_001).fill(1);
  x[5000] = 2 ** 26;
  checkSum([10_001], [0], x);
  checkSum([10_001, 1], [0], x);
});

function checkMax(shape: Shape, axes: readonly number[], x: Float32Array): void {
  const size = sizeOf(remaining(shape, axes));
  const right = new Float32Array(size);
  const places = new Int32Array(size).fill(-1);
  let i = 0;
  for (const group of groups(shape, axes)) {
    const wins = places[group] === -1 || x[i]! > right[group]! || (Number.isNaN(x[i]!) && !Number.isNaN(right[group]!));
    if (wins) {
      right[group] = x[i]!;
      places[group] = i;
    }
    i += 1;
  }
  const outputs = [[[size], new Float32Array(size)], [[size], new Int32Array(size)]] as const;
  assert.deepEqual(launch(maxAxes, { attributes: { axes }, inputs: [[shape, x]], outputs }), [right, places]);
}

test("maxima over any axes: the first of equals, the first NaN, and where it stands", () => {
  const awkward = fc.constantFrom(0, -0, NaN, -Infinity, Infinity, 1, 2);
  fc.assert(
    fc.property(reductions, fc.nat(100), fc.array(awkward, { maxLength: 6 }), ({ shape, axes }, seed, some) => {
      const x = numbers(sizeOf(shape), seed);
      if (some.length > 0) for (let i = seed % 3; i < x.length; i += 1 + (seed % 4)) x[i] = some[i % some.length]!;
      checkMax(shape, axes, x);
    }),
    { numRuns: 150 },
  );
  checkMax([31, 5, 1201], [0, 2], numbers(31 * 5 * 1201, 3));
  checkMax([2003, 37], [0], numbers(2003 * 37, 4));
  checkMax([2003, 37], [1], numbers(2003 * 37, 5));
});
