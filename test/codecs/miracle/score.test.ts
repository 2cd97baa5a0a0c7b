import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { normalTable, seedKey, STREAMS, word } from "../../../lib/random.ts";
import { drawn, largest, largestFew, scores } from "../../../codecs/miracle/score.ts";
import { devices, exactRuntime, runtimeOf } from "../../lib/runtimes.ts";

/** Normal number `place` of sample `k` of a block with `count` scalars. */
const normalAt = (seed: number, block: number, { k, place, count }: { k: number; place: number; count: number }) =>
  normalTable()[Math.floor(word(seedKey(seed), STREAMS.candidates, block, k * count + place) / 2 ** 20)]!;

/** Log density of N(mean, deviation^2). */
const density = (x: number, mean: number, deviation: number): number =>
  -Math.log(deviation) - Math.log(2 * Math.PI) / 2 - ((x - mean) / deviation) ** 2 / 2;

const scalar = fc.record({
  mean: fc.integer({ min: -200, max: 200 }).map((n) => n / 100),
  logDeviation: fc.integer({ min: -300, max: 0 }).map((n) => n / 100),
  scale: fc.integer({ min: 5, max: 200 }).map((n) => n / 100),
});
const blocks = fc.record({
  scalars: fc.array(scalar, { minLength: 1, maxLength: 6 }),
  seed: fc.nat({ max: 1000 }),
  block: fc.nat({ max: 1000 }),
});
const targetOf = (scalars: readonly { mean: number; logDeviation: number; scale: number }[]) => ({
  means: Float64Array.from(scalars, ({ mean }) => mean),
  logDeviations: Float64Array.from(scalars, ({ logDeviation }) => logDeviation),
  scales: Float64Array.from(scalars, ({ scale }) => scale),
});

test("score: the weights of samples are ratios of densities, but for a constant", async () => {
  const runtime = exactRuntime();
  await fc.assert(
    fc.asyncProperty(blocks, async ({ scalars, seed, block }) => {
      const target = targetOf(scalars);
      for (const weighing of ["importance", "density"] as const) {
        const found = await scores(runtime, { key: seedKey(seed), block, bits: 4, target, weighing });
        const expected = Array.from({ length: 16 }, (_, k) =>
          scalars.reduce((sum, { mean, logDeviation, scale }, place) => {
            const w = scale * normalAt(seed, block, { k, place, count: scalars.length });
            const prior = weighing === "importance" ? density(w, 0, scale) : 0;
            return sum + density(w, mean, Math.exp(logDeviation)) - prior;
          }, 0),
        );
        for (let k = 1; k < 16; k++) {
          const [own, naive] = [found[k]! - found[0]!, expected[k]! - expected[0]!];
          const size = Math.max(1, ...expected.map((value) => Math.abs(value)));
          assert.ok(Math.abs(own - naive) < 1e-5 * size, `${weighing}, sample ${k}: ${own}, not ${naive}`);
        }
      }
    }),
    { numRuns: 40 },
  );
});

test("score: the check value of the algorithm", async () => {
  // p 0.5, mu 0.3, sigma 0.1: A -12, B 15; at z 0.6 the log ratio is 1.789438.
  const target = targetOf([{ mean: 0.3, logDeviation: Math.log(0.1), scale: 0.5 }]);
  const found = await scores(exactRuntime(), { key: seedKey(1), block: 0, bits: 6, target, weighing: "importance" });
  for (const [k, score] of found.entries()) {
    const z = normalAt(1, 0, { k, place: 0, count: 1 });
    assert.ok(Math.abs(score - (-12 * z * z + 15 * z)) < 1e-4, `sample ${k}`);
  }
  const c = Math.log(0.5 / 0.1) - 0.3 ** 2 / (2 * 0.1 ** 2);
  assert.ok(Math.abs(-12 * 0.36 + 15 * 0.6 + c - 1.789438) < 1e-6);
});

for (const device of devices) {
  test(`score: a table in parts gives the bits of a whole one (${device.name})`, async () => {
    const runtime = await runtimeOf(device);
    const scalars = Array.from({ length: 7 }, (_, i) => ({ mean: i / 10, logDeviation: -1, scale: 0.3 + i / 20 }));
    const options = { key: seedKey(5), block: 3, bits: 10, target: targetOf(scalars), weighing: "importance" } as const;
    const whole = await scores(runtime, options);
    for (const atOnce of [7, 100, 7 * 1000]) assert.deepEqual(await scores(runtime, { ...options, atOnce }), whole);
  });
}

test("score: the largest few are the first of what sorting gives", () => {
  const lists = fc.array(fc.integer({ min: -4, max: 4 }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(lists, fc.integer({ min: 1, max: 12 }), (list, count) => {
      const places = list.map((_, k) => k).sort((a, b) => list[b]! - list[a]! || a - b);
      assert.deepEqual(largestFew(Float32Array.from(list), count), places.slice(0, count));
      assert.equal(largest(Float32Array.from(list)), places[0]);
    }),
  );
});

test("score: samples are drawn as often as their weights say", () => {
  const weights = [0.05, 0.1, 0.15, 0.7];
  const draws = 20000;
  const counts = weights.map(() => 0);
  // A constant on all of them changes nothing.
  const logs = Float32Array.from(weights, (weight) => Math.log(weight) + 3);
  for (let block = 0; block < draws; block++) counts[drawn(logs, seedKey(7), block)]! += 1;
  for (const [k, weight] of weights.entries()) {
    const deviation = Math.sqrt(draws * weight * (1 - weight));
    assert.ok(Math.abs(counts[k]! - draws * weight) < 4 * deviation, `${counts.join()} of ${draws}`);
  }
  assert.equal(drawn(logs, seedKey(7), 11), drawn(logs, seedKey(7), 11));
});
