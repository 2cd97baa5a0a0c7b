import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { checkDataset } from "../../../models/data/dataset.ts";
import { glyphs } from "../../../models/data/glyphs.ts";

const PIXELS = 28 * 28;

test("the first hundred images have these bytes on every machine", () => {
  const { images } = glyphs({ count: 100, seed: 1 });
  const digest = createHash("sha256").update(images).digest("hex");
  assert.equal(digest, "0b743cc2193f9a5079ce9e607e9490d79276be772ac3fa55a6c737f56bccb715");
});

test("an image depends on the seed and its number alone", () => {
  const seeds = fc.integer({ min: 0, max: 2 ** 53 - 1 });
  const starts = fc.oneof(fc.integer({ min: 0, max: 2 ** 24 - 20 }), fc.constant(0));
  fc.assert(
    fc.property(seeds, starts, fc.integer({ min: 1, max: 20 }), fc.nat(), (seed, start, count, n) => {
      const all = checkDataset(glyphs({ count, seed, start }));
      const i = n % count;
      const alone = glyphs({ count: 1, seed, start: start + i });
      assert.deepEqual(alone.images, all.images.slice(i * PIXELS, (i + 1) * PIXELS));
      assert.equal(alone.labels[0], all.labels[i]);
      assert.equal(all.labels[i], (start + i) % 10);
    }),
  );
});

test("no two images are the same, nor those of two seeds", () => {
  const seen = new Set<string>();
  for (const seed of [1, 2]) {
    const { images } = glyphs({ count: 500, seed });
    for (let i = 0; i < 500; i++) seen.add(images.subarray(i * PIXELS, (i + 1) * PIXELS).join());
  }
  assert.equal(seen.size, 1000);
});

test("digits are framed as in MNIST: clean paper, full ink, about 20 pixels, in the middle", () => {
  const count = 2000;
  const { images } = glyphs({ count, seed: 7 });
  let inked = 0;
  for (let i = 0; i < count; i++) {
    const image = images.subarray(i * PIXELS, (i + 1) * PIXELS);
    const box = { left: 28, right: -1, top: 28, bottom: -1 };
    let weight = 0;
    let x = 0;
    let y = 0;
    let brightest = 0;
    image.forEach((value, p) => {
      if (value === 0) return;
      const column = p % 28;
      const row = Math.floor(p / 28);
      weight += value;
      x += value * (column + 0.5);
      y += value * (row + 0.5);
      brightest = Math.max(brightest, value);
      if (value > 60) {
        box.left = Math.min(box.left, column);
        box.right = Math.max(box.right, column);
        box.top = Math.min(box.top, row);
        box.bottom = Math.max(box.bottom, row);
      }
    });
    const size = Math.max(box.right - box.left, box.bottom - box.top) + 1;
    assert.ok(size >= 15 && size <= 22, `image ${i} is ${size} pixels wide or high`);
    assert.ok(Math.hypot(x / weight - 14, y / weight - 14) < 4, `image ${i} lies off the middle`);
    assert.ok(brightest >= 180, `image ${i} is too dark`);
    inked += image.filter((value) => value > 0).length;
  }
  // MNIST has 19.1 %.
  const share = inked / images.length;
  assert.ok(share > 0.15 && share < 0.23, `${share} of the paper is inked`);
});

test("the digits differ, but not by their average picture alone", () => {
  const learn = glyphs({ count: 2000, seed: 3 });
  const ask = glyphs({ count: 1000, seed: 3, start: 2000 });
  const means = Array.from({ length: 10 }, () => new Float64Array(PIXELS));
  for (let i = 0; i < learn.count; i++) {
    const mean = means[learn.labels[i]!]!;
    for (let p = 0; p < PIXELS; p++) mean[p]! += learn.images[i * PIXELS + p]! / (learn.count / 10);
  }
  let right = 0;
  for (let i = 0; i < ask.count; i++) {
    const distances = means.map((mean) =>
      mean.reduce((sum, value, p) => sum + (value - ask.images[i * PIXELS + p]!) ** 2, 0),
    );
    if (distances.indexOf(Math.min(...distances)) === ask.labels[i]) right++;
  }
  // The nearest mean is right for 82 % of MNIST.
  assert.ok(right > 600 && right < 900, `${right} of 1000`);
});

test("counts and numbers out of range are refused", () => {
  const refused: [Parameters<typeof glyphs>[0], RegExp][] = [
    [{ count: 0, seed: 1 }, /glyphs: count must be a whole number from 1 up, got 0/],
    [{ count: 1.5, seed: 1 }, /count/],
    [{ count: NaN, seed: 1 }, /count/],
    [{ count: 2, seed: 1, start: 2 ** 24 - 1 }, /glyphs: images are numbered from 0 to 16777215, got 2 from 16777215/],
    [{ count: 1e15, seed: 1 }, /numbered/],
    [{ count: 1, seed: 1, start: -1 }, /numbered/],
    [{ count: 1, seed: -1 }, /seed/],
  ];
  for (const [options, message] of refused) {
    assert.throws(() => glyphs(options), (error) => error instanceof RangeError && message.test(error.message));
  }
});
