import fc from "fast-check";
import type { RandomCode } from "../../codecs/randomCode.ts";
import { countedTensors, scalarsOf } from "../../codecs/scalars.ts";

const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined });

/** Any MIRACLE section of tensors of these shapes, most with few blocks. */
export function randomCodes(shapes: RandomCode["shapes"]): fc.Arbitrary<RandomCode> {
  const outputs = shapes.filter((shape) => shape.length > 1).map((shape) => shape.at(-1)!);
  const counted = outputs.slice(0, countedTensors(shapes));
  const lives = fc
    .tuple(...counted.map((most) => fc.integer({ min: 1, max: most })))
    .map((live) => (live.every((count, i) => count === counted[i]) ? undefined : live));
  return maybe(lives).chain((live) => {
    const weights = scalarsOf(shapes, { live }).map((tensor) => tensor.weights);
    const group = (most: number) =>
      fc.oneof(
        fc.constant({ size: 1, hashed: false }),
        fc.record({ size: fc.integer({ min: 1, max: most }), hashed: fc.boolean() }),
      ).map(({ size, hashed }) => ({ size, hashed: hashed && size > 1 }));
    const groupings = fc
      .tuple(...weights.map(group))
      .map((groups) => (groups.every(({ size }) => size === 1) ? undefined : groups));
    return maybe(groupings).chain((groups) => {
      const total = scalarsOf(shapes, { live, groups }).reduce((sum, { scalars }) => sum + scalars, 0);
      return fc
        .record({
          bits: fc.integer({ min: 4, max: 20 }),
          seed: fc.oneof(fc.nat({ max: 127 }), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
          scales: fc.uint8Array({ minLength: shapes.length, maxLength: shapes.length }),
          blocks: fc.integer({ min: 1, max: total }),
          sized: fc.boolean(),
        })
        .chain(({ bits, seed, scales, blocks, sized }) =>
          fc
            .record({
              indices: fc.array(fc.nat({ max: 2 ** bits - 1 }), { minLength: blocks, maxLength: blocks }),
              cuts: fc.shuffledSubarray(Array.from({ length: total - 1 }, (_, i) => i + 1), {
                minLength: blocks - 1,
                maxLength: blocks - 1,
              }),
            })
            .map(({ indices, cuts }): RandomCode => {
              const ends = [...cuts].sort((a, b) => a - b).concat(total);
              return {
                method: "miracle",
                shapes,
                bits,
                seed,
                ...(live && { live }),
                ...(groups && { groups }),
                scales,
                ...(sized && { sizes: Uint16Array.from(ends, (end, b) => end - (ends[b - 1] ?? 0)) }),
                indices: Uint32Array.from(indices),
              };
            }),
        );
    });
  });
}
