import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  applyMasks,
  countKept,
  markPruned,
  type Masks,
  masksOf,
  prune,
  type PruneRule,
  pruneTogether,
  readPruned,
} from "../../codecs/prune.ts";
import { rulesAt, shareAt } from "../../codecs/prune/schedule.ts";
import type { Weights } from "../../lib/weights.ts";
import { smallWeights } from "./arbitraries.ts";

const one = (...values: number[]): Weights => [
  { name: "fc1.weight", shape: [values.length], values: Float32Array.from(values) },
];
const kept = (weights: Weights, ...rest: Parameters<typeof prune> extends [Weights, ...infer Rest] ? Rest : never) =>
  prune(weights, ...rest).map(({ values }) => [...values].join(""));
const share = fc.nat(20).map((n) => n / 20);

test("a share keeps exactly so many weights, none smaller than any that goes", () => {
  fc.assert(
    fc.property(smallWeights, share, (weights, share) => {
      const before = structuredClone(weights);
      const masks = prune(weights, { share });
      assert.deepEqual(weights, before, "the input is left alone");
      for (const [i, { values }] of weights.entries()) {
        const mask = masks[i]!.values;
        const isBias = weights[i]!.name.endsWith(".bias");
        assert.equal(countKept([masks[i]!]), isBias ? values.length : Math.round(share * values.length));
        const stays = [...values.keys()].filter((at) => mask[at] === 1);
        const goes = [...values.keys()].filter((at) => mask[at] === 0);
        for (const a of stays) {
          for (const b of goes) {
            const [x, y] = [Math.abs(values[a]!), Math.abs(values[b]!)];
            assert.ok(x > y || (x === y && a < b), `${x} at ${a} stays, ${y} at ${b} goes`);
          }
        }
      }
    }),
  );
});

test("a common share takes the largest of all matrices together", () => {
  fc.assert(
    fc.property(smallWeights, share, (weights, share) => {
      const masks = pruneTogether(weights, share);
      assert.equal(countKept(masks), 2 + Math.round(share * 26));
      const joined = one(...weights[0]!.values, ...weights[2]!.values);
      assert.equal(kept(joined, { share })[0], [...masks[0]!.values, ...masks[2]!.values].join(""));
    }),
  );
});

test("pruning twice is the same as once, and masks only shrink", () => {
  const rule = fc.oneof(
    share.map((share) => ({ share })),
    fc.nat(30).map((n) => ({ threshold: n / 10 })),
    fc.nat(30).map((n) => ({ deviations: n / 10 })),
  );
  fc.assert(
    fc.property(smallWeights, rule, rule, (weights, first, second) => {
      const masks = prune(weights, first);
      const pruned = applyMasks(weights, masks);
      assert.deepEqual(applyMasks(pruned, masks), pruned);
      if (!("deviations" in first)) assert.deepEqual(prune(pruned, first, { masks }), masks);
      const fewer = prune(weights, second, { masks });
      for (const [i, mask] of fewer.entries()) {
        assert.ok(mask.values.every((value, at) => value <= masks[i]!.values[at]!));
      }
    }),
  );
});

test("thresholds compare magnitudes, and deviations are the population's", () => {
  assert.deepEqual(kept(one(-3, 1, -1, 0.5, 0), { threshold: 1 }), ["11100"]);
  assert.deepEqual(kept(one(-3, 1, -1, 0.5, 0), { threshold: 0 }), ["11111"]);
  // Mean 0, deviation sqrt((4 + 4 + 1 + 1) / 4) = 1.5811.
  assert.deepEqual(kept(one(2, -2, 1, -1), { deviations: 1 }), ["1100"]);
  assert.deepEqual(kept(one(2, -2, 1, -1), { deviations: 1.3 }), ["0000"]);
  // What is pruned already does not count: the deviation of 1 and -1 alone is 1.
  const masks = [{ name: "fc1.weight", shape: [4], values: Uint8Array.of(0, 0, 1, 1) }];
  assert.deepEqual(kept(one(2, -2, 1, -1), { deviations: 1 }, { masks }), ["0011"]);
});

const anyRule = fc.oneof(
  share.map((share): PruneRule => ({ share })),
  fc.nat(30).map((n): PruneRule => ({ threshold: n / 10 })),
  fc.nat(30).map((n): PruneRule => ({ deviations: n / 10 })),
  fc.nat(30).map((n): PruneRule => ({ unitDeviations: n / 10 })),
);

test("rounds end where one round ends, whatever the rule, and each takes no less than the one before", () => {
  fc.assert(
    fc.property(smallWeights, anyRule, fc.integer({ min: 1, max: 5 }), (weights, rule, rounds) => {
      const rules = { [weights[0]!.name]: rule, [weights[2]!.name]: rule };
      const measured = { weights };
      let left = weights;
      let masks: Masks | undefined;
      let before = countKept(prune(weights, {}));
      for (let round = 1; round <= rounds; round++) {
        masks = prune(left, rulesAt(rules, round / rounds), { masks, measured });
        // Training that changes nothing but what is pruned.
        left = applyMasks(left, masks);
        assert.ok(countKept(masks) <= before);
        before = countKept(masks);
      }
      assert.deepEqual(masks, prune(weights, rules));
    }),
  );
});

test("the ramp is steep at first: a part of (1 - way)^3 is left to do", () => {
  assert.equal(shareAt(0.2, 0), 1);
  assert.equal(shareAt(0.2, 0.5), 0.2 + 0.8 / 8);
  assert.equal(shareAt(0.2, 1), 0.2);
  const rules = { a: { threshold: 8 }, b: { deviations: 16 }, c: { unitDeviations: 24 }, d: { share: 0.2 } };
  assert.deepEqual(rulesAt(rules, 0), {
    ...{ a: { threshold: 0 }, b: { deviations: 0 }, c: { unitDeviations: 0 }, d: { share: 1 } },
  });
  assert.deepEqual(rulesAt(rules, 0.5), {
    ...{ a: { threshold: 7 }, b: { deviations: 14 }, c: { unitDeviations: 21 }, d: { share: 0.2 + 0.8 / 8 } },
  });
  assert.deepEqual(rulesAt(rules, 1), rules);
  for (const way of [-0.1, 1.1, NaN]) assert.throws(() => rulesAt(rules, way), /the way must be from 0 to 1/);
});

test("deviations can be those of other weights: the ones before the first round", () => {
  const measured = { weights: one(2, -2, 1, -1) };
  // The deviation is 1.5811 there, and 2 among what is left.
  const masks = [{ name: "fc1.weight", shape: [4], values: Uint8Array.of(1, 1, 0, 0) }];
  assert.deepEqual(kept(one(2, -2, 0, 0), { deviations: 1.1 }, { masks, measured }), ["1100"]);
  assert.deepEqual(kept(one(2, -2, 0, 0), { deviations: 1.1 }, { masks }), ["0000"]);
  assert.throws(() => prune(one(1), { deviations: 1 }, { measured }), /the masks belong to other weights/);
  const bad = { weights: one(1, NaN) };
  assert.throws(() => prune(one(1, 2), { deviations: 1 }, { measured: bad }), /fc1\.weight holds NaN at index 1/);
});

test("the deviation of a unit is that of its own weights, in convolutions too", () => {
  // Two units, side by side: 2 -2 1 -1 with deviation 1.58, and ten times that.
  const values = [2, 20, -2, -20, 1, 10, -1, -10];
  const weights = (shape: number[]): Weights => [{ name: "a.weight", shape, values: Float32Array.from(values) }];
  for (const shape of [
    [4, 2],
    [2, 1, 2, 2],
  ]) {
    assert.deepEqual(kept(weights(shape), { unitDeviations: 1 }), ["11110000"]);
    assert.deepEqual(kept(weights(shape), { deviations: 1 }), ["01010000"]);
  }
  fc.assert(
    fc.property(smallWeights, fc.nat(30), (weights, n) => {
      const masks = prune(weights, { unitDeviations: n / 10 });
      for (const [i, { name, shape, values }] of weights.entries()) {
        if (name.endsWith(".bias")) continue;
        const units = shape.at(-1)!;
        for (let unit = 0; unit < units; unit++) {
          const own = (_: number, at: number): boolean => at % units === unit;
          const [alone] = kept(one(...values.filter(own)), { deviations: n / 10 });
          assert.equal([...masks[i]!.values.filter(own)].join(""), alone);
        }
      }
    }),
  );
});

test("NaN is read as pruned, and what is pruned can be written as NaN", () => {
  fc.assert(
    fc.property(smallWeights, share, (weights, share) => {
      const masks = prune(weights, { share });
      const read = readPruned(markPruned(weights, masks));
      assert.deepEqual(read, { weights: applyMasks(weights, masks), masks });
    }),
  );
  assert.throws(() => prune(one(1, NaN), { share: 0.5 }), /fc1\.weight holds NaN at index 1/);
});

test("of equal magnitudes the lowest index stays", () => {
  assert.deepEqual(kept(one(1, -2, 2, 1, -1), { share: 0.6 }), ["11100"]);
});

test("every tensor can have its own rule", () => {
  const weights = [...one(1, 2, 3, 4), { name: "fc1.bias", shape: [2], values: Float32Array.of(1, 2) }];
  assert.deepEqual(kept(weights, { "fc1.bias": { share: 0.5 } }), ["1111", "01"]);
  assert.deepEqual(kept(weights, { share: 0.5 }), ["0011", "11"]);
});

test("masks of pruned weights are the masks that pruned them", () => {
  const weights = one(1, 2, 3, 4);
  const masks = prune(weights, { threshold: 2.5 });
  assert.deepEqual(masksOf(applyMasks(weights, masks)), masks);
});

test("numbers that are not finite, shares out of range and foreign names are refused", () => {
  assert.throws(() => prune(one(1, NaN), { share: 0.5 }), /holds NaN at index 1/);
  assert.throws(() => prune(one(1, Infinity), { threshold: 0.5 }), RangeError);
  for (const share of [-0.1, 1.1, NaN]) assert.throws(() => prune(one(1), { share }), RangeError);
  assert.throws(() => prune(one(1), { threshold: -1 }), RangeError);
  assert.throws(() => prune(one(1), { deviations: NaN }), RangeError);
  assert.throws(() => prune(one(1), { "fc9.weight": { share: 1 } }), /no tensor "fc9.weight"/);
  assert.throws(() => prune(one(1, 2), { share: 1 }, { masks: masksOf(one(1)) }), RangeError);
  assert.throws(() => applyMasks(one(1), []), RangeError);
});
