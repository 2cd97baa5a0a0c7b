import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { classesOf } from "../../../codecs/lump/classes.ts";
import type { Factors } from "../../../codecs/lump/stage.ts";

/** The first row before row `r` that it is a multiple of, by comparing them all: what hashing must find. */
function leaderOf(rows: readonly (readonly number[])[], r: number, { free, negative }: Factors): number {
  const isMultiple = (of: readonly number[], row: readonly number[]): boolean => {
    const at = of.findIndex((value) => value !== 0);
    // Whole numbers: products are exact, where quotients would not be.
    const [above, below] = [row[at]!, of[at]!];
    if (!row.every((value, i) => value * below === of[i]! * above)) return false;
    if (above === 0 || (above * below < 0 && !negative)) return false;
    return free || Math.abs(above) === Math.abs(below);
  };
  const isZero = (row: readonly number[]): boolean => row.every((value) => value === 0);
  if (isZero(rows[r]!)) return r;
  const found = rows.findIndex((row, i) => i < r && !isZero(row) && isMultiple(row, rows[r]!));
  return found === -1 ? r : found;
}

const allowed: fc.Arbitrary<Factors> = fc.record({ free: fc.boolean(), negative: fc.boolean() });
// Few inputs and few values: many rows of one kind, as in quantized networks.
const ternary = (length: number) => fc.array(fc.constantFrom(-1, 0, 0, 1), { minLength: length, maxLength: length });
const few = (length: number) => fc.array(fc.integer({ min: -4, max: 4 }), { minLength: length, maxLength: length });
const manyRows = fc
  .tuple(fc.integer({ min: 1, max: 5 }), fc.boolean())
  .chain(([length, isTernary]) =>
    fc.array(isTernary ? ternary(length) : few(length), { minLength: 20, maxLength: 60 }),
  );

test("classes: hashing finds what comparing all pairs finds, in rows of few values", () => {
  let merged = 0;
  fc.assert(
    fc.property(manyRows, allowed, (rows, factors) => {
      const [count, length] = [rows.length, rows[0]!.length];
      const values = Float64Array.from(rows.flat());
      const found = classesOf({ count, length, values, slack: new Float64Array(values.length) }, 0, factors);
      const leaders = rows.map((_, r) => leaderOf(rows, r, factors));
      assert.deepEqual([...found.leaders], leaders);
      for (const [r, leader] of leaders.entries()) {
        if (leader !== r) merged += 1;
        rows[r]!.forEach((value, i) => {
          assert.ok(Math.abs(value - found.factors[r]! * rows[leader]![i]!) < 1e-12, `row ${r} of ${leader}`);
        });
      }
    }),
    { numRuns: 300 },
  );
  assert.ok(merged > 1000, `${merged} rows merged: too few to say anything`);
});
