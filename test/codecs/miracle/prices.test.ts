import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Prices } from "../../../codecs/miracle/prices.ts";

const divergences = fc.array(fc.integer({ min: 0, max: 400 }).map((n) => n / 20), { minLength: 2, maxLength: 8 });
const rules = fc.constantFrom("proportional" as const, "sign" as const);
const target = 5;

test("prices: they rise above the budget and fall below, and those of coded blocks are held", () => {
  fc.assert(
    fc.property(divergences, rules, fc.nat({ max: 8 }), (list, rule, done) => {
      const coded = Math.min(done, list.length);
      const prices = new Prices(list.length, { start: 1e-3, rate: 0.01, rule });
      const before = prices.values(0);
      prices.adapt(list, { target, steps: 10, coded, shared: false });
      const after = prices.values(0);
      for (const [b, divergence] of list.entries()) {
        const change = Math.log(after[b]! / before[b]!);
        const excess = divergence / target - 1;
        const share = rule === "sign" ? (excess > 0 ? 1 : -1) : Math.max(-1, Math.min(1, 2 * excess));
        assert.ok(Math.abs(change - (b < coded ? 0 : 10 * 0.01 * share)) < 1e-12, `block ${b}: ${change}`);
        if (b >= coded && excess !== 0) assert.equal(change > 0, excess > 0);
      }
      const values = prices.values(coded);
      assert.ok(values.every((value, b) => (b < coded ? value === 0 : value === after[b])));
    }),
  );
});

test("prices: a shared one follows the mean of the blocks that are not coded", () => {
  fc.assert(
    fc.property(divergences, rules, (list, rule) => {
      const coded = 1;
      const rest = list.slice(coded);
      const mean = rest.reduce((sum, value) => sum + value, 0) / rest.length;
      const shared = new Prices(list.length, { rule });
      shared.adapt(list, { target, steps: 3, coded, shared: true });
      const alone = new Prices(1, { rule });
      alone.adapt([mean], { target, steps: 3, coded: 0, shared: false });
      assert.ok(shared.logs.subarray(coded).every((value) => value === alone.logs[0]));
      assert.equal(shared.logs[0], new Prices(1).logs[0]);
    }),
  );
});

test("prices: options that make no sense", () => {
  assert.throws(() => new Prices(3, { start: 0 }), /first price must be above 0, got 0/);
  assert.throws(() => new Prices(3, { start: Infinity }), RangeError);
  assert.throws(() => new Prices(3, { rate: 1 }), /rate of prices must be from 0 to 1, got 1/);
});

test("prices: blocks that are cut anew share the mean price", () => {
  const prices = new Prices(2, { start: 1e-3, rate: 0.01 });
  prices.adapt([4 * target, target / 4], { target, steps: 10, coded: 0, shared: false });
  const [high, low] = prices.values(0);
  assert.ok(high! > 1e-3 && low! < 1e-3);
  prices.share(3);
  const shared = prices.values(0);
  assert.equal(shared.length, 3);
  for (const value of shared) assert.ok(Math.abs(value / Math.sqrt(high! * low!) - 1) < 1e-12, `${value}`);
});
