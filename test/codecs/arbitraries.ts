import fc from "fast-check";
import type { Weights } from "../../lib/weights.ts";

/** Numbers on an even grid: what arithmetic is tested with. */
export const gridNumber: fc.Arbitrary<number> = fc.integer({ min: -300, max: 300 }).map((n) => Math.fround(n / 100));

/** Any float32 bit pattern: NaNs with payloads, both zeros, subnormals, infinities. */
export const floatBits: fc.Arbitrary<number> = fc.oneof(
  fc.nat(2 ** 32 - 1),
  fc.constantFrom(0, 0x80000000, 1, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffffffff, 0x3f800000),
);

export function floats(options: { minLength?: number; maxLength?: number }, number = gridNumber): fc.Arbitrary<Float32Array> {
  return fc.array(number, options).map((numbers) => Float32Array.from(numbers));
}

/** Values of which many are zero and most are among few: what pruning and sharing leave. */
export function fewDistinct(options: { minLength?: number; maxLength?: number }): fc.Arbitrary<Float32Array> {
  return fc
    .tuple(fc.uniqueArray(gridNumber, { minLength: 1, maxLength: 12 }), fc.nat(4))
    .chain(([numbers, zeros]) =>
      floats(options, fc.constantFrom(...numbers.map((n) => (Object.is(n, -0) ? 0 : n)), ...new Array<number>(4 * zeros).fill(0))),
    );
}

/** A matrix and a bias, twice. */
export const smallWeights: fc.Arbitrary<Weights> = fc
  .tuple(floats({ minLength: 6, maxLength: 6 }), floats({ minLength: 2, maxLength: 2 }), floats({ minLength: 20, maxLength: 20 }))
  .map(([a, b, c]) => [
    { name: "fc1.weight", shape: [3, 2], values: a },
    { name: "fc1.bias", shape: [2], values: b },
    { name: "fc2.weight", shape: [2, 10], values: c },
  ]);
