import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { normalTable, permutation, seedKey, STREAMS, word } from "../../lib/random.ts";
import { sizeOf } from "../../lib/shape.ts";
import { FormatError } from "../../codecs/codec.ts";
import { randomCode, type RandomCode } from "../../codecs/randomCode.ts";
import { scaleOf } from "../../codecs/scale.ts";
import { blockOrder, type Group, placesOf, scalarsOf, sourcesOf } from "../../codecs/scalars.ts";
import { codecLaws, decode, encode } from "./laws.ts";
import { randomCodes } from "./randomCodes.ts";

const parametersOf = (shapes: RandomCode["shapes"]) => shapes.map((shape, i) => ({ name: `t${i}`, shape }));
const codecOf = (shapes: RandomCode["shapes"]) => randomCode.codec(parametersOf(shapes));

/** A network of two convolutions and two dense layers in small. */
const small = [[3, 3, 1, 4], [4], [2, 2, 4, 3], [3], [12, 5], [5], [5, 2], [2]];
const lenet5 = [[5, 5, 1, 20], [20], [5, 5, 20, 50], [50], [800, 500], [500], [500, 10], [10]];

codecLaws(codecOf(small), randomCodes(small), { runs: 60 });
codecLaws(codecOf([[6]]), randomCodes([[6]]), { runs: 30 });

test("miracle: the values are those of the document, computed one by one", () => {
  fc.assert(
    fc.property(randomCodes(small), (coded) => {
      const values = randomCode.toValues(coded);
      const expected = plainValues(coded);
      assert.deepEqual(new Uint32Array(values.buffer), new Uint32Array(expected.buffer));
    }),
    { numRuns: 60 },
  );
});

/** Section 5.5 word by word, with no thought for time. */
function plainValues(coded: RandomCode): Float32Array {
  const { shapes, seed, live, groups, scales, sizes, indices } = coded;
  const key = seedKey(seed);
  const tensors = scalarsOf(shapes, { live, groups });
  const row = tensors.flatMap(({ scalars }, t) => {
    const order = permutation(scalars, key, { stream: STREAMS.partition, block: t });
    return Array.from(order, (s, taken) => ({ t, s, at: (2 * taken + 1) / scalars }));
  });
  // Small counts: quotients are equal exactly where the fractions are.
  row.sort((a, b) => a.at - b.at || a.t - b.t);
  const scalars = tensors.map(({ scalars }) => new Float32Array(scalars));
  const table = normalTable();
  let at = 0;
  for (const [b, index] of indices.entries()) {
    const end = sizes ? at + sizes[b]! : Math.floor(((b + 1) * row.length) / indices.length);
    const n = end - at;
    for (let j = 0; j < n; j++) {
      const { t, s } = row[at + j]!;
      const drawn = word(key, STREAMS.candidates, b, index * n + j);
      scalars[t]![s] = Math.fround(scaleOf(scales[t]!) * table[Math.floor(drawn / 2 ** 20)]!);
    }
    at = end;
  }
  const all = shapes.map((shape, t) => {
    const values = new Float32Array(sizeOf(shape));
    const { scalars: sources, signs } = sourcesOf(tensors[t]!, key, t);
    placesOf(tensors[t]!).forEach((place, i) => (values[place] = (signs?.[i] ?? 1) * scalars[t]![sources[i]!]!));
    return values;
  });
  return Float32Array.from(all.flatMap((values) => [...values]));
}

test("miracle: every scalar is in one place, and any stretch has its share of every tensor", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 6 }),
      fc.nat({ max: 1000 }),
      fc.tuple(fc.nat(), fc.nat()),
      (counts, seed, [from, length]) => {
        const tensors = scalarsOf(counts.map((count) => [count]));
        const order = blockOrder(tensors, seedKey(seed));
        const total = order.length;
        assert.deepEqual([...order].sort((a, b) => a - b), Array.from({ length: total }, (_, i) => i));
        const start = from % total;
        const stretch = order.slice(start, start + 1 + (length % (total - start)));
        let first = 0;
        for (const count of counts) {
          const found = stretch.filter((s) => s >= first && s < first + count).length;
          const share = (stretch.length * count) / total;
          assert.ok(Math.abs(found - share) <= counts.length, `${found} of ${share}`);
          first += count;
        }
      },
    ),
  );
});

test("miracle: live units are the first, and inputs follow the layer before", () => {
  const tensors = scalarsOf(lenet5, { live: [5, 10, 16] });
  assert.deepEqual(tensors.map(({ weights }) => weights), [125, 5, 1250, 10, 2560, 16, 160, 10]);
  const values = randomCode.toValues({
    method: "miracle",
    shapes: lenet5,
    bits: 12,
    seed: 3,
    live: [5, 10, 16],
    scales: new Uint8Array(8).fill(160),
    indices: Uint32Array.from({ length: 100 }, (_, i) => i),
  });
  assert.equal(values.filter((value) => value !== 0).length, 4136);
  // fc1: row (pixel, channel), column unit.
  const fc1 = values.subarray(500 + 20 + 25000 + 50, 500 + 20 + 25000 + 50 + 400000);
  for (const [i, value] of fc1.entries()) {
    const [row, unit] = [Math.floor(i / 500), i % 500];
    assert.equal(value !== 0, unit < 16 && row % 50 < 10);
  }
});

test("miracle: a live network is the same network in the shapes of a smaller one", () => {
  const options = { seed: 9, bits: 8, scales: Uint8Array.from([150, 155, 160, 165, 170, 175, 180, 185]) };
  const indices = Uint32Array.from({ length: 20 }, (_, i) => 12 * i);
  const narrow = [[3, 3, 1, 2], [2], [2, 2, 2, 1], [1], [4, 3], [3], [3, 2], [2]];
  const big = randomCode.toValues({ method: "miracle", shapes: small, live: [2, 1, 3], ...options, indices });
  const own = randomCode.toValues({ method: "miracle", shapes: narrow, ...options, indices });
  assert.deepEqual([...big].filter((value) => value !== 0), [...own]);
});

test("miracle: groups share scalars as the published library did, or by hash with signs", () => {
  const runs = sourcesOf(scalarsOf([[8]], { groups: [{ size: 3, hashed: false }] })[0]!, seedKey(1), 0);
  assert.deepEqual([...runs.scalars], [0, 0, 0, 1, 1, 1, 2, 3]);
  assert.equal(runs.signs, undefined);
  const [tensor] = scalarsOf([[1000]], { groups: [{ size: 10, hashed: true }] });
  assert.equal(tensor!.scalars, 100);
  const { scalars, signs } = sourcesOf(tensor!, seedKey(1), 0);
  assert.ok(scalars.every((s) => s < 100));
  assert.ok(new Set(scalars).size > 95);
  const negative = signs!.filter((sign) => sign === -1).length;
  assert.ok(negative > 400 && negative < 600, `${negative}`);
});

test("miracle: what the format cannot express is a RangeError", () => {
  const valid: RandomCode = {
    method: "miracle",
    shapes: small,
    bits: 8,
    seed: 0,
    scales: new Uint8Array(8),
    indices: new Uint32Array(10),
  };
  const groups = (...list: [number, Group][]): Group[] =>
    small.map((_, t) => list.find(([at]) => at === t)?.[1] ?? { size: 1, hashed: false });
  const wrong: [Partial<RandomCode>, RegExp][] = [
    [{ bits: 3 }, /bits per block must be a whole number from 4 to 20, got 3/],
    [{ bits: 21 }, /from 4 to 20, got 21/],
    [{ seed: 2 ** 32 }, /seed must be/],
    [{ live: [4, 3, 5] }, /where not all units are live/],
    [{ live: [4, 3] }, /live counts are for 3 tensors, got 2/],
    [{ live: [4, 0, 5] }, /live units must be from 1 to 3, got 0/],
    [{ groups: groups() }, /where weights share scalars/],
    [{ groups: groups([0, { size: 1, hashed: true }], [1, { size: 2, hashed: false }]) }, /one weight is not hashed/],
    [{ groups: groups([1, { size: 5, hashed: false }]) }, /a group must have from 1 to 4 weights, got 5/],
    [{ scales: new Uint8Array(7) }, /one scale per tensor, got 7 for 8/],
    [{ indices: new Uint32Array(0) }, /make 1 to \d+ blocks, got 0/],
    [{ sizes: new Uint16Array(10).fill(2) }, /add up to/],
    [{ indices: Uint32Array.of(256) }, /256 does not fit in 8 bits/],
    [{ shapes: small.slice(1) }, /shapes are not those/],
  ];
  for (const [change, message] of wrong) {
    assert.throws(() => encode(codecOf(small), { ...valid, ...change }), (error: Error) => {
      assert.ok(error instanceof RangeError);
      assert.match(error.message, message);
      return true;
    });
  }
});

test("miracle: what breaks a rule is refused by its name", () => {
  const shapes = [[2, 3], [3], [3, 2]];
  const refused = (bytes: number[], code: string, offset: number): void => {
    assert.throws(() => decode(codecOf(shapes), Uint8Array.from(bytes)), (error: Error) => {
      assert.ok(error instanceof FormatError, String(error));
      assert.deepEqual([error.code, error.offset], [code, offset], error.message);
      return true;
    });
  };
  // Form, seed, blocks, three scales, two indices of 8 bits.
  assert.equal(decode(codecOf(shapes), Uint8Array.of(4, 1, 2, 0, 0, 0, 7, 9)).indices[1], 9);
  refused([17, 1, 2, 0, 0, 0, 7, 9], "miracle-form", 0);
  refused([36, 1, 3, 2, 0, 0, 0, 7, 9], "miracle-live", 2);
  refused([36, 1, 4, 2, 0, 0, 0, 7, 9], "varint-range", 2);
  refused([68, 1, 2, 2, 2, 2, 0, 0, 0, 7, 9], "miracle-groups", 2);
  refused([68, 1, 2, 3, 4, 2, 0, 0, 0, 7, 9], "miracle-groups", 3);
  refused([4, 1, 16, 0, 0, 0], "varint-range", 2);
  refused([4, 1, 0, 0, 0, 0], "varint-range", 2);
  refused([4, 1, 2, 0, 0, 0, 7], "truncated", 7);
  refused([0, 1, 1, 0, 0, 0, 0x71], "padding", 6);
  refused([4, 1, 2, 0, 0], "truncated", 5);
  // Sizes 1 and 1: first a gamma of 1, 13 bits, then no step.
  refused([132, 1, 2, 0, 0, 0, 0x80, 0x06, 7, 9], "miracle-sizes", 6);
});
