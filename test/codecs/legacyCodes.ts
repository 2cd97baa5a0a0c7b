import fc from "fast-check";
import type { LegacyCode } from "../../codecs/legacy.ts";
import { trainedCount } from "../../codecs/mrcl/hashGroups.ts";
import { sizeOf } from "../../lib/shape.ts";

/** Whole numbers from 1, small ones more often. */
const upTo = (most: number): fc.Arbitrary<number> =>
  fc.oneof(fc.integer({ min: 1, max: Math.min(most, 4) }), fc.integer({ min: 1, max: most }));

/** Any legacy code of tensors of these shapes, with few candidates to a block: what decoding takes grows with them. */
export function legacyCodes(shapes: LegacyCode["shapes"]): fc.Arbitrary<LegacyCode> {
  const sizes = shapes.map(sizeOf);
  const groupings = fc
    .option(fc.tuple(...sizes.map(upTo)), { nil: undefined })
    .map((groups) => (groups?.every((group) => group === 1) ? undefined : groups));
  return fc.tuple(groupings, fc.constantFrom("sobol" as const, "normal" as const)).chain(([groups, candidates]) => {
    const scalars = sizes.reduce((sum, size, t) => sum + trainedCount(size, groups?.[t] ?? 1), 0);
    return fc
      .record({
        bits: fc.integer({ min: 1, max: 6 }),
        block: upTo(candidates === "sobol" ? 40 : scalars),
        exponents: fc.array(fc.integer({ min: -100, max: 100 }), { minLength: sizes.length, maxLength: sizes.length }),
        draws: fc.infiniteStream(fc.nat(63)),
      })
      .map(({ bits, block, exponents, draws }): LegacyCode => {
        return {
          method: "legacy",
          shapes,
          candidates,
          bits,
          block,
          ...(groups && { groups }),
          // Between powers of two too, but for the largest.
          scales: Float32Array.from(exponents, (n) => (n % 2 === 0 ? 1 : 1.3) * 2 ** n),
          indices: Uint32Array.from({ length: Math.ceil(scalars / block) }, () => draws.next().value % 2 ** bits),
        };
      });
  });
}
