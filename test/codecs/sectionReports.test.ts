import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { code, codeExactly, pack, reportTotals, sectionReports, share } from "../../codecs/index.ts";
import { type CodeOptions } from "../../codecs/code.ts";
import { softmax } from "../../lib/architectures.ts";

const bias = { tensors: ["fc1.bias"], coded: codeExactly(new Float32Array(10)) };

/** The report of 7,840 weights of which one in `every` is kept, and the size of the whole file. */
function reportOf(every: number, size: number, options: CodeOptions = {}) {
  const values = Float32Array.from({ length: 7840 }, (_, i) => (i % every === 0 ? 1 + ((i * 31) % 97) / 97 : 0));
  const sections = [{ tensors: ["fc1.weight"], coded: code(share(values, { size }), options) }, bias];
  const file = pack({ network: softmax, sections });
  return { reports: sectionReports(file), bytes: file.length, values };
}

test("what sections and their parts take adds up to the file", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }), (every, size) => {
      const { reports, bytes, values } = reportOf(every, size);
      // Magic, version, head and checksum stand around the sections.
      assert.equal(reports.reduce((sum, report) => sum + report.bytes, 0), bytes - 3 - 1 - 1 - 4);
      const report = reports[0]!;
      assert.deepEqual(report.tensors, ["fc1.weight"]);
      assert.deepEqual([report.weights, report.kept], [7840, values.filter((value) => value !== 0).length]);
      // One byte names the method.
      assert.equal(report.bytes, 1 + report.codebookBytes + report.placesBytes + report.indicesBytes);
      assert.equal(report.weightBits, Math.ceil(Math.log2(report.centres!)));
    }),
    { numRuns: 50 },
  );
});

test("columns are the paper's: bits per weight kept, before coding and after", () => {
  const { reports } = reportOf(8, 16, { coders: ["huffman"] });
  const report = reports[0]!;
  assert.equal(report.method, "sparse codebook");
  assert.deepEqual([report.kept, report.centres, report.weightBits], [980, 16, 4]);
  // Gaps of 8, always: 3 bits would need one more each to tell the largest gap from a filler, 4 do not.
  assert.equal(report.indexBits, 3);
  assert.equal(report.fixedBytes, 4 * 16 + (980 * (4 + 3 + 1)) / 8);
  assert.equal(report.codedBits, (8 * report.indicesBytes) / 980);
  assert.equal(report.codedIndexBits, (8 * report.placesBytes) / 980);
  assert.ok(report.codedIndexBits < 1.1, "the same gap every time costs a bit with Huffman, at most");
});

test("what a method has not is null", () => {
  const values = Float32Array.from({ length: 7840 }, (_, i) => Math.fround(Math.sin(i)));
  const weight = { tensors: ["fc1.weight"], coded: { method: "float32", values } as const };
  const [raw, zero] = sectionReports(pack({ network: softmax, sections: [weight, bias] }));
  assert.deepEqual(
    [raw!.weightBits, raw!.indexBits, raw!.fixedBytes, raw!.codedIndexBits, raw!.centres],
    [null, null, null, null, null],
  );
  assert.equal(raw!.codedBits, (8 * raw!.bytes) / raw!.kept);
  assert.deepEqual([zero!.kept, zero!.codedBits, zero!.fixedBytes], [0, null, 0]);
});

test("what pruning alone leaves is places and numbers of 32 bits", () => {
  const values = Float32Array.from({ length: 7840 }, (_, i) => (i % 11 === 0 ? Math.fround(Math.sin(i + 1)) : 0));
  const coded = codeExactly(values);
  const reports = sectionReports(pack({ network: softmax, sections: [{ tensors: ["fc1.weight"], coded }, bias] }));
  const report = reports[0]!;
  assert.deepEqual([report.method, report.kept], ["sparse float32", 713]);
  // A byte for the method, then places and numbers.
  assert.equal(report.bytes, 1 + report.placesBytes + 4 * 713);
  assert.equal(report.codedIndexBits, (8 * report.placesBytes) / 713);
  assert.equal(report.codedBits, (8 * (1 + 4 * 713)) / 713);
  assert.deepEqual([report.centres, report.fixedBytes, report.codebookBytes], [null, null, 0]);
  const [indices, places, all] = reportTotals(reports).rates.map(({ coded }) => Math.round(coded * 4 * 7850));
  assert.equal(all, report.bytes + reports[1]!.bytes);
  assert.equal(places, all! - 1, "but for the byte of the method of the biases, which have no places of their own");
  assert.equal(places! - indices!, report.placesBytes + reports[1]!.placesBytes);
});

test("totals are sums, and bits are means over what is kept", () => {
  const { reports, bytes } = reportOf(8, 16, { coders: ["huffman"] });
  const totals = reportTotals(reports);
  assert.deepEqual([totals.weights, totals.kept], [7850, 980]);
  assert.equal(totals.bytes, bytes - 9);
  // The biases are all 0, and weigh nothing.
  assert.deepEqual([totals.weightBits, totals.indexBits], [4, 3]);
  assert.deepEqual([totals.codedBits, totals.codedIndexBits], [reports[0]!.codedBits, reports[0]!.codedIndexBits]);

  const few = { ...reports[0]!, kept: 10, weightBits: 8, codedBits: 6, indexBits: 0, codedIndexBits: null };
  const most = { ...reports[0]!, kept: 30, weightBits: 4, codedBits: 2, indexBits: 5, codedIndexBits: 3 };
  const { weightBits, codedBits, indexBits, codedIndexBits } = reportTotals([few, most]);
  assert.deepEqual([weightBits, codedBits, indexBits, codedIndexBits], [5, 3, 5, 3]);
});

test("rates say what indices, places and all the rest take, with fixed widths and coded", () => {
  const { reports } = reportOf(8, 16, { coders: ["huffman"] });
  const [weights, biases] = reports as [(typeof reports)[number], (typeof reports)[number]];
  const { rates } = reportTotals(reports);
  const of = (bytes: number): number => bytes / (4 * 7850);
  assert.deepEqual(rates.map(({ counted }) => counted), ["indices", "and places", "all"]);
  // 980 indices of 4 bits; gaps of 3 bits and the one that tells them from fillers; 16 values.
  assert.deepEqual(rates.map(({ fixed }) => fixed), [of(490), of(490 + 490), of(490 + 490 + 64)]);
  const indices = weights.indicesBytes + biases.indicesBytes;
  const places = weights.placesBytes + biases.placesBytes;
  assert.deepEqual(
    rates.map(({ coded }) => coded),
    [of(indices), of(indices + places), of(weights.bytes + biases.bytes)],
  );
  // What has no codebook: all of its bytes stand for weights, and there are no fixed widths.
  const values = Float32Array.from({ length: 7840 }, (_, i) => Math.fround(Math.sin(i)));
  const raw = sectionReports(
    pack({ network: softmax, sections: [{ tensors: ["fc1.weight"], coded: { method: "float32", values } }, bias] }),
  );
  const { rates: rawRates } = reportTotals(raw);
  assert.ok(rawRates.every(({ fixed, coded }) => fixed === null && coded > 0.99));
});
