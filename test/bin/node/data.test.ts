import assert from "node:assert/strict";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { gzipSync } from "node:zlib";
import { findMnist, openData } from "../../../bin/node/index.ts";
import { glyphs, take } from "../../../models/index.ts";
import { workplace, writeData } from "../cli.ts";

const folder = workplace();

suite("a folder of images", () => {
  test("sets the last sixth aside, at most 5,000 and one at least", async () => {
    const images = glyphs({ count: 37, seed: 2 });
    for (const [count, aside] of [[2, 1], [11, 1], [12, 2], [37, 6]] as const) {
      const path = join(folder, `of-${count}`);
      writeData(path, { training: take(images, 0, count), test: images });
      const source = await openData(path);
      const { training, validation } = await source.learning();
      assert.deepEqual([training.count, validation.count], [count - aside, aside]);
      assert.deepEqual(training.images, images.images.subarray(0, 784 * (count - aside)));
      assert.deepEqual(validation.labels, images.labels.subarray(count - aside, count));
      assert.equal((await source.test()).count, 37);
    }
  });

  test("of 30,000 and more sets 5,000 aside", async () => {
    const path = join(folder, "many");
    const one = { height: 1, width: 1, channels: 1, classes: ["0"] };
    const many = { ...one, count: 40000, images: new Uint8Array(40000), labels: new Uint8Array(40000) };
    writeData(path, { training: many, test: many });
    const { training, validation } = await (await openData(path)).learning();
    assert.deepEqual([training.count, validation.count], [35000, 5000]);
  });

  test("may hold gzipped files", async () => {
    const path = join(folder, "gzipped");
    const images = glyphs({ count: 3, seed: 2 });
    writeData(path, { training: images, test: images });
    const file = join(path, "t10k-images-idx3-ubyte");
    writeFileSync(`${file}.gz`, gzipSync(readFileSync(file)));
    renameSync(file, `${file}.other`);
    assert.deepEqual((await (await openData(path)).test()).images, images.images);
  });
});

test("mnist is first looked for in KILONET_DATA", async () => {
  const before = process.env.KILONET_DATA;
  const images = glyphs({ count: 3, seed: 2 });
  writeData(join(folder, "mnist"), { training: images, test: images });
  mkdirSync(join(folder, "empty"));
  try {
    process.env.KILONET_DATA = folder;
    assert.equal(await findMnist(), join(folder, "mnist"));
    const source = await openData("mnist");
    assert.deepEqual([source.name, source.origin], ["mnist", join(folder, "mnist")]);
    process.env.KILONET_DATA = join(folder, "empty");
    assert.notEqual(await findMnist(), join(folder, "empty", "mnist"));
  } finally {
    if (before === undefined) delete process.env.KILONET_DATA;
    else process.env.KILONET_DATA = before;
  }
});

test("glyphs: 20,000 to train on, 5,000 beside them, and 10,000 others", async () => {
  const source = await openData("glyphs");
  const { training, validation } = await source.learning();
  const sizes = [training, validation, await source.test()].map(({ count }) => count);
  assert.deepEqual(sizes, [20000, 5000, 10000]);
});
