import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FormatError } from "../../../codecs/codec.ts";
import { inspect } from "../../../codecs/inspect.ts";
import { legacy, type LegacyCode } from "../../../codecs/legacy.ts";
import { drawsOf } from "../../../codecs/mrcl/draws.ts";
import { legacyCode } from "../../../codecs/mrcl/legacyCode.ts";
import { type MrclModel, mrclModels } from "../../../codecs/mrcl/model.ts";
import { readMrcl } from "../../../codecs/mrcl/readMrcl.ts";
import { pack, unpack } from "../../../codecs/container.ts";
import { sectionReports } from "../../../codecs/sectionReports.ts";
import { log } from "../../../lib/math.ts";
import { softmax } from "../../../lib/architectures.ts";
import { codecLaws, decode, encode } from "../laws.ts";
import { legacyCodes } from "../legacyCodes.ts";
import { mrclFile } from "./files.ts";

const codecOf = (shapes: LegacyCode["shapes"]) => legacy.codec(shapes.map((shape, t) => ({ name: `${t}`, shape })));

const layers = [[3, 3, 1, 4], [4], [16, 6], [6, 3], [3]];
codecLaws(codecOf(layers), legacyCodes(layers), { runs: 40 });
codecLaws(codecOf([[6]]), legacyCodes([[6]]), { runs: 30 });

const shape = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 });
const models = fc
  .array(shape, { minLength: 1, maxLength: 4 })
  .chain((shapes) => legacyCodes(shapes))
  .map((coded) => {
    const model: MrclModel = {
      name: "small",
      tensors: coded.shapes.map((shape, t) => ({ name: `tensor ${t}`, shape })),
      hashGroups: coded.groups ?? coded.shapes.map(() => 1),
      candidates: coded.candidates,
    };
    // Half of it keeps scales within the format.
    const logScales = Float32Array.from(coded.scales, (scale) => log(scale) / 2);
    const { bits, block, indices } = coded;
    return { model, bytes: mrclFile({ bits, block, logScales, indices }), bits, block };
  });

test("of a small model of any shape, a legacy code has the weights of its file, bit for bit", () => {
  fc.assert(
    fc.property(models, ({ model, bytes, bits, block }) => {
      const options = { model, bits, block };
      const coded = legacyCode(bytes, options)!;
      const codec = codecOf(model.tensors.map(({ shape }) => shape));
      const found = decode(codec, encode(codec, coded));
      assert.deepEqual(found, coded);
      const expected = readMrcl(bytes, options).flatMap(({ values }) => [...values]);
      assert.deepEqual([...legacy.toValues(found)], expected);
    }),
    { numRuns: 60, endOnFailure: true },
  );
});

test("what the format has no spelling for is none", () => {
  const content = { block: 30, bits: 10, logScales: Float32Array.of(-1, -2), indices: new Uint32Array(262) };
  const read = (changed: Partial<typeof content>): LegacyCode | undefined => {
    const all = { ...content, ...changed };
    return legacyCode(mrclFile(all), { model: "softmax", block: all.block, bits: all.bits });
  };
  assert.equal(read({})?.method, "legacy");
  assert.equal(read({ bits: 12 })?.bits, 12);
  assert.equal(read({ bits: 13 }), undefined);
  // 2^100 is e^69.31.
  for (const [far, fits] of [[69.3, true], [69.4, false], [-69.3, true], [-69.4, false]] as const) {
    assert.equal(read({ logScales: Float32Array.of(-1, far) }) !== undefined, fits, String(far));
  }
  const drawn = (block: number): LegacyCode | undefined => {
    const indices = new Uint32Array(Math.ceil(7840 / block));
    const bytes = mrclFile({ block, bits: 12, logScales: Float32Array.of(-1), indices });
    return legacyCode(bytes, { model: "linear", block, bits: 12 });
  };
  assert.equal(drawn(32)?.block, 32);
  assert.equal(drawn(33), undefined);
  const file = mrclFile(content);
  assert.throws(() => legacyCode(file.subarray(1), { model: "softmax", block: 30, bits: 10 }), FormatError);
  assert.throws(() => legacyCode(file, { model: "softmax" }), { name: "RangeError", message: /say block or bits$/ });
});

test("choices that break a promise are not written", () => {
  const good: LegacyCode = {
    method: "legacy",
    shapes: [[2, 2], [2]],
    candidates: "sobol",
    bits: 4,
    block: 3,
    scales: Float32Array.of(0.5, 0.25),
    indices: Uint32Array.of(5, 11),
  };
  const write = (changed: Partial<LegacyCode>): Uint8Array => encode(codecOf(good.shapes), { ...good, ...changed });
  assert.equal(write({}).length, 11);
  const wrong: readonly Partial<LegacyCode>[] = [
    { shapes: [[4], [2]] },
    { shapes: [[2, 2]] },
    { candidates: "drawn" as "normal" },
    ...[0, 13, 1.5, NaN].map((bits) => ({ bits })),
    ...[0, 41, 2, 2.5, NaN].map((block) => ({ block })),
    { candidates: "normal", block: 7, indices: Uint32Array.of(1) },
    ...[[1, 1], [1], [0, 2], [5, 2], [2, 3], [1.5, 2]].map((groups) => ({ groups })),
    { scales: Float32Array.of(0.5) },
    ...[0, -1, NaN, Infinity, 2 ** -101, 2 ** 101].map((scale) => ({ scales: Float32Array.of(0.5, scale) })),
    { indices: Uint32Array.of(5) },
    { indices: Uint32Array.of(5, 16) },
  ];
  for (const changed of wrong) assert.throws(() => write(changed), RangeError, JSON.stringify(changed));
});

test("more than 2^24 numbers are not read, and 2^24 in one group are", () => {
  const read = (rows: number, group: readonly number[]) =>
    decode(codecOf([[rows, 4096]]), Uint8Array.of(0x40, ...group, 1, 0, 0, 0, 63), {});
  const { indices } = read(4096, [128, 128, 128, 8]);
  assert.deepEqual([...indices], [0]);
  const refused = (error: unknown): boolean => error instanceof FormatError && error.code === "legacy-size";
  assert.throws(() => read(4097, [128, 160, 128, 8]), refused);
});

test("weights that are alike where they are near cost fewer bits than their indices have", () => {
  // A picture of 32 * 32 weights, made of waves; each block takes the candidate that is most like it.
  const [block, bits, side] = [4, 8, 32];
  const picture = Float64Array.from({ length: side * side }, (_, i) => {
    const [y, x] = [Math.floor(i / side), i % side];
    return (((x >> 3) + (y >> 3)) % 2 === 0 ? 1 : -1) * 0.8;
  });
  const blocks = picture.length / block;
  const scalars = picture.length;
  const { order, candidate } = drawsOf({ candidates: "sobol", block, blocks, scalars, rows: 2 ** bits });
  const indices = Uint32Array.from({ length: blocks }, (_, b) => {
    const distance = (k: number): number =>
      [0, 1, 2, 3].reduce((sum, j) => sum + (candidate(k, j) - picture[order[b * block + j]!]!) ** 2, 0);
    let best = 0;
    for (let k = 1; k < 2 ** bits; k++) if (distance(k) < distance(best)) best = k;
    return best;
  });
  const common = { method: "legacy", candidates: "sobol", bits, block, indices } as const;
  const bytesFor = (shapes: number[][]): number => {
    return encode(codecOf(shapes), { ...common, shapes, scales: new Float32Array(shapes.length).fill(1) }).length;
  };
  const asImage = bytesFor([[side * side, 1]]);
  // Form, block and a scale are six bytes.
  assert.ok(asImage < 0.8 * (6 + blocks), `${asImage} bytes for ${blocks} indices`);
  // The same numbers where nothing is near: each has an output of its own.
  const asRow = bytesFor([[1, side * side]]);
  assert.ok(asImage < 0.9 * asRow, `${asImage} and ${asRow} bytes`);
});

test("every field is shown, and reports count what stands for the weights", () => {
  const indices = Uint32Array.from({ length: 262 }, (_, i) => 1 + ((i * 37) % 1023));
  const logScales = Float32Array.of(-1, -2);
  const bytes = mrclFile({ block: 30, bits: 10, logScales, indices });
  const coded = legacyCode(bytes, { model: "softmax", block: 30, bits: 10 })!;
  const tensors = mrclModels.softmax.tensors.map(({ name }) => name);
  const packed = pack({ network: softmax, sections: [{ tensors, coded }] });
  const fields = inspect(packed).ranges.filter(({ path }) => path[0] === "section 1");
  assert.deepEqual(fields.map(({ path }) => path.at(-1)), ["method", "legacy form", "block", "scales", "indices"]);
  assert.deepEqual(fields.map(({ note }) => note), [
    "legacy: fc1.weight, fc1.bias",
    "10 bits per block, Sobol numbers",
    "30",
    [...coded.scales].join(", "),
    undefined,
  ]);
  const [report] = sectionReports(packed);
  assert.deepEqual([report!.method, report!.weights, report!.kept], ["legacy", 7850, 7850]);
  const last = fields.at(-1)!;
  assert.equal(report!.indicesBytes, last.end - last.start);
  assert.equal(report!.codedBits, (8 * report!.bytes) / 7850);
  assert.deepEqual(unpack(packed).sections[0]!.coded, coded);
});
