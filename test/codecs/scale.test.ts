import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { crc32 } from "../../codecs/crc32.ts";
import { largestLevel } from "../../codecs/levelModel.ts";
import { nearestScale, scaleOf } from "../../codecs/scale.ts";
import { normalTable } from "../../lib/random.ts";

const byte = fc.nat(255);
const all = Float32Array.from({ length: 256 }, (_, k) => scaleOf(k));
const smallestNormal = 2 ** -126;

test("scales rise by an eighth of an octave, and eight on is exactly twice as much", () => {
  assert.deepEqual([all[0], all[192], all[255]], [2 ** -24, 1, 234.75303649902344]);
  for (let k = 0; k < 255; k++) {
    const ratio = all[k + 1]! / all[k]!;
    assert.ok(ratio > 1.0905 && ratio < 1.0906, `${ratio} after ${k}`);
    if (k >= 8) assert.equal(all[k]!, 2 * all[k - 8]!);
  }
  // The bits of 1 and of the seven scales after it: 2^(i / 8) to 24 bits.
  const bits = [...new Uint32Array(all.buffer, 4 * 192, 8)].map((word) => word.toString(16));
  assert.deepEqual(bits, [
    "3f800000",
    "3f8b95c2",
    "3f9837f0",
    "3fa5fed7",
    "3fb504f3",
    "3fc5672a",
    "3fd744fd",
    "3feac0c7",
  ]);
  // All 256, little-endian, as one number.
  const bytes = new Uint8Array(1024);
  all.forEach((scale, k) => new DataView(bytes.buffer).setFloat32(4 * k, scale, true));
  assert.equal(crc32(bytes).toString(16), "ef46bc46");
});

test("a scale is its own nearest, and no other scale is nearer to a number", () => {
  for (let k = 0; k <= 255; k++) assert.equal(nearestScale(all[k]!), k);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 20 }), byte, (step, k) => {
      const x = Math.min(all[255]!, all[k]! * (1 + step / 2 ** 20));
      const distances = [...all].map((scale) => Math.abs(scale - x));
      assert.equal(nearestScale(x), distances.indexOf(Math.min(...distances)));
      assert.ok(Math.abs(scaleOf(nearestScale(x)) - x) < 0.0434 * x);
    }),
  );
  const half = (all[7]! + all[8]!) / 2;
  assert.deepEqual([nearestScale(half), nearestScale(half * (1 + 2 ** -40))], [7, 8]);
});

test("what has no place on the grid is refused", () => {
  for (const k of [-1, 256, 0.5, NaN]) assert.throws(() => scaleOf(k), RangeError);
  for (const x of [0, -1, NaN, Infinity, 2 ** -25, all[0]! * (1 - 2 ** -50), all[255]! + 1e-9, 300]) {
    assert.throws(() => nearestScale(x), /must be from 5.96\S+ to 234.7\S+, got/, String(x));
  }
});

test("products with levels and normals are rounded once, and none is subnormal, infinite or zero", () => {
  const factors = [1, largestLevel, ...normalTable().filter((z) => z > 0)];
  const [least, most] = [Math.min(...factors), Math.max(...factors)];
  assert.ok(Math.fround(all[0]! * least) >= smallestNormal && Math.fround(all[255]! * most) < 2 ** 127);
  fc.assert(
    fc.property(byte, fc.constantFrom(...factors), (k, factor) => {
      // Exact before the rounding: both are whole multiples of a power of 2 that fit 24 bits.
      const whole = (x: number): bigint => BigInt(x * 2 ** 60);
      assert.equal(BigInt(all[k]! * factor * 2 ** 120), whole(all[k]!) * whole(factor));
    }),
  );
});
