import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { augment, type Batch, batchesOf, gatherImages, type TrainingAugmentation } from "../../models/index.ts";
import { smallData, smallNetwork } from "./small.ts";

const { input } = smallNetwork();
const data = smallData(23);

function copy({ indices, images, labels }: Batch): Batch {
  return { indices: indices.slice(), images: images.slice(), labels: labels.slice() };
}

suite("batches", () => {
  test("an epoch reads every image at most once and leaves less than a batch over", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), fc.nat(1000), fc.nat(5), (size, seed, epoch) => {
        const batches = batchesOf(data, input, { size, seed });
        assert.equal(batches.size, Math.min(size, 23));
        const seen = new Set<number>();
        for (let i = 0; i < batches.perEpoch; i++) {
          for (const index of batches.at(epoch * batches.perEpoch + i).indices) {
            assert.ok(index < 23 && !seen.has(index), `image ${index}`);
            seen.add(index);
          }
        }
        assert.ok(23 - seen.size < batches.size, `${seen.size} images of 23 in batches of ${batches.size}`);
      }),
    );
  });

  for (const augmentation of [undefined, { copies: 3, original: 0.5 }]) {
    const what = augmentation === undefined ? "a batch" : "a batch of copies";
    test(`${what} is known by its number: any order of asking gives the same`, () => {
      const numbers = fc.array(fc.nat(12), { minLength: 1, maxLength: 8 });
      const forth = batchesOf(data, input, { size: 5, seed: 3, augmentation });
      const known = Array.from({ length: 13 }, (_, number) => copy(forth.at(number)));
      fc.assert(
        fc.property(numbers, (asked) => {
          const batches = batchesOf(data, input, { size: 5, seed: 3, augmentation });
          for (const number of asked) assert.deepEqual(batches.at(number), known[number]);
        }),
      );
    });
  }

  test("holds the images it names, scaled, and their labels", () => {
    const { indices, images, labels } = batchesOf(data, input, { size: 5, seed: 1 }).at(2);
    indices.forEach((index, i) => {
      assert.equal(labels[i], data.labels[index]);
      for (let p = 0; p < 36; p++) {
        assert.equal(images[i * 36 + p], Math.fround((data.images[index * 36 + p]! - 10) * (1 / 255)));
      }
    });
  });

  test("epochs and seeds differ in order", () => {
    const order = (seed: number, number: number): string =>
      batchesOf(data, input, { size: 23, seed }).at(number).indices.join();
    assert.equal(new Set([order(1, 0), order(1, 1), order(2, 0)]).size, 3);
  });

  test("with augmentation a picture is the one of its place in the pool, under the label of its original", () => {
    const augmentation: TrainingAugmentation = { copies: 4, original: 0.4, seed: 9, shift: 1 };
    const pool = augment(data, augmentation);
    const batches = batchesOf(data, input, { size: 6, seed: 2, augmentation });
    const atHand = batchesOf(data, input, { size: 6, seed: 2, augmentation, pool });
    assert.equal(batches.pictures, pool.count);
    const images = new Float32Array(6 * 36);
    for (let number = 0; number < 7; number++) {
      const batch = batches.at(number);
      gatherImages(images, pool, batch.indices, input);
      assert.deepEqual(batch.images, images);
      assert.deepEqual(atHand.at(number), batch);
      assert.deepEqual(Array.from(batch.labels), Array.from(batch.indices, (place) => pool.labels[place]!));
    }
  });

  test("with augmentation images come in the same order, as themselves as often as is said, else as any copy", () => {
    const epochs = 120;
    for (const original of [0, 0.25, 1]) {
      const plain = batchesOf(data, input, { size: 23, seed: 7 });
      const batches = batchesOf(data, input, { size: 23, seed: 7, augmentation: { copies: 3, original } });
      const seen = [0, 0, 0, 0];
      const ofFirst = new Set<number>();
      for (let epoch = 0; epoch < epochs; epoch++) {
        const { indices } = batches.at(epoch);
        assert.deepEqual(indices.map((place) => place % 23), plain.at(epoch).indices);
        for (const place of indices) {
          seen[Math.floor(place / 23)]!++;
          if (place % 23 === 0) ofFirst.add(Math.floor(place / 23));
        }
      }
      const shares = seen.map((count) => count / (23 * epochs));
      const expected = [original, ...Array.from({ length: 3 }, () => (1 - original) / 3)];
      shares.forEach((share, copy) => {
        const close = original === 1 ? share === expected[copy] : Math.abs(share - expected[copy]!) < 0.04;
        assert.ok(close, `copy ${copy}: ${share}, not ${expected[copy]}`);
      });
      if (original === 0) assert.equal(seen[0], 0);
      assert.equal(ofFirst.size, expected.filter((share) => share > 0).length, "an image changes its copy with epochs");
    }
  });

  test("refuses a share of originals that is none, and more pictures than can be numbered", () => {
    const refuses = (augmentation: TrainingAugmentation, message: RegExp): void =>
      assert.throws(() => batchesOf(data, input, { size: 5, seed: 1, augmentation }), { name: "RangeError", message });
    refuses({ original: 1.1 }, /^augment: original must be a number from 0 to 1, got 1.1/);
    refuses({ original: NaN }, /original/);
    refuses({ copies: 0 }, /copies/);
    const pool = augment(data, { copies: 2 });
    const options = { size: 5, seed: 1, augmentation: { copies: 3 }, pool };
    assert.throws(() => batchesOf(data, input, options), { message: /must hold 23 images and 3 copies of each/ });
    const bytes = new Uint8Array(5000);
    const many = { ...data, images: bytes, labels: bytes, count: 5000, height: 1, width: 1 };
    const augmentation = { copies: 2 ** 20 - 1 };
    const one = { ...input, height: 1, width: 1 };
    assert.throws(() => batchesOf(many, one, { size: 5, seed: 1, augmentation }), { message: /^augment: pictures/ });
  });
});
