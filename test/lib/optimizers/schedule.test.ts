import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { constantRate, cosineRate, oneCycleRate, type Schedule, stepRate } from "../../../lib/optimizers/schedule.ts";
import { assertClose } from "../laws.ts";

const counts = fc.integer({ min: 1, max: 500 });
const rates = fc.integer({ min: 0, max: 1000 }).map((n) => n / 1000);

/** The rates of so many steps and of two after them. */
function rise(schedule: Schedule, steps: number): number[] {
  return Array.from({ length: steps + 2 }, (_, step) => schedule(step));
}

test("a constant rate is constant, and a stepped one drops after every so many steps", () => {
  assert.deepEqual(rise(constantRate(0.1), 2), [0.1, 0.1, 0.1, 0.1]);
  assert.deepEqual(rise(stepRate(8, { every: 2, factor: 0.5 }), 5), [8, 8, 4, 4, 2, 2, 1]);
  assert.deepEqual(rise(stepRate(8, { every: 1, factor: 0 }), 0), [8, 0]);
  assertClose(rise(stepRate(1, { every: 3 }), 4), [1, 1, 1, 0.1, 0.1, 0.1], 1e-15, "rate");
  assert.deepEqual([0, 10 ** 9].map(stepRate(1, { every: 10 ** 9, factor: 0.25 })), [1, 0.25]);
});

test("a cosine begins at its rate, is half way in the middle, and stays at its end", () => {
  fc.assert(
    fc.property(counts, rates, rates, (steps, rate, end) => {
      const all = rise(cosineRate(rate, { steps, end }), steps);
      assertClose([all[0]!, ...all.slice(steps)], [rate, end, end], 1e-12, "corner");
      assert.equal(all[steps], end, "the end is exact");
      if (steps % 2 === 0) assertClose([all[steps / 2]!], [(rate + end) / 2], 1e-12, "middle");
      all.slice(1).forEach((value, i) => {
        assert.ok(end <= rate ? value <= all[i]! + 1e-15 : value >= all[i]! - 1e-15, "it goes one way");
      });
      all.forEach((value, step) => {
        const share = Math.min(1, step / steps);
        assertClose([value], [end + ((rate - end) * (1 + Math.cos(Math.PI * share))) / 2], 1e-12, "formula");
      });
    }),
  );
});

test("one cycle rises from its first rate to the highest and falls to its end, wherever it turns", () => {
  fc.assert(
    fc.property(counts, fc.integer({ min: 0, max: 20 }), fc.constantFrom(0, 0.01), (steps, twentieths, end) => {
      const warm = twentieths / 20;
      const all = rise(oneCycleRate(1, { steps, warm, divisor: 10, end }), steps);
      const turn = warm * steps;
      assert.ok(all.every((value) => value >= Math.min(end, 0.1) - 1e-12 && value <= 1));
      assertClose([all[0]!], [warm === 0 ? 1 : 0.1], 1e-12, "first");
      assert.deepEqual(all.slice(steps), [end, end], "the end is exact");
      if (Number.isInteger(turn) && turn < steps) assertClose([all[turn]!], [1], 1e-12, "turn");
      all.slice(0, steps).forEach((value, step) => {
        const [from, to, share] = step < turn ? [0.1, 1, step / turn] : [1, end, (step - turn) / (steps - turn)];
        assertClose([value], [to + ((from - to) * (1 + Math.cos(Math.PI * share))) / 2], 1e-12, "formula");
      });
    }),
  );
  assert.deepEqual([0, 30, 100].map(oneCycleRate(25, { steps: 100 })).map(Math.round), [1, 25, 0]);
});

test("what makes no schedule is refused", () => {
  const cases: [() => unknown, string][] = [
    [() => constantRate(NaN), "constantRate: rate must be finite and not negative, got NaN"],
    [() => constantRate(-1), "constantRate: rate must be finite and not negative, got -1"],
    [() => stepRate(1, { every: 0 }), "stepRate: every must be a whole number from 1 up, got 0"],
    [() => stepRate(1, { every: 2.5 }), "stepRate: every must be a whole number from 1 up, got 2.5"],
    [() => stepRate(1, { every: 2, factor: NaN }), "stepRate: factor must be finite and not negative, got NaN"],
    [() => cosineRate(1, { steps: 0 }), "cosineRate: steps must be a whole number from 1 up, got 0"],
    [() => cosineRate(1, { steps: 5, end: -1 }), "cosineRate: end must be finite and not negative, got -1"],
    [() => oneCycleRate(1, { steps: 0 }), "oneCycleRate: steps must be a whole number from 1 up, got 0"],
    [() => oneCycleRate(1, { steps: 9, warm: 1.1 }), "oneCycleRate: warm must be from 0 to 1, got 1.1"],
    [() => oneCycleRate(1, { steps: 9, warm: NaN }), "oneCycleRate: warm must be from 0 to 1, got NaN"],
    [() => oneCycleRate(1, { steps: 9, divisor: 0 }), "oneCycleRate: divisor must be above 0, got 0"],
    [() => oneCycleRate(Infinity, { steps: 9 }), "oneCycleRate: rate must be finite and not negative, got Infinity"],
  ];
  for (const [make, message] of cases) assert.throws(make, { name: "RangeError", message });
});
