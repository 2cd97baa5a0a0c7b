import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { codedBytes } from "../../../codecs/levels.ts";
import { roundToEven, roundToFit } from "../../../codecs/squeeze/roundToFit.ts";
import { fillNormal, seedKey } from "../../../lib/random.ts";

const shapes = [[30, 8], [8], [8, 4]];

/** Latents of about this deviation: the smaller it is, the fewer are a level away from 0. */
function latentsOf(seed: number, deviation: number): Float32Array[] {
  return shapes.map((shape, block) => {
    const values = new Float32Array(shape.reduce((size, n) => size * n, 1));
    fillNormal(values, seedKey(seed), { stream: 202, block });
    return values.map((value) => deviation * value);
  });
}

const bytesOf = (levels: readonly Int32Array[]): number => codedBytes(shapes, levels);
const rounded = (latents: readonly Float32Array[]): Int32Array[] =>
  latents.map((values) => Int32Array.from(values, roundToEven));

test("rounding to a budget: never above it, and near it wherever latents have as much to say", () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 1000 }),
      fc.integer({ min: 3, max: 20 }),
      fc.integer({ min: 50, max: 150 }),
      (seed, tenths, percent) => {
        const latents = latentsOf(seed, tenths / 10);
        const given = latents.map((values) => values.slice());
        const goal = Math.max(Math.round((bytesOf(rounded(latents)) * percent) / 100), bytesOf(zeros));
        const found = roundToFit(latents, (levels) => bytesOf(levels) <= goal);
        assert.deepEqual(latents, given, "the input is left alone");
        const bytes = bytesOf(found);
        assert.ok(bytes <= goal, `${bytes} of ${goal}`);
        for (const [t, levels] of found.entries()) {
          for (const [i, level] of levels.entries()) {
            const latent = latents[t]![i]!;
            // Never to the other side of 0, and never further out than the level after the nearest.
            assert.ok(level === 0 || level > 0 === latent >= 0, `${level} of ${latent}`);
            assert.ok(Math.abs(level) < Math.abs(latent) + 1.5, `${level} of ${latent}`);
          }
        }
        if (percent <= 110) assert.ok(bytes >= goal - 1, `${bytes} of ${goal}`);
      },
    ),
    { numRuns: 60 },
  );
});

const zeros = shapes.map((shape) => new Int32Array(shape.reduce((size, n) => size * n, 1)));

test("rounding to a budget: what is nearest to the next level goes first", () => {
  // What a level takes is its magnitude here: 1 1 0 0 0 -3 take five.
  const latents = [Float32Array.of(0.9, 0.6, 0.45, -0.4, 0.1, -2.7)];
  const within = (most: number): number[] => {
    const magnitudes = ([levels]: readonly Int32Array[]): number => levels!.reduce((sum, n) => sum + Math.abs(n), 0);
    return [...roundToFit(latents, (levels) => magnitudes(levels) <= most)[0]!];
  };
  assert.deepEqual(within(5), [1, 1, 0, 0, 0, -3]);
  assert.deepEqual(within(6), [1, 1, 1, 0, 0, -3]);
  assert.deepEqual(within(7), [1, 1, 1, -1, 0, -3]);
  assert.deepEqual(within(8), [1, 1, 1, -1, 1, -3]);
  assert.deepEqual(within(10), [2, 1, 1, -1, 1, -4]);
  // Each weight once, and no more than that.
  assert.deepEqual(within(100), [2, 2, 1, -1, 1, -4]);
  assert.deepEqual(within(4), [1, 0, 0, 0, 0, -3]);
  assert.deepEqual(within(3), [1, 0, 0, 0, 0, -2]);
  assert.deepEqual(within(2), [0, 0, 0, 0, 0, -2]);
  assert.deepEqual(within(1), [0, 0, 0, 0, 0, -1]);
  assert.deepEqual(within(0), [0, 0, 0, 0, 0, 0]);
});

test("rounding to a budget: in the middle between two levels to the even one, as the runtime rounds", () => {
  assert.deepEqual([0.5, 1.5, -0.5, -1.5, 2.49, -2.51].map(roundToEven).map((n) => n + 0), [0, 2, 0, -2, 2, -3]);
});
