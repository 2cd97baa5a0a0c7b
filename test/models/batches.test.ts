import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { type Batch, batchesOf } from "../../models/index.ts";
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

  test("a batch is known by its number: any order of asking gives the same", () => {
    const numbers = fc.array(fc.nat(12), { minLength: 1, maxLength: 8 });
    const forth = batchesOf(data, input, { size: 5, seed: 3 });
    const known = Array.from({ length: 13 }, (_, number) => copy(forth.at(number)));
    fc.assert(
      fc.property(numbers, (asked) => {
        const batches = batchesOf(data, input, { size: 5, seed: 3 });
        for (const number of asked) assert.deepEqual(batches.at(number), known[number]);
      }),
    );
  });

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
});
