import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { codedBits } from "../../../codecs/levels.ts";
import type { LevelWeights } from "../../../codecs/levelWeights.ts";
import { nearestScale, scaleOf } from "../../../codecs/scale.ts";
import { refine, type RefineOptions } from "../../../codecs/squeeze/refine.ts";
import { fillNormal, seedKey } from "../../../lib/random.ts";

const shapes = [[12, 5], [5], [5, 3]];
const scale = nearestScale(0.5);

/** A loss with one lowest point: half the sum of squares of what weights are away from goals. */
function problem(seed: number): { coded: LevelWeights; judged: Pick<RefineOptions, "judge" | "slopes"> } {
  const goals = shapes.map((shape, block) => {
    const values = new Float32Array(shape.reduce((size, n) => size * n, 1));
    fillNormal(values, seedKey(seed), { stream: 201, block });
    return values;
  });
  const valueOf = (level: number): number => scaleOf(scale) * level;
  const judge = async (levels: readonly Int32Array[]): Promise<number> =>
    goals.reduce((sum, goal, t) => sum + goal.reduce((s, g, i) => s + (valueOf(levels[t]![i]!) - g) ** 2 / 2, 0), 0);
  const slopes = async (levels: readonly Int32Array[]) => ({
    gradients: goals.map((goal, t) => goal.map((g, i) => valueOf(levels[t]![i]!) - g)),
    curvatures: goals.map((goal) => goal.map(() => 1)),
  });
  const levels = goals.map((goal) => Int32Array.from(goal, (g) => Math.round(g / scaleOf(scale))));
  return {
    coded: { method: "levels", scales: new Uint8Array(shapes.length).fill(scale), levels },
    judged: { judge, slopes },
  };
}

test("refine: loss and price of bits together never rise, and levels stay what a file can hold", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: 1000 }), fc.integer({ min: 0, max: 40 }), async (seed, hundredths) => {
      const { coded, judged } = problem(seed);
      const price = hundredths / 100;
      const given = coded.levels.map((tensor) => tensor.slice());
      const found = await refine(coded, { shapes, price, ...judged, rounds: 2, trials: 10 });
      assert.deepEqual(coded.levels, given, "the input is left alone");
      const whole = async (levels: readonly Int32Array[]): Promise<number> =>
        (await judged.judge(levels)) + price * codedBits(shapes, levels);
      assert.ok((await whole(found.levels)) <= (await whole(coded.levels)) + 1e-9);
      for (const [t, level] of found.levels.entries()) {
        assert.equal(found.scales[t], level.some((one) => one !== 0) ? scale : 0);
      }
    }),
    { numRuns: 40 },
  );
});

test("refine: a higher price leaves fewer bits, and none for a price that nothing is worth", async () => {
  const { coded, judged } = problem(3);
  const bits = [];
  for (const price of [0.01, 0.1, 0.3]) {
    const { levels } = await refine(coded, { shapes, price, ...judged, rounds: 5, trials: 200 });
    bits.push(codedBits(shapes, levels));
  }
  assert.ok(bits[0]! > bits[1]! && bits[1]! > bits[2]!, bits.join(" "));
  const { levels, scales } = await refine(coded, { shapes, price: 100, ...judged, rounds: 10, trials: 200 });
  assert.ok(levels.every((tensor) => tensor.every((level) => level === 0)));
  assert.deepEqual(scales, new Uint8Array(3));
});

test("refine: where no bit is worth anything, rounding is as good as it gets", async () => {
  const { coded, judged } = problem(5);
  assert.deepEqual(await refine(coded, { shapes, price: 0, ...judged }), coded);
});

test("refine: levels take no more bits than they may, however much loss that costs", async () => {
  const { coded, judged } = problem(4);
  // Nothing but zeros, and bits for nothing: all of them would come back.
  const nothing = { ...coded, levels: coded.levels.map(({ length }) => new Int32Array(length)) };
  const bitsOf = async (most?: number): Promise<number> => {
    const found = await refine(nothing, { shapes, price: 0, most, ...judged, rounds: 5, trials: 200 });
    return codedBits(shapes, found.levels);
  };
  const free = await bitsOf();
  for (const share of [0.3, 0.6, 0.9]) {
    // Whole bytes count, and the last of them takes few bits or many.
    const bits = await bitsOf(share * free);
    assert.ok(bits <= share * free + 8 && bits > share * free - 24, `${bits} of ${share * free}`);
  }
  // Levels that take too many at first are let go, never made more.
  const given = codedBits(shapes, coded.levels);
  const { levels } = await refine(coded, { shapes, price: 0.05, most: 1, ...judged, rounds: 5, trials: 200 });
  assert.ok(codedBits(shapes, levels) < given);
});

test("refine: a price below 0 is a RangeError", async () => {
  const { coded, judged } = problem(5);
  await assert.rejects(refine(coded, { shapes, price: -1, ...judged }), /the price must be 0 or more, got -1/);
});
