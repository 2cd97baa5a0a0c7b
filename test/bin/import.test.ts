import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, suite, test } from "node:test";
import { findMnist } from "../../bin/node/index.ts";
import { readMrcl, toWeights, unpack } from "../../codecs/index.ts";
import { mrclFile, noPublished, publishedFolder } from "../codecs/mrcl/files.ts";
import { contentsOf, kilonet, resultOf, workplace, writeSmallData } from "./cli.ts";

const mnist = (await findMnist()) !== null;
const folder = workplace();
const path = (name: string): string => join(folder, name);
/** As large as the published one of 336 bytes, of indices that follow a pattern. */
const bytes = mrclFile({
  block: 30,
  bits: 10,
  logScales: Float32Array.of(-1.5, 0.25),
  indices: Uint32Array.from({ length: 262 }, (_, i) => (i * i * 31 + 7) % 1024),
});

before(() => {
  writeSmallData(path("data"));
  writeFileSync(path("good.mrcl"), bytes);
  writeFileSync(path("cut.mrcl"), bytes.subarray(0, -1));
  writeFileSync(path("padding.mrcl"), Uint8Array.of(...bytes.subarray(0, -1), bytes.at(-1)! | 1));
  writeFileSync(path("old.knet"), "an earlier file");
});

suite("import", { concurrency: false }, () => {
  test("writes the weights of a legacy file, bit for bit, the same bytes every time", async () => {
    const words = ["import", path("good.mrcl"), "--model", "softmax", "--block", "30", "-o"];
    const result = await resultOf(...words, path("a.knet"), "--metadata");
    const written = readFileSync(path("a.knet"));
    const file = unpack(written);
    assert.deepEqual(toWeights(file), readMrcl(bytes, { model: "softmax", block: 30, bits: 10 }));
    assert.equal(file.network.name, "softmax");
    const weights = result.sha256;
    assert.deepEqual(file.metadata, [["imported", "mrcl, 30 scalars at 10 bits"], ["weights", weights]]);
    assert.deepEqual(
      [result.block, result.bits, result.bytesBefore, result.bytes, result.parameters],
      [30, 10, 336, written.length, 7850],
    );
    assert.deepEqual([result.accuracy, result.errors, result.backend], [null, null, null], "nothing was measured");
    assert.equal(result.codec, "legacy");
    await resultOf(...words, path("b.knet"), "--bits", "10", "--metadata");
    assert.deepEqual(readFileSync(path("b.knet")), written);
  });

  test("measures the network on the images it is given, as evaluate does with the file", async () => {
    const words = ["--model", "softmax", "--bits", "10", "-o", path("c.knet")];
    const result = await resultOf("import", path("good.mrcl"), ...words, "--data", path("data"));
    assert.equal(unpack(readFileSync(path("c.knet"))).metadata, undefined);
    assert.equal(result.bytes, readFileSync(path("c.knet")).length);
    const found = await resultOf("evaluate", path("c.knet"), "--data", path("data"));
    const keys = ["accuracy", "errors", "count", "bytes", "ratio", "parameters", "nonzero", "codec"] as const;
    for (const key of keys) assert.equal(result[key], found[key], key);
    assert.equal(found.count, 60);
  });

  test("falls back on other methods for what the format has no spelling for: 13 bits", async () => {
    const large = mrclFile({
      block: 30,
      bits: 13,
      logScales: Float32Array.of(-1.5, 0.25),
      indices: Uint32Array.from({ length: 262 }, (_, i) => (i * i * 31 + 7) % 8192),
    });
    writeFileSync(path("large.mrcl"), large);
    const words = ["--model", "softmax", "--bits", "13", "-o", path("d.knet")];
    const result = await resultOf("import", path("large.mrcl"), ...words);
    const weights = readMrcl(large, { model: "softmax", bits: 13 });
    assert.deepEqual(toWeights(unpack(readFileSync(path("d.knet")))), weights);
    assert.notEqual(result.codec, "legacy");
  });

  const skip = noPublished || (!mnist && "MNIST was not found");
  test("the published LeNet-5 of 1,140 bytes makes its 97 errors", { skip }, async () => {
    const published = join(publishedFolder()!, "lenet5_30_10_v1.mrcl");
    const words = ["--model", "lenet5", "--bits", "10", "--data", "mnist", "-o", path("lenet5.knet")];
    const { errors, count, block, bytesBefore, bytes } = await resultOf("import", published, ...words);
    assert.deepEqual([errors, count, block, bytesBefore, bytes], [97, 10000, 30, 1140, 1104]);
    await resultOf("import", published, ...words, "--metadata");
    const again = await resultOf("evaluate", path("lenet5.knet"));
    assert.equal(again.errors, 97, "by default on the images that the file names");
  });
});

// Each through the real command line; what the library refuses besides is in test/codecs/mrcl.
suite("import refuses, and writes nothing:", { concurrency: 2 }, () => {
  let unchanged: Record<string, string>;
  before(() => (unchanged = contentsOf(folder)));
  const good = "FILE/good.mrcl --model softmax";
  const refuses = (what: string, words: string, code: number, message: RegExp): void => {
    test(what, async () => {
      const output = words.includes("-o") ? [] : ["-o", path("old.knet")];
      const all = ["import", ...words.replaceAll("FILE", folder).split(" "), ...output, "--json"];
      const { status, stdout, stderr } = await kilonet(...all);
      assert.deepEqual([status, stdout], [code, ""], stderr);
      assert.match(stderr, /^kilonet: [^\n]+\n$/);
      assert.match(stderr, message);
      assert.deepEqual(contentsOf(folder, { except: ".kilonet-part" }), unchanged);
    });
  };
  const several = /good\.mrcl: mrcl: 336 bytes may be softmax in .* 30 at 10 bits, .*: say block or bits$/m;
  refuses("to choose among what fits", good, 2, several);
  refuses("another model", "FILE/good.mrcl --model lenet5", 1, /good\.mrcl: mrcl: no lenet5 takes 336 bytes: another/);
  refuses("another block", `${good} --block 20 --bits 10`, 1, /takes 500 bytes, got 336: another model, block or bits/);
  refuses("a block of no width", `${good} --block 41`, 2, /block must be a whole number from 1 to 40, got 41/);
  refuses("a file cut short", "FILE/cut.mrcl --model softmax --block 30 --bits 10", 1, /takes 336 bytes, got 335/);
  refuses("bits left over", "FILE/padding.mrcl --model softmax --bits 10", 1, /last 4 bits of the byte must be zero/);
  refuses("no file", "FILE/no.mrcl --model softmax", 1, /no\.mrcl: no such file or folder/);
  refuses("no model", "FILE/good.mrcl", 2, /required option '--model <name>' not specified/);
  refuses("a place that is none", `${good} --bits 10 -o FILE/no/a.knet`, 1, /no\/a\.knet: no such file or folder/);
});
