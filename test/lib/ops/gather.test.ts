import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { gather, scatterAdd } from "../../../lib/ops/gather.ts";
import { sizeOf } from "../../../lib/shape.ts";
import { dim, gridNumber, list, shapes } from "../arbitraries.ts";
import { at, fill, opLaws } from "../laws.ts";
import { devices, runtimeOf } from "../runtimes.ts";

opLaws(
  gather,
  fc.tuple(dim, shapes({ maxRank: 2 }), shapes({ maxRank: 2 })).map(([size, row, picked]) => [[size, ...row], picked]),
  {
    ints: [1],
    anyType: [0],
    values: (size, index, [table]) => list(index === 1 ? fc.nat(table![0]! - 1) : gridNumber, size),
    plain: ([table, picked]) => {
      const depth = picked!.shape.length;
      return fill([...picked!.shape, ...table!.shape.slice(1)], (index) =>
        at(table!, [at(picked!, index.slice(0, depth)), ...index.slice(depth)]),
      );
    },
    sums: true,
    tolerance: 4e-6,
    large: [[[16], [500, 61]], [[300, 7], [1000]]],
    refused: [[[[], [2]], /the table needs an axis to look up in, got \[\]$/]],
  },
);

opLaws(
  scatterAdd,
  fc
    .tuple(dim, shapes({ maxRank: 2 }), shapes({ maxRank: 2 }))
    .map(([settings, row, named]) => ({ shapes: [[...named, ...row], named], settings })),
  {
    ints: [1],
    values: (size, index, _, rows: number) => list(index === 1 ? fc.nat(rows - 1) : gridNumber, size),
    plain: ([updates, named], size: number) => {
      const row = sizeOf(updates!.shape) / sizeOf(named!.shape);
      const sums = new Float64Array(size * row);
      for (let i = 0; i < updates!.values.length; i++) {
        sums[named!.values[Math.floor(i / row)]! * row + (i % row)]! += updates!.values[i]!;
      }
      return { shape: [size, ...updates!.shape.slice(named!.shape.length)], values: sums };
    },
    sums: true,
    tolerance: 4e-6,
    refused: [
      [{ shapes: [[2, 3], [3]], settings: 4 }, /must begin with the shape of the indices, got \[2, 3\] and \[3\]$/],
      [{ shapes: [[2], [2, 1]], settings: 4 }, /got \[2\] and \[2, 1\]$/],
    ],
  },
);

for (const device of devices) {
  test(`gather and scatterAdd on ${device.name}: an index outside is a RangeError`, async () => {
    const runtime = await runtimeOf(device);
    const table = runtime.tensor([1, 2, 3]);
    for (const index of [-1, 3, 2 ** 31 - 1]) {
      const message = new RegExp(`index ${index} is outside 0 to 2$`);
      assert.throws(() => gather(table, runtime.tensor(Int32Array.of(0, index))), { name: "RangeError", message });
      assert.throws(() => runtime.step(() => scatterAdd(table, runtime.tensor(Int32Array.of(0, 1, index)), 3)), {
        name: "RangeError",
        message,
      });
    }
    assert.throws(() => scatterAdd(table, runtime.tensor(Int32Array.of(0, 1, 2)), 0), RangeError);
    // And the runtime goes on.
    assert.deepEqual([...(await gather(table, runtime.tensor(Int32Array.of(2, 2, 0))).read())], [3, 3, 1]);
  });
}
