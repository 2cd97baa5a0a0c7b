import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, suite, test } from "node:test";
import { pack, sectionsOf, unpack } from "../../codecs/index.ts";
import { drawWeights, Garden, hiddenUnits, numbers } from "../codecs/lump/planted.ts";
import { smallNetwork } from "../models/small.ts";
import { kilonet, resultOf, workplace, writeSmallData } from "./cli.ts";

const folder = workplace();
const path = (name: string): string => join(folder, name);
const toy = {
  k: 4,
  S: [[0, 1], [2, 3], [4, 5], [6]],
  W: {
    1: { "0,2": 0.1, "1,3": 0.2, "0,3": 0.3, "1,2": 0.4 },
    2: { "2,4": 0.5, "3,4": 0.6, "2,5": 1, "3,5": 1.2 },
    3: { "4,6": 0.7, "5,6": 0.8 },
  },
  b: { 1: { 2: 0.1, 3: 0.2 }, 2: { 4: 0.3, 5: 0.6 }, 3: { 6: 0.4 } },
  A: { 1: { 2: "ReLU", 3: "ReLU" }, 2: { 4: "ReLU", 5: "ReLU" }, 3: { 6: "ReLU" } },
};

before(() => {
  const next = numbers(3);
  const garden = new Garden(smallNetwork(), drawWeights(smallNetwork(), next));
  garden.double(0, 1, 2, next);
  garden.double(1, 3, -1, next);
  const { network, weights } = garden;
  writeFileSync(path("doubled.knet"), pack({ network, sections: sectionsOf(weights) }));
  writeFileSync(path("toy.json"), JSON.stringify(toy));
  writeFileSync(path("weights.csv"), "1x3,3x3,2x0.3,4x0.1,5x-0.6\n2x1,3x2,4x0.5,,\n");
  writeFileSync(path("samples.csv"), "1,2,3,4,5\n2,1,0,1,2\n");
  writeFileSync(path("one.csv"), "1x3,3x3,2x0.3,4x0.1,5x-0.6\n");
});

suite("kilonet lump", () => {
  test("a network file: planted units go, outputs stay, the file opens", async () => {
    const result = await resultOf("lump", path("doubled.knet"), "-o", path("lumped.knet"));
    assert.deepEqual([result.unitsBefore, result.units, result.answersChanged], [13, 11, 0]);
    assert.ok((result.difference as number) <= 1e-5 * (result.largest as number));
    const bytes = readFileSync(path("lumped.knet"));
    assert.equal(result.bytes, bytes.length);
    assert.ok(bytes.length < readFileSync(path("doubled.knet")).length);
    assert.deepEqual(hiddenUnits(unpack(bytes).network), [3, 5, 3]);
  });

  test("a dictionary of neurons: as JSON in and out, and the published text", async () => {
    const result = await resultOf("lump", path("toy.json"), "-o", path("out.json"));
    assert.deepEqual([result.unitsBefore, result.units], [5, 4]);
    const out = JSON.parse(readFileSync(path("out.json"), "utf8")) as typeof toy;
    assert.ok(Math.abs(out.W[3]["4,6"] - 2.3) < 1e-12);
    const { stdout } = await kilonet("lump", path("toy.json"), "-o", path("out.json"));
    assert.match(stdout, /^layer 2: 5 is 2 times what 4 is$/m);
    const published = await kilonet("lump", path("toy.json"), "--faulty-published-text");
    assert.match(published.stdout, /^4\n\{0: .* 5: 0\.5, .*\n.*\(\(4, 5\), \(6,\)\): 1\.1/);
  });

  test("units that fit on images", async () => {
    const train = ["--model", "lenet300", "--epochs", "1", "--data", path("data"), "-o", path("trained.knet")];
    writeSmallData(path("data"));
    await resultOf("train", ...train);
    const words = ["--by-activations", "0.5", "--data", path("data"), "-o", path("fitted.knet")];
    const result = await resultOf("lump", path("trained.knet"), ...words);
    assert.ok((result.units as number) < 300, `${String(result.units)} units`);
    assert.equal((result.images as { of: string }).of, "folder");
    assert.ok(readFileSync(path("fitted.knet")).length < readFileSync(path("trained.knet")).length);
  });
});

suite("kilonet reduce", () => {
  test("the published file", async () => {
    const result = await resultOf("reduce", path("weights.csv"));
    assert.deepEqual(
      (result.neurons as { edges: unknown }[]).map(({ edges }) => edges),
      [[{ cell: 5, input: 5, weight: 2 }], [{ cell: 1, input: 2, weight: 5 }]],
    );
    const { stdout } = await kilonet("reduce", path("weights.csv"));
    assert.match(stdout, /^neuron 1: output 10, 1 of 5 edges stay, off by at most 0\n[^]*^5 +5 +-0\.6 +2$/m);
  });

  test("over many activation vectors", async () => {
    const words = ["--samples", path("samples.csv"), "--edges", "3"];
    const result = await resultOf("reduce", path("one.csv"), ...words);
    const [neuron] = result.neurons as { outputs: number[]; difference: number; edges: unknown[] }[];
    assert.equal(neuron!.outputs.length, 3);
    assert.ok(neuron!.edges.length <= 3 && neuron!.difference < 1e-9, String(neuron!.difference));
  });
});

suite("lump and reduce refuse", () => {
  const refuses = (words: string, code: number, message: RegExp): void => {
    test(words, async () => {
      const { status, stdout, stderr } = await kilonet(...words.replaceAll("FILE", folder).split(" "));
      assert.deepEqual([status, stdout], [code, ""], stderr);
      assert.match(stderr, /^kilonet: [^\n]+\n$/);
      assert.match(stderr, message);
    });
  };
  before(() => {
    writeFileSync(path("cut.json"), '{"k": 4, "S": ');
    writeFileSync(path("missing.json"), JSON.stringify({ ...toy, W: { ...toy.W, 3: { "4,6": 1 } } }));
    writeFileSync(path("text.csv"), "1x2,3x4\n5x6,seven\n");
    writeFileSync(path("plain.csv"), "1,2\n");
    writeFileSync(path("stuck.csv"), "5x1,3x2\n");
  });
  refuses("lump FILE/cut.json -o FILE/a.json", 1, /cut\.json: .*JSON/);
  refuses("lump FILE/missing.json -o FILE/a.json", 1, /missing\.json: dictionary: W\[3\]: the weight of edge 5,6 /);
  refuses("lump FILE/toy.json", 2, /say what to write, with -o/);
  refuses("lump FILE/toy.json --by-activations 0.1 -o FILE/a.json", 2, /needs images, and so a network file/);
  refuses("lump FILE/doubled.knet --faulty-published-text", 2, /takes dictionaries only/);
  refuses("lump FILE/doubled.knet --tolerance 1 -o FILE/a.knet", 2, /from 0 to below 1/);
  refuses("reduce FILE/text.csv", 1, /text\.csv: csv: row 2, cell 2 must be .*, got "seven" \(at byte 12\)/);
  refuses("reduce FILE/plain.csv", 1, /plain\.csv: neuron 1: reduce: cells without inputs need --samples/);
  refuses("reduce FILE/stuck.csv", 1, /stuck\.csv: neuron 1: reduce: 1 of 11 is left over/);
  refuses("reduce FILE/weights.csv --samples FILE/samples.csv", 2, /fit needs to be told how many --edges/);
  refuses("reduce FILE/weights.csv --samples FILE/samples.csv --edges 2", 1, /neuron 2: reduce: .* 2 has 5 inputs/);
  refuses("reduce FILE/one.csv --grid 0.1", 2, /--grid is for multiples and subset, not for greedy/);
  refuses("reduce FILE/one.csv --edges 0", 2, /whole number from 1 up/);
});
