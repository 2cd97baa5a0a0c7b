import fc from "fast-check";
import { type Shape, sizeOf } from "../../lib/shape.ts";

/** The length of an axis: mostly small, sometimes beyond a SIMD register and its remainder. */
export const dim: fc.Arbitrary<number> = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 4 }) },
  { weight: 1, arbitrary: fc.integer({ min: 5, max: 19 }) },
);

/** Shapes of at most 400 elements, the single number among them. */
export function shapes({ minRank = 0, maxRank = 4 } = {}): fc.Arbitrary<Shape> {
  return fc.array(dim, { minLength: minRank, maxLength: maxRank }).filter((shape) => sizeOf(shape) <= 400);
}

/** So many shapes that stretch to a common one: leading axes left out, others of length 1. */
export function stretching(count: number): fc.Arbitrary<Shape[]> {
  return shapes().chain((full) =>
    fc.tuple(
      ...Array.from({ length: count }, () =>
        fc
          .tuple(
            fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(full.length) }),
            fc.array(fc.nat(3), { minLength: full.length, maxLength: full.length }),
          )
          .map(([left, ones]) => full.map((size, axis) => (ones[axis] === 0 ? 1 : size)).slice(left)),
      ),
    ),
  );
}

/** Numbers on an even grid from -3 to 3: what arithmetic is tested with. */
export const gridNumber: fc.Arbitrary<number> = fc.integer({ min: -300, max: 300 }).map((n) => n / 100);

/** The same between two bounds. */
export function grid(from: number, to: number): fc.Arbitrary<number> {
  return fc.integer({ min: Math.ceil(from * 100), max: Math.floor(to * 100) }).map((n) => n / 100);
}

/** Grid numbers at least 0.02 away from each of `points`, where a function has a kink or a step. */
export function awayFrom(...points: number[]): fc.Arbitrary<number> {
  return gridNumber.filter((n) => points.every((point) => Math.abs(n - point) >= 0.02));
}

export function list<T>(item: fc.Arbitrary<T>, size: number): fc.Arbitrary<T[]> {
  return fc.array(item, { minLength: size, maxLength: size });
}

/** Different numbers in any order: what a maximum is found among when its slope is wanted. */
export function distinct(size: number): fc.Arbitrary<number[]> {
  const all = Array.from({ length: size }, (_, i) => (i - size / 2) / 16);
  return fc.shuffledSubarray(all, { minLength: size, maxLength: size });
}

/** What arithmetic is easily wrong on. */
export const edges = [NaN, Infinity, -Infinity, 0, -0, 1, -1, 0.5, -2.5, 1e-30, -1e30] as const;
