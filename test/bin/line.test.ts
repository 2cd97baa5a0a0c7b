import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, suite, test } from "node:test";
import { type Inspection, toWeights, unpack } from "../../codecs/index.ts";
import type { Weights } from "../../lib/index.ts";
import { contentsOf, jsonOf, kilonet, resultOf, workplace, writeSmallData } from "./cli.ts";

/** SHA-256 of the numbers as the library does not compute it. */
function hashOf(weights: Weights): string {
  const hash = createHash("sha256");
  for (const { values } of weights) {
    const bytes = Buffer.alloc(4 * values.length);
    values.forEach((value, i) => bytes.writeFloatLE(value, 4 * i));
    hash.update(bytes);
  }
  return hash.digest("hex");
}

const nonzeroOf = (values: Float32Array): number => values.reduce((count, value) => count + (value === 0 ? 0 : 1), 0);
const keysOf = (result: object): string[] => Object.keys(result);
const parameters = 266610;

// Train on glyphs, prune there too (the file says what it was trained on), the rest on a few images to save time.
suite("the line on glyphs, command by command", { concurrency: false }, () => {
  const folder = workplace();
  const small = join(folder, "small");
  const path = (name: string): string => join(folder, `${name}.knet`);
  const weightsOf = (name: string): Weights => toWeights(unpack(readFileSync(path(name))));
  const sizeOf = (name: string): number => readFileSync(path(name)).length;
  let trained: Record<string, unknown>;
  let pruned: Record<string, unknown>;

  before(() => writeSmallData(small));

  test("train", async () => {
    const metrics = join(folder, "metrics.jsonl");
    const words = ["--model", "lenet300", "--epochs", "1", "--seed", "7", "--metrics", metrics];
    const [start, epoch, result] = await jsonOf("train", ...words, "-o", path("trained"));
    trained = result!;
    assert.equal(start!.data, "glyphs");
    assert.deepEqual(keysOf(trained).slice(0, 9), [
      "accuracy", "validationAccuracy", "loss", "epochs", "steps", "seconds", "seed", "backend", "sha256",
    ]);
    assert.deepEqual([trained.epochs, trained.steps, trained.seed], [1, 312, 7]);
    assert.match(trained.backend as string, /^wasm: /);
    assert.equal(trained.sha256, hashOf(weightsOf("trained")));
    // A tenth would be chance.
    assert.ok((trained.accuracy as number) > 0.85 && (trained.accuracy as number) <= 1, String(trained.accuracy));
    assert.ok((trained.validationAccuracy as number) > 0.85, String(trained.validationAccuracy));
    const { event, ...record } = epoch!;
    assert.equal(event, "epoch");
    assert.equal(readFileSync(metrics, "utf8"), `${JSON.stringify(record)}\n`);
    assert.equal(record.loss, trained.loss);
  });

  test("prune keeps the share it was told, on the data that the file names", async () => {
    const words = ["--share", "fc1=0.05,fc2=0.1", "--rounds", "1", "--epochs", "1", "--seed", "7"];
    const [start, result] = await jsonOf("prune", path("trained"), ...words, "-o", path("pruned"));
    pruned = result!;
    assert.equal(start!.data, "glyphs");
    const nonzero = Object.fromEntries(weightsOf("pruned").map(({ name, values }) => [name, nonzeroOf(values)]));
    assert.equal(nonzero["fc1.weight"], Math.round(0.05 * 784 * 300));
    assert.equal(nonzero["fc2.weight"], Math.round(0.1 * 300 * 100));
    assert.equal(nonzero["fc3.weight"], 1000, "a layer that was not named keeps all");
    assert.equal(pruned.nonzero, Object.values(nonzero).reduce((sum, count) => sum + count, 0));
    assert.equal(pruned.sha256, hashOf(weightsOf("pruned")));
    assert.ok((pruned.validationAccuracy as number) > 0.85, String(pruned.validationAccuracy));
    assert.equal(pruned.validationAccuracyBefore, trained.validationAccuracy);
  });

  test("quantize leaves so many values, and the zeros", async () => {
    const words = ["--bits", "fc1=3,fc2=4", "--epochs", "2", "--data", small];
    const result = await resultOf("quantize", path("pruned"), ...words, "-o", path("quantized"));
    const weights = weightsOf("quantized");
    const distinct = (...names: string[]): number =>
      new Set(weights.filter(({ name }) => names.includes(name)).flatMap(({ values }) => [...values])).size;
    // Zero is one more than the values shared.
    assert.ok(distinct("fc1.weight") <= 9, "fc1 has 3 bits");
    assert.ok(distinct("fc2.weight") <= 17, "fc2 has 4 bits");
    assert.ok(distinct("fc3.weight") > 17 && distinct("fc3.weight") <= 32, "fc3 has the usual 5");
    assert.ok(distinct("fc1.bias", "fc2.bias", "fc3.bias") <= 33, "biases share as many values as the widest layer");
    assert.equal(result.nonzero, pruned.nonzero);
    assert.equal(result.bytes, sizeOf("quantized"));
    assert.ok(sizeOf("quantized") < sizeOf("pruned"));
  });

  test("compress does all of it at once, the same every time, and leaves metadata out when told", async () => {
    const words = ["--rounds", "1", "--epochs", "1", "--tuning", "1", "--data", small];
    const result = await resultOf("compress", path("trained"), ...words, "-o", path("compressed"));
    assert.equal(result.bytes, sizeOf("compressed"));
    assert.ok((result.ratio as number) > 30, String(result.ratio));
    const again = await resultOf("compress", path("trained"), ...words, "--no-metadata", "-o", path("again"));
    assert.equal(again.sha256, result.sha256);
    assert.equal(unpack(readFileSync(path("again"))).metadata, undefined);
    assert.ok(sizeOf("again") < sizeOf("compressed"));
  });

  test("inspect accounts for every byte", async () => {
    const result = (await resultOf("inspect", path("compressed"))) as unknown as Inspection & { network: string };
    assert.deepEqual([result.bytes, result.network], [sizeOf("compressed"), "lenet300"]);
    let at = 0;
    for (const { start, end } of result.ranges) {
      assert.equal(start, at);
      at = end;
    }
    assert.equal(at, result.bytes);
    assert.equal(result.parts.reduce((sum, { bytes }) => sum + bytes, 0), result.bytes);
    for (const { bytes, fields } of result.parts) {
      assert.equal(fields.reduce((sum, field) => sum + field.bytes, 0), bytes);
    }
    const weights = weightsOf("compressed");
    assert.deepEqual(
      result.tensors.map(({ name, count, nonzero }) => [name, count, nonzero]),
      weights.map(({ name, values }) => [name, values.length, nonzeroOf(values)]),
    );
  });

  test("evaluate says what train said, and what each byte bought", async () => {
    const [result] = await jsonOf("evaluate", path("trained"));
    assert.deepEqual(keysOf(result!).slice(0, 8), [
      "accuracy", "errors", "count", "bytes", "ratio", "parameters", "nonzero", "codec",
    ]);
    assert.equal(result!.accuracy, trained.accuracy);
    assert.deepEqual([result!.count, result!.parameters, result!.codec], [10000, parameters, "float32"]);
    assert.equal(result!.errors, Math.round((1 - (trained.accuracy as number)) * 10000));

    const small60 = await resultOf("evaluate", path("compressed"), "--data", small);
    const bytes = sizeOf("compressed");
    assert.deepEqual([small60.count, small60.bytes, small60.parameters], [60, bytes, parameters]);
    assert.equal(small60.ratio, (4 * parameters) / bytes);
    assert.equal(small60.accuracy, 1 - (small60.errors as number) / 60);
    assert.match(small60.codec as string, /^((sparse )?codebook \((fixed|huffman|rans)\)( \+ |$))+$/);
  });

  test("for people: words instead of JSON, and the device by name", async () => {
    const before = contentsOf(folder);
    const { status, stdout, stderr } = await kilonet("evaluate", path("compressed"), "--data", small);
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(stdout, /^test images +60 of folder \(/m);
    assert.match(stdout, /^accuracy +\d+\.\d\d % \(\d+ errors\)$/m);
    assert.match(stdout, /^device +wasm: /m);
    const inspected = await kilonet("inspect", path("compressed"), "--bytes");
    assert.match(inspected.stdout, /^magic +0 +2$/m);
    assert.match(inspected.stdout, /^fc1\.weight +784 x 300 +235,200 /m);
    assert.deepEqual(contentsOf(folder), before, "looking changes nothing");
  });
});

test("devices lists what runs, and says why something does not", async () => {
  // Looking for a GPU, drivers may have something to say on standard error.
  const { status, stdout } = await kilonet("devices", "--json");
  assert.equal(status, 0);
  const { devices } = JSON.parse(stdout) as { devices: { device: string; description: string | null }[] };
  assert.deepEqual([...new Set(devices.map(({ device }) => device))], ["wasm", "reference", "gpu"]);
  assert.match(devices.find(({ device }) => device === "reference")!.description!, /^reference /);
});
