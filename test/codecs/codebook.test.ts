import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Codebook,
  codebookOf,
  entryGradients,
  share,
  type ShareOptions,
  sharingRate,
  tidy,
  toValues,
} from "../../codecs/codebook.ts";
import { fewDistinct, floats } from "./arbitraries.ts";

/** What a codebook promises, whoever made it. */
function assertTidy({ entries, indices }: Codebook): void {
  entries.forEach((entry, i) => {
    assert.ok(Number.isFinite(entry) && !Object.is(entry, -0));
    assert.ok(i === 0 || entry > entries[i - 1]!, "entries rise");
  });
  assert.equal(new Set(indices).size, entries.length, "each entry is used");
  assert.ok(indices.every((index) => index < entries.length));
}

const close = (actual: ArrayLike<number>, expected: readonly number[]): void => {
  assert.equal(actual.length, expected.length);
  expected.forEach((value, i) => assert.ok(Math.abs(actual[i]! - value) < 1e-6, `${actual[i]} is not ${value}`));
};

const squaredError = (values: Float32Array, book: Codebook): number =>
  values.reduce((sum, value, i) => sum + (value - book.entries[book.indices[i]!]!) ** 2, 0);

test("the codebook of few different numbers gives them back", () => {
  fc.assert(
    fc.property(fewDistinct({ maxLength: 60 }), (values) => {
      const book = codebookOf(values);
      assertTidy(book);
      assert.deepEqual(toValues(book), values);
    }),
  );
  assert.deepEqual(codebookOf(Float32Array.of(0, -0, -1)), {
    entries: Float32Array.of(-1, 0),
    indices: Uint16Array.of(1, 1, 0),
  });
  assert.throws(() => codebookOf(Float32Array.of(1, NaN)), RangeError);
  assert.throws(() => codebookOf(Float32Array.of(1, -Infinity)), RangeError);
  assert.throws(() => codebookOf(Float32Array.from({ length: 4097 }, (_, i) => i)), RangeError);
});

const anyOptions: fc.Arbitrary<ShareOptions> = fc.record({
  size: fc.integer({ min: 1, max: 8 }),
  start: fc.constantFrom("linear" as const, "density" as const, "random" as const),
  seed: fc.nat(1000),
  zeros: fc.constantFrom("apart" as const, "clustered" as const),
});

test("sharing keeps its promises: few entries, zero exact, nearest entry, same seed same result", () => {
  fc.assert(
    fc.property(floats({ minLength: 8, maxLength: 80 }), fc.nat(3), anyOptions, (numbers, zeros, options) => {
      const values = numbers.map((value, i) => (i % 4 < zeros ? 0 : value));
      const before = values.slice();
      const book = share(values, options);
      assert.deepEqual(values, before);
      assertTidy(book);
      assert.ok(book.entries.length <= options.size + (options.zeros === "apart" ? 1 : 0));
      assert.deepEqual(share(values, options), book);
      values.forEach((value, i) => {
        const chosen = book.entries[book.indices[i]!]!;
        if (options.zeros === "apart" && value === 0) assert.ok(Object.is(chosen, 0));
        // Where zeros are apart, the entry 0 is no centre and attracts nobody.
        const rivals = options.zeros === "apart" ? book.entries.filter((entry) => entry !== 0) : book.entries;
        const nearest = Math.min(...rivals.map((entry) => Math.abs(entry - value)));
        if (value !== 0 && chosen !== 0) assert.ok(Math.abs(chosen - value) <= nearest + 1e-6);
      });
    }),
    { numRuns: 300 },
  );
});

test("rounds of k-means never make the error larger", () => {
  fc.assert(
    fc.property(floats({ minLength: 8, maxLength: 80 }), anyOptions, (values, options) => {
      const errors = [0, 1, 2, 1000].map((rounds) => squaredError(values, share(values, { ...options, rounds })));
      for (let i = 1; i < errors.length; i++) assert.ok(errors[i]! <= errors[i - 1]! + 1e-5, errors.join(" "));
    }),
  );
});

test("as many centres as different values lose nothing, from any start that finds them", () => {
  const values = Float32Array.of(3, 1, 2, 2, 0, 1);
  for (const start of ["linear", "random"] as const) {
    const book = share(values, { size: 3, start, seed: 5 });
    assert.deepEqual(toValues(book), values, start);
  }
});

const example = Float32Array.of(
  2.09,
  -0.98,
  1.48,
  0.09,
  0.05,
  -0.14,
  -1.08,
  2.12,
  -0.91,
  1.92,
  0,
  -1.03,
  1.87,
  0,
  1.53,
  1.49,
);

test("the worked example of Deep Compression", () => {
  const book = share(example, { size: 4, start: "linear", zeros: "clustered" });
  close(book.entries, [-1, 0, 1.5, 2]);
  assert.deepEqual([...book.indices], [3, 0, 2, 1, 1, 1, 0, 3, 0, 3, 1, 0, 3, 1, 2, 2]);
  const gradients = [
    -0.03, -0.01, 0.03, 0.02, -0.01, 0.01, -0.02, 0.12, -0.01, 0.02, 0.04, 0.01, -0.07, -0.02, 0.01, -0.02,
  ];
  const sums = entryGradients(book, gradients);
  close(sums, [-0.03, 0.04, 0.02, 0.04]);
  close(
    book.entries.map((entry, i) => entry - sums[i]!),
    [-0.97, -0.04, 1.48, 1.96],
  );
});

test("the rate of sharing is the paper's, and says what codebook and places cost", () => {
  // 16 weights in 4 values: 512 bits become 32 + 128.
  assert.equal(sharingRate({ weights: 16, centres: 4 }), 3.2);
  assert.equal(sharingRate({ weights: 16, centres: 4, codebook: false }), 16);
  assert.equal(sharingRate({ weights: 16, centres: 4, before: 64, indexBits: 2 }), (64 * 32) / (16 * 4 + 128));
  assert.throws(() => sharingRate({ weights: 3, centres: 4 }), /3 weights cannot have 4 centres/);
  assert.throws(() => sharingRate({ weights: 3, centres: 0 }), RangeError);
});

test("starts are where they are said to be", () => {
  const start = (kind: "linear" | "density") =>
    share(example, { size: 4, start: kind, zeros: "clustered", rounds: 0 }).entries;
  close(start("linear"), [-1.08, -0.0133333, 1.0533333, 2.12]);
  close(start("density"), [-0.98, 0, 1.49, 2.09]);
});

test("a value half-way between two centres belongs to the lower one", () => {
  const values = Float32Array.of(1, 2, 3);
  assert.deepEqual(share(values, { size: 2, rounds: 0 }).entries, Float32Array.of(1, 3));
  assert.deepEqual(share(values, { size: 2 }), { entries: Float32Array.of(1.5, 3), indices: Uint16Array.of(0, 0, 1) });
});

test("a random start prefers what is far from the centres it has", () => {
  // From 1, the value 6 is drawn with chance 25 / 125 and 11 with 100 / 125; from 6, either; from 11, as from 1.
  const found: Record<string, number> = {};
  for (let seed = 0; seed < 300; seed++) {
    const { entries } = share(Float32Array.of(1, 6, 11), { size: 2, start: "random", seed, rounds: 0 });
    found[entries.join(" ")] = (found[entries.join(" ")] ?? 0) + 1;
  }
  // Expected 70, 70 and 160.
  assert.deepEqual(Object.keys(found).sort(), ["1 11", "1 6", "6 11"]);
  assert.ok(found["1 6"]! > 45 && found["6 11"]! > 45 && found["1 11"]! > 130, JSON.stringify(found));
});

test("entries that were moved are put in order, merged and rid of the unused", () => {
  const moved = { entries: Float32Array.of(1, -1, 1, 9, -0), indices: Uint16Array.of(0, 1, 2, 4, 0) };
  assert.deepEqual(tidy(moved), { entries: Float32Array.of(-1, 0, 1), indices: Uint16Array.of(2, 0, 2, 1, 2) });
});

test("wrong sizes, starts and values are refused", () => {
  for (const size of [0, 1.5, 4097, NaN]) assert.throws(() => share(example, { size }), RangeError);
  assert.throws(() => share(Float32Array.of(1, 2), { size: 3 }), /2 values cannot have 3 centres/);
  assert.throws(() => share(Float32Array.of(1, NaN), { size: 1 }), RangeError);
  assert.throws(() => share(example, { size: 2, start: "middle" as "linear" }), RangeError);
  assert.throws(() => entryGradients(codebookOf(example), [1]), RangeError);
  assert.deepEqual(share(new Float32Array(3), { size: 2 }), {
    entries: Float32Array.of(0),
    indices: new Uint16Array(3),
  });
});
