import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { checkDataset } from "../../../models/data/dataset.ts";
import { DataError } from "../../../models/data/error.ts";
import { readIdx } from "../../../models/data/idx.ts";

function file(magic: number, sizes: readonly number[], body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + 4 * sizes.length + body.length);
  const view = new DataView(bytes.buffer);
  [magic, ...sizes].forEach((field, i) => view.setUint32(4 * i, field));
  bytes.set(body, bytes.length - body.length);
  return bytes;
}

const imageFile = (sizes: readonly number[], body: Uint8Array) => file(2051, sizes, body);
const labelFile = (body: Uint8Array) => file(2049, [body.length], body);

const files = fc
  .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 }))
  .chain(([count, height, width]) => {
    const size = count * height * width;
    return fc.record({
      sizes: fc.constant([count, height, width]),
      pixels: fc.uint8Array({ minLength: size, maxLength: size }),
      labels: fc.uint8Array({ minLength: count, maxLength: count, max: 9 }),
    });
  });

const squeeze = (bytes: Uint8Array, gzipped: boolean) => (gzipped ? gzipSync(bytes) : bytes);

test("what the two files hold comes back, gzipped or not", async () => {
  await fc.assert(
    fc.asyncProperty(files, fc.boolean(), fc.boolean(), async ({ sizes, pixels, labels }, first, second) => {
      const data = await readIdx(squeeze(imageFile(sizes, pixels), first), squeeze(labelFile(labels), second));
      assert.deepEqual([data.count, data.height, data.width, data.channels], [...sizes, 1]);
      assert.deepEqual(data.images, new Uint8Array(pixels));
      assert.deepEqual(data.labels, new Uint8Array(labels));
      assert.deepEqual(data.classes, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    }),
  );
});

test("damaged bytes end in DataError or in a sound set, never otherwise", async () => {
  const damage = fc.oneof(
    fc.record({ kind: fc.constant("cut"), at: fc.nat(), value: fc.nat({ max: 255 }) }),
    fc.record({ kind: fc.constant("extend"), at: fc.nat(), value: fc.nat({ max: 255 }) }),
    fc.record({ kind: fc.constant("change"), at: fc.nat(), value: fc.nat({ max: 255 }) }),
  );
  const damaged = (bytes: Uint8Array, { kind, at, value }: { kind: string; at: number; value: number }) => {
    if (kind === "cut") return bytes.slice(0, at % bytes.length);
    if (kind === "extend") return Uint8Array.of(...bytes, ...new Uint8Array(1 + (at % 9)).fill(value));
    const copy = new Uint8Array(bytes);
    copy[at % copy.length] = value;
    return copy;
  };
  await fc.assert(
    fc.asyncProperty(files, damage, fc.boolean(), fc.boolean(), async ({ sizes, pixels, labels }, harm, which, zip) => {
      const first = squeeze(imageFile(sizes, pixels), zip);
      const second = squeeze(labelFile(labels), zip);
      try {
        const data = await readIdx(which ? damaged(first, harm) : first, which ? second : damaged(second, harm));
        checkDataset(data);
        assert.equal(harm.kind, "change");
      } catch (error) {
        assert.ok(error instanceof DataError, String(error));
        assert.match(error.message, /^idx/);
        assert.doesNotMatch(error.message, /\n/);
      }
    }),
    { numRuns: 300 },
  );
});

const pixels = Uint8Array.of(1, 2, 3, 4, 5, 6);
const images = imageFile([3, 1, 2], pixels);
const labels = labelFile(Uint8Array.of(7, 0, 9));

/** A gzip file that declares a length that is not its own. */
function declaring(bytes: Uint8Array, size: number): Uint8Array {
  const zipped = new Uint8Array(gzipSync(bytes));
  new DataView(zipped.buffer).setUint32(zipped.length - 4, size, true);
  return zipped;
}

test("each fault has its code, its place and one clear line", async () => {
  const zipped = gzipSync(images);
  const bomb = gzipSync(new Uint8Array(2 ** 20));
  const huge = 0xffffffff;
  const refused: [string, number | undefined, Uint8Array, Uint8Array, RegExp][] = [
    ["idx-header", 0, new Uint8Array(0), labels, /idx images: the header has 16 bytes, the file only 0/],
    ["idx-header", 15, images.slice(0, 15), labels, /the file only 15/],
    ["idx-header", 7, images, labels.slice(0, 7), /idx labels: the header has 8 bytes, the file only 7/],
    ["idx-magic", 0, file(2049, [3, 1, 2], pixels), labels, /idx images: the magic number must be 2051, got 2049/],
    ["idx-magic", 0, images, images, /idx labels: the magic number must be 2049, got 2051/],
    ["idx-empty", 4, imageFile([0, 28, 28], new Uint8Array(0)), labels, /idx images: the file is empty/],
    ["idx-empty", 4, images, labelFile(new Uint8Array(0)), /idx labels: the file is empty/],
    ["idx-size", 8, imageFile([3, 0, 2], new Uint8Array(0)), labels, /must be 1 or more, got 0 and 2/],
    ["idx-truncated", 21, images.slice(0, 21), labels, /6 bytes must follow the header, the file ends after 5/],
    ["idx-truncated", 22, imageFile([huge, huge, huge], pixels), labels, /the file ends after 6/],
    // 2^16 * 2^16 * 1 is 0 modulo 2^32: a product of 32-bit integers would take this for an empty body.
    ["idx-truncated", 16, imageFile([65536, 65536, 1], new Uint8Array(0)), labels, /4294967296 bytes must follow/],
    ["idx-trailing", 22, Uint8Array.of(...images, 0), labels, /6 bytes must follow the header, 1 more are there/],
    ["idx-truncated", 10, images, labels.slice(0, 10), /idx labels: 3 bytes must follow the header/],
    ["idx-label", 9, images, labelFile(Uint8Array.of(7, 10, 9)), /labels go from 0 to 9, got 10 for image 1/],
    ["idx-count", 4, images, labelFile(Uint8Array.of(7, 0)), /3 images, but 2 labels/],
    ["gzip-limit", bomb.length - 4, bomb, labels, /holds 1048576 bytes, the limit is 100000/],
    ["gzip-damaged", undefined, zipped.subarray(0, 2), labels, /idx images: the gzip data is damaged/],
    ["gzip-damaged", undefined, zipped.subarray(0, 17), labels, /cut short/],
    ["gzip-damaged", undefined, declaring(images, 22).fill(0xff, 12, 20), labels, /damaged/],
    ["gzip-damaged", undefined, images, declaring(labels, 10), /idx labels: the gzip data/],
    ["gzip-damaged", undefined, declaring(images, 23), labels, /gzip/],
    ["gzip-damaged", undefined, declaring(images, 1e5), labels, /gzip/],
    // Declares little and holds a lot.
    ["gzip-damaged", undefined, declaring(new Uint8Array(2 ** 20), 100), labels, /gzip/],
    // Bytes after the end: zeros, anything, a second member.
    ["gzip-damaged", undefined, Uint8Array.of(...zipped, 0, 0, 0, 0), labels, /followed by other bytes/],
    ["gzip-damaged", undefined, Uint8Array.of(...zipped, 0, 100, 0, 0, 0), labels, /gzip/],
    ["gzip-damaged", undefined, Uint8Array.of(...zipped, 1), labels, /gzip/],
    ["gzip-damaged", undefined, Uint8Array.of(...zipped, ...zipped), labels, /gzip/],
  ];
  for (const [code, offset, first, second, message] of refused) {
    await assert.rejects(readIdx(first, second, { limit: 100000 }), (error) => {
      assert.ok(error instanceof DataError, String(error));
      assert.match(error.message, message);
      assert.deepEqual([error.code, error.offset], [code, offset]);
      return true;
    });
  }
});

test("a part of a larger buffer is read from where it starts", async () => {
  const around = Uint8Array.of(9, 9, 9, ...images, 9);
  const data = await readIdx(around.subarray(3, 3 + images.length), Buffer.from(labels));
  assert.deepEqual([...data.images], [...pixels]);
  assert.equal(Object.getPrototypeOf(data.labels), Uint8Array.prototype);
});

test("other classes can be named", async () => {
  const letters = ["a", "b"];
  const data = await readIdx(images, labelFile(Uint8Array.of(0, 1, 1)), { classes: letters });
  assert.deepEqual(data.classes, letters);
  await assert.rejects(readIdx(images, labels, { classes: letters }), { code: "idx-label" });
});

const folder = process.env.KILONET_DATA;

test("MNIST reads", { skip: folder ? false : "KILONET_DATA is not set" }, async () => {
  const part = async (name: string) =>
    readIdx(
      await readFile(join(folder!, "mnist", `${name}-images-idx3-ubyte.gz`)),
      await readFile(join(folder!, "mnist", `${name}-labels-idx1-ubyte.gz`)),
    );
  const training = await part("train");
  const testing = await part("t10k");
  assert.deepEqual([training.count, training.height, training.width], [60000, 28, 28]);
  assert.deepEqual([...training.labels.slice(0, 10)], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
  assert.deepEqual([...testing.labels.slice(0, 5)], [7, 2, 1, 0, 4]);
  // The published mean of the training pixels is 0.1307.
  let sum = 0;
  for (const pixel of training.images) sum += pixel;
  assert.ok(Math.abs(sum / training.images.length / 255 - 0.1307) < 0.00005);
});
