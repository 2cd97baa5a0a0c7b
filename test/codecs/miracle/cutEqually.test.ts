import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cutEqually } from "../../../codecs/miracle/cutEqually.ts";
import { largestBlock } from "../../../codecs/randomCode.ts";

const total = (list: ArrayLike<number>): number => Array.from(list).reduce((sum, value) => sum + value, 0);

/** KL of each block. */
function divergencesOf(order: Uint32Array, each: readonly number[], sizes: Uint16Array): number[] {
  let at = 0;
  return Array.from(sizes, (size) => total(Array.from(order.subarray(at, (at += size)), (s) => each[s]!)));
}

const scalars = fc
  .array(fc.integer({ min: 0, max: 100 }).map((n) => n / 100), { minLength: 1, maxLength: 120, size: "max" })
  .chain((each) =>
    fc.record({
      each: fc.constant(each),
      order: fc
        .shuffledSubarray(each.map((_, s) => s), { minLength: each.length })
        .map((list) => Uint32Array.from(list)),
      blocks: fc.integer({ min: 1, max: each.length }),
    }),
  );

test("cutEqually: every scalar is in a block, and no block is empty", () => {
  fc.assert(
    fc.property(scalars, ({ each, order, blocks }) => {
      const sizes = cutEqually(order, each, blocks);
      assert.equal(sizes.length, blocks);
      assert.equal(total(sizes), each.length);
      assert.ok(sizes.every((size) => size >= 1 && size <= largestBlock));
    }),
  );
});

test("cutEqually: where blocks are large beside scalars, each has its share, give or take a scalar", () => {
  fc.assert(
    fc.property(scalars, ({ each, order, blocks: many }) => {
      const positive = each.map((value) => value + 0.5);
      const blocks = Math.max(1, Math.floor(many / 8));
      const found = divergencesOf(order, positive, cutEqually(order, positive, blocks));
      const share = total(positive) / blocks;
      const most = Math.max(...positive);
      for (const value of found) assert.ok(Math.abs(value - share) <= most + 1e-9, `${found.join()}, not ${share}`);
    }),
  );
});

test("cutEqually: blocks hold no more than the format allows", () => {
  const count = 2 * largestBlock;
  const order = Uint32Array.from({ length: count }, (_, s) => s);
  // All KL is in the first scalar; two blocks are the fewest, and so both must be full.
  const each = new Float64Array(count);
  each[0] = 1;
  assert.deepEqual([...cutEqually(order, each, 2)], [largestBlock, largestBlock]);
  assert.deepEqual([...cutEqually(order, each, 3)].reduce((sum, size) => sum + size, 0), count);
});
