import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { markPruned, pack, prune, sectionReports, sectionsOf, toWeights, unpack } from "../../codecs/index.ts";
import { jsonOf, kilonet, resultOf, workplace, writeSmallData } from "./cli.ts";

// The commands of Deep Compression from end to end, on a few drawn digits.

const folder = workplace();
const path = (name: string): string => join(folder, name);
const data = ["--data", path("data")];

before(async () => {
  writeSmallData(path("data"));
  await jsonOf("train", "--model", "softmax", ...data, "--epochs", "1", "-o", path("trained.knet"));
});

test("a budget is kept, and the report is of the file", async () => {
  const quick = ["--rounds", "1", "--epochs", "1", "--tuning", "1"];
  const options = [...data, "--bytes", "900", ...quick, "-o", path("b.knet")];
  const made = await resultOf("compress", path("trained.knet"), ...options);
  const file = readFileSync(path("b.knet"));
  assert.ok(file.length <= 900 && made.bytes === file.length, `${file.length}, ${String(made.bytes)}`);
  assert.ok(!existsSync(path("b.knet.ckpt")), "a checkpoint that nobody asked for is gone at the end");

  const words = ["report", path("b.knet"), "--before", path("trained.knet"), ...data, "--svg", path("b.svg")];
  const report = await resultOf(...words);
  const before = report.before as Record<string, number>;
  const after = report.after as Record<string, number>;
  assert.deepEqual([before.parameters, after.parameters, after.bytes], [7850, 7850, file.length]);
  assert.ok(after.nonzero! < before.nonzero! && after.gzip! < before.gzip! && after.accuracy! > 0.1);
  const sections = report.sections as readonly { readonly bytes: number }[];
  assert.deepEqual(
    sections.map(({ bytes }) => bytes),
    sectionReports(file).map(({ bytes }) => bytes),
  );
  const all = report.all as { readonly bytes: number; readonly kept: number; readonly rates: readonly unknown[] };
  assert.deepEqual([all.kept, all.rates.length], [after.nonzero, 3]);
  assert.equal(all.bytes, sections.reduce((sum, { bytes }) => sum + bytes, 0));
  const svg = readFileSync(path("b.svg"), "utf8");
  assert.match(svg, /^<svg .*fc1\.weight/s);
  const gzip = [before.gzip, after.gzip].map((bytes) => bytes!.toLocaleString("en-US")).join(" \u2192 ");
  assert.ok(svg.includes(`gzip of float32 weights, bytes: ${gzip}`), svg);
  const { stdout } = await kilonet("report", path("b.knet"), "--no-test");
  assert.match(stdout, /^section +weights +kept .*\n[^]*\nfc1\.weight +7,840 [^]*\nall +7,850 /);
  assert.match(stdout, /\nand places +[\d.]+x[^]*\nratio /);
});

test("NaN stands for pruned where that is said, and is refused elsewhere", async () => {
  const { network, ...file } = unpack(readFileSync(path("trained.knet")));
  const weights = toWeights({ network, ...file });
  const marked = markPruned(weights, prune(weights, { share: 0.25 }));
  writeFileSync(path("nan.knet"), pack({ network, sections: sectionsOf(marked) }));
  const words = [path("nan.knet"), ...data, "--rounds", "1", "--epochs", "1", "-o", path("p.knet")];
  const { nonzero } = await resultOf("prune", "--nan", ...words);
  assert.ok((nonzero as number) <= 1960 + 10 && (nonzero as number) > 1800, String(nonzero));
  const { status, stderr } = await kilonet("prune", "--share", "0.5", ...words, "--json");
  assert.equal(status, 1);
  assert.match(stderr, /^kilonet: .*nan\.knet: fc1\.weight: value \d+ is NaN, weights must be finite\n$/);
});

test("sensitivity has a point for every layer and share, and a picture", async () => {
  const words = ["sensitivity", path("trained.knet"), ...data, "--shares", "1,0.1", "--svg", path("s.svg")];
  const { points, accuracy } = await resultOf(...words);
  const found = points as readonly { share: number; kept: number; accuracy: number }[];
  assert.deepEqual(found.map(({ share, kept }) => [share, kept]), [[1, 7840], [0.1, 784]]);
  assert.equal(found[0]!.accuracy, accuracy);
  assert.match(readFileSync(path("s.svg"), "utf8"), /^<svg .*polyline/s);
});
