import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { findMnist, openData } from "../../../bin/node/index.ts";
import { legacyCode, pack, sectionsOf, toWeights, unpack } from "../../../codecs/index.ts";
import { mrclModels } from "../../../codecs/mrcl/model.ts";
import { readMrcl, readMrclContent } from "../../../codecs/mrcl/readMrcl.ts";
import { createRuntime } from "../../../lib/index.ts";
import { type Dataset, network, predict } from "../../../models/index.ts";
import { mrclFile, noPublished, publishedFolder } from "./files.ts";

interface Published {
  readonly name: string;
  readonly model: keyof typeof mrclModels;
  readonly block: number;
  /** The beginning of the file's SHA-256. */
  readonly sha256: string;
  readonly indexSum: number;
  /** Of a file of ours in method 7, without metadata. */
  readonly bytes: number;
  /** Of the trained scalars: sum, and sum of squares. */
  readonly sums: readonly [number, number];
  /** Of the 10,000 test images, by class. The two highest outputs are never nearer than 0.0008: no rounding matters. */
  readonly errors: readonly number[];
}

const published: readonly Published[] = [
  {
    name: "lenet5_20_10_v1", model: "lenet5", block: 20, sha256: "2e82620e78004650", indexSum: 697235, bytes: 1600,
    sums: [-119.2126, 596.4397], errors: [6, 3, 9, 7, 9, 9, 12, 7, 7, 14],
  },
  {
    name: "lenet5_30_10_v1", model: "lenet5", block: 30, sha256: "45df8f188cc6b41a", indexSum: 467876, bytes: 1104,
    sums: [-185.6311, 563.4351], errors: [4, 5, 6, 8, 11, 9, 14, 9, 8, 23],
  },
  {
    name: "softmax_15_10", model: "softmax", block: 15, sha256: "9098ccfc6dee2685", indexSum: 261412, bytes: 596,
    sums: [8.5916, 504.0569], errors: [28, 26, 121, 103, 76, 119, 56, 98, 122, 99],
  },
  {
    name: "softmax_30_10", model: "softmax", block: 30, sha256: "66365a3e0f95f7cd", indexSum: 138915, bytes: 305,
    sums: [39.1782, 394.7639], errors: [39, 39, 147, 102, 75, 149, 97, 105, 147, 123],
  },
  {
    name: "linear_15_10", model: "linear", block: 15, sha256: "0c823acb2ac0ff75", indexSum: 274509, bytes: 596,
    sums: [11.1309, 496.0634], errors: [23, 28, 115, 101, 75, 125, 59, 84, 122, 105],
  },
  {
    name: "linear_30_10", model: "linear", block: 30, sha256: "d2ac1891370ed9c3", indexSum: 133212, bytes: 293,
    sums: [19.3710, 341.7137], errors: [70, 25, 178, 199, 165, 110, 138, 149, 217, 118],
  },
];

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
const bytesOf = ({ name }: Published): Buffer => readFileSync(join(publishedFolder()!, `${name}.mrcl`));

suite("the published files", { skip: noPublished }, () => {
  for (const file of published) {
    const { name, model, block } = file;

    test(`${name} holds the indices and scalars it is known for`, () => {
      const bytes = bytesOf(file);
      assert.ok(createHash("sha256").update(bytes).digest("hex").startsWith(file.sha256));
      const content = readMrclContent(bytes, { model, bits: 10 });
      assert.equal(content.block, block);
      assert.equal(sum([...content.indices]), file.indexSum);
      assert.deepEqual(mrclFile(content), new Uint8Array(bytes));
      // Of each group of shared numbers one.
      const scalars = readMrcl(bytes, { model, bits: 10 }).flatMap(({ values }, i) => {
        const g = mrclModels[model].hashGroups[i]!;
        const shared = values.length - (values.length % g);
        return [...values].filter((_, at) => at >= shared || at % g === 0);
      });
      const found = [sum(scalars), sum(scalars.map((w) => w * w))];
      found.forEach((value, i) => assert.ok(Math.abs(value - file.sums[i]!) < 1e-3, String(value)));
    });

    test(`${name} goes into a file of ours and out of it without a change`, () => {
      const weights = readMrcl(bytesOf(file), { model, bits: 10 });
      const packed = pack({ network: network(model), sections: sectionsOf(weights) });
      assert.deepEqual(toWeights(unpack(packed)), weights);
    });

    test(`${name} takes fewer bytes in a file of ours, with the same weights`, () => {
      const original = bytesOf(file);
      const tensors = mrclModels[model].tensors.map(({ name }) => name);
      const coded = legacyCode(original, { model, bits: 10 })!;
      const packed = pack({ network: network(model), sections: [{ tensors, coded }] });
      assert.ok(packed.length < original.length);
      assert.equal(packed.length, file.bytes);
      assert.deepEqual(toWeights(unpack(packed)), readMrcl(original, { model, bits: 10 }));
    });
  }
});

const noImages = noPublished || ((await findMnist()) === null && "MNIST was not found");

suite("the published files on the MNIST test images", { skip: noImages }, () => {
  let images: Promise<Dataset> | undefined;
  for (const file of published) {
    const total = sum(file.errors);
    test(`${file.name} makes its ${total} errors`, async () => {
      const data = await (images ??= openData("mnist").then((source) => source.test()));
      const weights = readMrcl(bytesOf(file), { model: file.model, bits: 10 });
      const runtime = await createRuntime();
      const { classes } = await predict({ runtime, network: network(file.model), weights, data });
      await runtime.close();
      const errors = new Array<number>(10).fill(0);
      classes.forEach((found, i) => (errors[data.labels[i]!]! += found === data.labels[i] ? 0 : 1));
      assert.deepEqual(errors, file.errors);
    });
  }

  test("together: 83, 97, 848, 1,023, 837 and 1,369", () => {
    assert.deepEqual(published.map(({ errors }) => sum(errors)), [83, 97, 848, 1023, 837, 1369]);
  });
});
