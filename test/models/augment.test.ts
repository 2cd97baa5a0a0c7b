import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { cos, sin } from "../../lib/math.ts";
import { augment, type AugmentOptions, copier, type Dataset, glyphs, take } from "../../models/index.ts";
import { augmentationOf, transformer } from "../../models/augment.ts";
import { sha256 } from "../../models/digest.ts";
import { type Extent, type Transform, warper } from "../../models/warp.ts";

const still: Transform = { angle: 0, scaleX: 1, scaleY: 1, shear: 0, shiftX: 0, shiftY: 0 };
const nothing: AugmentOptions = { rotation: 0, scale: 0, shear: 0, shift: 0, elastic: { grid: 3, deviation: 0 } };

const pictures = fc
  .record({
    height: fc.integer({ min: 1, max: 9 }),
    width: fc.integer({ min: 1, max: 9 }),
    channels: fc.integer({ min: 1, max: 3 }),
  })
  .chain((extent) => {
    const size = extent.height * extent.width * extent.channels;
    return fc.record({ extent: fc.constant(extent), pixels: fc.uint8Array({ minLength: size, maxLength: size }) });
  });

function warp(extent: Extent, pixels: Uint8Array, transform: Partial<Transform>, grid = 2): Uint8Array {
  const into = new Uint8Array(pixels.length);
  warper(extent, grid)(into, pixels, 0, { ...still, ...transform });
  return into;
}

/** The picture whose pixel at column x and row y is the one that `from` says, and nothing outside of the old one. */
function moved(
  { height, width, channels }: Extent,
  pixels: Uint8Array,
  from: (x: number, y: number) => readonly [x: number, y: number],
): Uint8Array {
  return pixels.map((_, at) => {
    const pixel = Math.floor(at / channels);
    const [x, y] = from(pixel % width, Math.floor(pixel / width));
    const inside = x >= 0 && x < width && y >= 0 && y < height;
    return inside ? pixels[(y * width + x) * channels + (at % channels)]! : 0;
  });
}

/** What `warper` documents, written down once more, a pixel at a time. */
function naive(extent: Extent, pixels: Uint8Array, transform: Transform, grid: number): Uint8Array {
  const { height, width, channels } = extent;
  const { angle, scaleX, scaleY, shear, shiftX, shiftY, field } = transform;
  const pixel = (x: number, y: number, channel: number): number =>
    x >= 0 && x < width && y >= 0 && y < height ? pixels[(y * width + x) * channels + channel]! : 0;
  const along = (n: number, size: number, knot: (k: number) => number): number => {
    const t = size === 1 ? 0 : (n * (grid - 1)) / (size - 1);
    const k = Math.floor(t);
    const f = t - k;
    const at = (j: number): number => knot(Math.max(0, Math.min(grid - 1, k + j)));
    const w = [
      ((1 - 0.5 * f) * f - 0.5) * f,
      (1.5 * f - 2.5) * f * f + 1,
      ((2 - 1.5 * f) * f + 0.5) * f,
      (0.5 * f - 0.5) * f * f,
    ] as const;
    return w[0] * at(-1) + w[1] * at(0) + w[2] * at(1) + w[3] * at(2);
  };
  const displacement = (x: number, y: number, first: number): number =>
    field === undefined
      ? 0
      : along(y, height, (row) => along(x, width, (column) => field[first + row * grid + column]!));
  const c = cos(angle);
  const s = sin(angle);
  const out: number[] = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const u = x - (width - 1) / 2 - shiftX;
      const v = y - (height - 1) / 2 - shiftY;
      const X = ((c + shear * s) / scaleX) * u + (((s - shear * c) / scaleX) * v + (width - 1) / 2);
      const Y = (-s / scaleY) * u + ((c / scaleY) * v + (height - 1) / 2);
      const placeX = X + displacement(x, y, 0);
      const placeY = Y + displacement(x, y, grid * grid);
      const i = Math.floor(placeX);
      const j = Math.floor(placeY);
      for (let channel = 0; channel < channels; channel++) {
        const mix = (row: number): number => {
          const left = pixel(i, row, channel);
          return left + (placeX - i) * (pixel(i + 1, row, channel) - left);
        };
        const upper = mix(j);
        out.push(Math.floor(upper + (placeY - j) * (mix(j + 1) - upper) + 0.5));
      }
    }
  }
  return Uint8Array.from(out);
}

suite("warp", () => {
  test("law: is what it documents, byte for byte", () => {
    const part = (most: number) => fc.integer({ min: -100, max: 100 }).map((n) => (n * most) / 100);
    const transforms = fc.record({
      angle: part(3.2),
      scaleX: part(0.9).map((x) => 1 + x),
      scaleY: part(0.9).map((x) => 1 + x),
      shear: part(2),
      shiftX: part(12),
      shiftY: part(12),
    });
    const fields = fc.integer({ min: 2, max: 5 }).chain((grid) =>
      fc.record({
        grid: fc.constant(grid),
        field: fc.option(fc.array(part(4), { minLength: 2 * grid * grid, maxLength: 2 * grid * grid }), {
          nil: undefined,
        }),
      }),
    );
    fc.assert(
      fc.property(pictures, transforms, fields, ({ extent, pixels }, transform, { grid, field }) => {
        const whole = { ...transform, field };
        assert.deepEqual(warp(extent, pixels, whole, grid), naive(extent, pixels, whole, grid));
      }),
      { numRuns: 300 },
    );
  });

  test("law: shifts by whole pixels move them exactly, and a field by the same the other way", () => {
    const by = fc.integer({ min: -10, max: 10 });
    fc.assert(
      fc.property(pictures, by, by, ({ extent, pixels }, shiftX, shiftY) => {
        const expected = moved(extent, pixels, (x, y) => [x - shiftX, y - shiftY]);
        assert.deepEqual(warp(extent, pixels, { shiftX, shiftY }), expected);
        const field = Array.from({ length: 18 }, (_, k) => (k < 9 ? -shiftX : -shiftY));
        assert.deepEqual(warp(extent, pixels, { field }, 3), expected);
      }),
    );
  });

  test("law: quarter turns of squares move pixels exactly, clockwise", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 25, maxLength: 25 }), (pixels) => {
        const extent = { height: 5, width: 5, channels: 1 };
        const expected = moved(extent, pixels, (x, y) => [y, 4 - x]);
        assert.deepEqual(warp(extent, pixels, { angle: Math.PI / 2 }), expected);
      }),
    );
  });

  test("law: a shear of one moves each row by its distance from the middle", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 35, maxLength: 35 }), (pixels) => {
        const extent = { height: 5, width: 7, channels: 1 };
        assert.deepEqual(warp(extent, pixels, { shear: 1 }), moved(extent, pixels, (x, y) => [x - (y - 2), y]));
      }),
    );
  });

  test("law: at twice the size every second pixel from the middle shows the one at half the distance", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 25, maxLength: 25 }), (pixels) => {
        const out = warp({ height: 5, width: 5, channels: 1 }, pixels, { scaleX: 2, scaleY: 2 });
        for (const y of [0, 2, 4]) {
          for (const x of [0, 2, 4]) assert.equal(out[5 * y + x], pixels[5 * (1 + y / 2) + 1 + x / 2]);
        }
      }),
    );
  });

  test("a picture of each kind of change", () => {
    const bar = { height: 3, width: 5, channels: 1 };
    const pixels = Uint8Array.of(0, 0, 100, 0, 0, 0, 0, 200, 0, 0, 0, 0, 100, 0, 0);
    const rows = (transform: Partial<Transform>, grid = 2): number[][] => {
      const out = Array.from(warp(bar, pixels, transform, grid));
      return [out.slice(0, 5), out.slice(5, 10), out.slice(10)];
    };
    assert.deepEqual(rows({ shiftX: 0.25 }), [[0, 0, 75, 25, 0], [0, 0, 150, 50, 0], [0, 0, 75, 25, 0]]);
    assert.deepEqual(rows({ shiftY: 0.5 }), [[0, 0, 50, 0, 0], [0, 0, 150, 0, 0], [0, 0, 150, 0, 0]]);
    assert.deepEqual(rows({ shear: 0.5 }), [[0, 50, 50, 0, 0], [0, 0, 200, 0, 0], [0, 0, 50, 50, 0]]);
    assert.deepEqual(rows({ scaleX: 2 }), [[0, 50, 100, 50, 0], [0, 100, 200, 100, 0], [0, 50, 100, 50, 0]]);
    assert.deepEqual(rows({ scaleY: 0.5 }), [[0, 0, 0, 0, 0], [0, 0, 200, 0, 0], [0, 0, 0, 0, 0]]);
    assert.deepEqual(rows({ angle: 0.1 }), [[0, 0, 90, 9, 0], [0, 1, 200, 1, 0], [0, 9, 90, 0, 0]]);
    // Knots at the four corners: the left half is taken from further right, the right half is left alone.
    const field = [1, 0, 1, 0, 0, 0, 0, 0];
    assert.deepEqual(rows({ field }), [[0, 80, 50, 0, 0], [0, 159, 100, 0, 0], [0, 80, 50, 0, 0]]);
  });
});

const data = glyphs({ count: 12, seed: 3 });

suite("augment", () => {
  test("law: with ranges of zero every copy is the picture, of any size", () => {
    fc.assert(
      fc.property(pictures, fc.nat(), fc.integer({ min: 1, max: 3 }), ({ extent, pixels }, seed, copies) => {
        const one: Dataset = { ...extent, images: pixels, count: 1, labels: Uint8Array.of(0), classes: ["any"] };
        const pool = augment(one, { ...nothing, seed, copies });
        for (let c = 0; c <= copies; c++) {
          assert.deepEqual(pool.images.subarray(c * pixels.length, (c + 1) * pixels.length), pixels);
        }
      }),
    );
  });

  test("holds the originals, then copy after copy, each under the label of its original", () => {
    const pool = augment(data, { copies: 3 });
    assert.equal(pool.originals, 12);
    assert.equal(pool.count, 48);
    assert.deepEqual(pool.images.subarray(0, data.images.length), data.images);
    assert.deepEqual(pool.labels, Uint8Array.from({ length: 48 }, (_, i) => data.labels[i % 12]!));
    const size = 784;
    const copy = copier(data, { copies: 3 });
    const one = new Uint8Array(size);
    const seen = new Set<string>();
    for (const place of [0, 47, 5, 30, 13, 12, 1, 25]) {
      copy(one, place % 12, Math.floor(place / 12));
      assert.deepEqual(one, pool.images.subarray(place * size, (place + 1) * size), "one alone is the same");
      seen.add(sha256(one));
    }
    assert.equal(seen.size, 8);
  });

  test("a copy depends on seed, number and picture, not on how many there are", () => {
    const pool = augment(data, { copies: 2, seed: 8 });
    const fewer = augment(take(data, 0, 5), { copies: 1, seed: 8 });
    const size = 784;
    assert.deepEqual(fewer.images.subarray(5 * size), pool.images.subarray(12 * size, 17 * size));
    assert.notDeepEqual(augment(data, { copies: 2, seed: 9 }).images, pool.images);
  });

  test("changes are drawn from all of the ranges and from nothing beyond", () => {
    const augmentation = augmentationOf({ seed: 5, rotation: 0.3, scale: 0.2, shear: 0.4, shift: 2 });
    const draw = transformer(augmentation);
    const most = { angle: 0.3, scaleX: 0.2, scaleY: 0.2, shear: 0.4, shiftX: 2, shiftY: 2 };
    const drawn = Array.from({ length: 600 }, (_, i) => {
      const transform = draw(i % 40, 1 + Math.floor(i / 40));
      return { ...transform, field: Float64Array.from(transform.field!) };
    });
    for (const name of Object.keys(most) as (keyof typeof most)[]) {
      const values = drawn.map((transform) => (transform[name] - (name.startsWith("scale") ? 1 : 0)) / most[name]);
      assert.ok(values.every((value) => value >= -1 && value <= 1), name);
      assert.ok(Math.min(...values) < -0.98 && Math.max(...values) > 0.98, `${name} does not fill its range`);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      assert.ok(Math.abs(mean) < 0.1, `${name} is ${mean} in the mean`);
    }
    const knots = drawn.flatMap(({ field }) => Array.from(field));
    assert.equal(knots.length, 600 * 72);
    const variance = knots.reduce((sum, value) => sum + value * value, 0) / knots.length;
    assert.ok(Math.abs(variance / 0.64 - 1) < 0.03, `variance ${variance}`);
  });

  test("the bytes of a pool stay what they are", () => {
    const pool = augment(data, { seed: 1, copies: 5 });
    assert.equal(sha256(pool.images), "69008835ebcdd425d750d5b109b0ec5e58b1c4a4e9d6873fd53dc7434cd4b437");
  });

  test("refuses options that make no sense, and says which", () => {
    const refuses = (options: AugmentOptions, message: RegExp): void =>
      assert.throws(() => augment(data, options), { name: "RangeError", message });
    refuses({ seed: -1 }, /^augment: seed .*got -1/);
    refuses({ copies: 0 }, /^augment: copies .*got 0/);
    refuses({ copies: 1.5 }, /^augment: copies .*got 1.5/);
    refuses({ rotation: -0.1 }, /^augment: rotation must be a number from 0 to 3.2, got -0.1/);
    refuses({ scale: 1 }, /^augment: scale .*got 1/);
    refuses({ shear: NaN }, /^augment: shear .*got NaN/);
    refuses({ shift: Infinity }, /^augment: shift .*got Infinity/);
    refuses({ elastic: { grid: 1, deviation: 1 } }, /^augment: grid of elastic .*got 1/);
    refuses({ elastic: { grid: 33, deviation: 1 } }, /^augment: grid of elastic .*got 33/);
    refuses({ elastic: { grid: 6, deviation: -1 } }, /^augment: deviation of elastic .*got -1/);
  });
});
