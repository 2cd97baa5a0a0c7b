import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Dataset } from "../../../models/data/dataset.ts";
import { checkDataset, gatherImages, gatherLabels, split, subset, take } from "../../../models/data/dataset.ts";
import { DataError } from "../../../models/data/error.ts";

const datasets: fc.Arbitrary<Dataset> = fc
  .tuple(...([12, 4, 4, 3, 5] as const).map((max) => fc.integer({ min: 1, max })))
  .chain(([count, height, width, channels, classes]) => {
    const size = count! * height! * width! * channels!;
    return fc.record({
      images: fc.uint8Array({ minLength: size, maxLength: size }),
      labels: fc.uint8Array({ minLength: count!, maxLength: count!, max: classes! - 1 }),
      count: fc.constant(count!),
      height: fc.constant(height!),
      width: fc.constant(width!),
      channels: fc.constant(channels!),
      classes: fc.constant(Array.from({ length: classes! }, (_, i) => `class ${i}`)),
    });
  });

const datasetAndNumbers = datasets.chain((data) =>
  fc.tuple(fc.constant(data), fc.array(fc.integer({ min: 0, max: data.count - 1 }), { minLength: 1, maxLength: 20 })),
);

/** Everything about image i of a set, to compare by. */
function picture(data: Dataset, i: number): { label: number; pixels: number[] } {
  const size = data.height * data.width * data.channels;
  return { label: data.labels[i]!, pixels: [...data.images.slice(i * size, (i + 1) * size)] };
}

const pictures = (data: Dataset) => Array.from({ length: data.count }, (_, i) => picture(data, i));

test("a sound set is given back as it is", () => {
  fc.assert(
    fc.property(datasets, (data) => {
      assert.equal(checkDataset(data), data);
    }),
  );
});

test("the two parts of a split follow each other and make the whole", () => {
  fc.assert(
    fc.property(datasets, fc.nat(), (data, n) => {
      fc.pre(data.count > 1);
      const aside = 1 + (n % (data.count - 1));
      const { training, validation } = split(data, { validation: aside });
      assert.equal(checkDataset(validation).count, aside);
      assert.deepEqual([...pictures(checkDataset(training)), ...pictures(validation)], pictures(data));
    }),
  );
});

test("subset and take copy or share the images they name", () => {
  fc.assert(
    fc.property(datasetAndNumbers, ([data, numbers]) => {
      const want = numbers.map((i) => picture(data, i));
      const chosen = checkDataset(subset(data, numbers));
      assert.deepEqual(pictures(chosen), want);
      chosen.images.fill(0);
      chosen.labels.fill(0);
      assert.deepEqual(numbers.map((i) => picture(data, i)), want);

      const start = numbers[0]!;
      const part = checkDataset(take(data, start, data.count));
      assert.deepEqual(pictures(part), pictures(data).slice(start));
      assert.equal(part.images.buffer, data.images.buffer);
    }),
  );
});

test("a batch holds (p - offset) * scale, rounded once, and the labels", () => {
  const scale = fc.constantFrom(1 / 255, 1, 2 / 255, -0.1);
  const offset = fc.constantFrom(0, 127.5, 33.318);
  fc.assert(
    fc.property(datasetAndNumbers, scale, offset, ([data, numbers], scale, offset) => {
      const images = new Float32Array(numbers.length * data.height * data.width * data.channels);
      const labels = new Int32Array(numbers.length);
      gatherImages(images, data, numbers, { scale, offset });
      gatherLabels(labels, data, numbers);
      const want = numbers.map((i) => picture(data, i));
      assert.deepEqual([...images], want.flatMap(({ pixels }) => pixels.map((p) => Math.fround((p - offset) * scale))));
      assert.deepEqual([...labels], want.map(({ label }) => label));
    }),
  );
});

const sound: Dataset = {
  images: Uint8Array.of(1, 2, 3, 4),
  count: 2,
  height: 1,
  width: 2,
  channels: 1,
  labels: Uint8Array.of(0, 1),
  classes: ["a", "b"],
};

test("parts that do not fit are refused by code", () => {
  const refused: [string, Partial<Dataset>, RegExp][] = [
    ["data-empty", { count: 0, images: new Uint8Array(0), labels: new Uint8Array(0) }, /the set is empty/],
    ["data-size", { width: 0 }, /width must be a whole number from 1 up, got 0/],
    ["data-size", { count: NaN }, /count/],
    ["data-size", { height: 1.5 }, /height/],
    ["data-size", { height: 2 }, /images of \[2, 2, 2, 1\] do not fit 4 bytes/],
    ["data-size", { height: 2 ** 31, width: 2 ** 31 }, /do not fit/],
    ["data-labels", { labels: Uint8Array.of(0) }, /2 images, but 1 labels/],
    ["data-classes", { classes: [] }, /got 0/],
    ["data-label", { labels: Uint8Array.of(0, 2) }, /labels go from 0 to 1, got 2 for image 1/],
  ];
  for (const [code, change, message] of refused) {
    assert.throws(
      () => checkDataset({ ...sound, ...change }),
      (error) => error instanceof DataError && error.code === code && message.test(error.message),
      message.source,
    );
  }
});

test("numbers out of range are refused", () => {
  const batch = new Float32Array(4);
  const plain = { scale: 1, offset: 0 };
  const refused: [() => unknown, RegExp][] = [
    [() => split(sound, { validation: 2 }), /split: validation must be a whole number from 1 to 1, got 2/],
    [() => split(sound, { validation: 0 }), /split/],
    [() => take(sound, 1, 1), /take: needs 0 <= start < end <= 2, got 1 to 1/],
    [() => take(sound, -1, 1), /take/],
    [() => take(sound, 0, 3), /take/],
    [() => subset(sound, []), /subset: at least one image/],
    [() => subset(sound, [2]), /images are numbered from 0 to 1, got 2/],
    [() => gatherImages(batch, sound, [0, NaN], plain), /gatherImages: images are numbered from 0 to 1, got NaN/],
    [() => gatherImages(batch, sound, [0], plain), /gatherImages: the batch holds 2 numbers, got room for 4/],
    [() => gatherLabels(new Uint8Array(1), sound, [-1]), /gatherLabels/],
  ];
  for (const [call, message] of refused) {
    assert.throws(call, (error) => error instanceof RangeError && message.test(error.message), message.source);
  }
});
