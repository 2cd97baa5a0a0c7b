import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { FormatError } from "../../../codecs/codec.ts";
import { mrclBytes, mrclLayout, type MrclOptions } from "../../../codecs/mrcl/layout.ts";
import { MersenneTwister } from "../../../codecs/mrcl/mersenneTwister.ts";
import { type MrclModel, mrclModels } from "../../../codecs/mrcl/model.ts";
import { normalQuantile } from "../../../codecs/mrcl/normalQuantile.ts";
import { type MrclContent, readMrcl, readMrclContent } from "../../../codecs/mrcl/readMrcl.ts";
import { sobolTable } from "../../../codecs/mrcl/sobol.ts";
import { ShapeError } from "../../../lib/errors.ts";
import { sizeOf } from "../../../lib/shape.ts";
import { floatBits } from "../arbitraries.ts";
import { mrclFile } from "./files.ts";

interface Written {
  readonly model: MrclModel;
  readonly content: MrclContent;
}

const tensor = fc
  .array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 3 })
  .chain((shape) => fc.record({ shape: fc.constant(shape), group: fc.integer({ min: 1, max: sizeOf(shape) }) }));

const small: fc.Arbitrary<MrclModel> = fc
  .tuple(fc.array(tensor, { minLength: 1, maxLength: 4 }), fc.constantFrom<MrclModel["candidates"]>("sobol", "normal"))
  .map(([tensors, candidates]) => ({
    name: "small",
    tensors: tensors.map(({ shape }, i) => ({ name: `tensor ${i}`, shape })),
    hashGroups: tensors.map(({ group }) => group),
    candidates,
  }));

const trained = ({ tensors, hashGroups }: MrclModel): number[] =>
  tensors.map(({ shape }, i) => Math.floor(sizeOf(shape) / hashGroups[i]!) + (sizeOf(shape) % hashGroups[i]!));
const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

/** Files here are small as they are: no counterexample needs to become smaller. */
const unshrunk = { endOnFailure: true };

const exactly = (length: number, number: fc.Arbitrary<number>): fc.Arbitrary<number[]> =>
  fc.array(number, { minLength: length, maxLength: length });

const written: fc.Arbitrary<Written> = small.chain((model) => {
  const scalars = sum(trained(model));
  return fc
    .tuple(fc.integer({ min: 1, max: Math.min(40, scalars) }), fc.integer({ min: 1, max: 8 }))
    .chain(([block, bits]) => {
      const blocks = Math.ceil(scalars / block);
      return fc.record({
        model: fc.constant(model),
        content: fc.record({
          block: fc.constant(block),
          bits: fc.constant(bits),
          logScales: exactly(model.tensors.length, fc.integer({ min: -500, max: 200 })).map((numbers) =>
            Float32Array.from(numbers, (n) => n / 100),
          ),
          indices: exactly(blocks, fc.nat(2 ** bits - 1)).map((numbers) => Uint32Array.from(numbers)),
        }),
      });
    });
});

const optionsOf = ({ model, content: { block, bits } }: Written): MrclOptions => ({ model, block, bits });

/** The procedure as it reads, with whole tables: nothing is skipped, and scalars are a row until the end. */
function decodePlainly({ model, content }: Written): number[] {
  const { block, bits, logScales, indices } = content;
  const counts = trained(model);
  const random = new MersenneTwister(53);
  const total = indices.length * block;
  const entries = 2 ** bits * block;
  let order: Uint32Array;
  let table: number[];
  if (model.candidates === "sobol") {
    for (let i = 0; i < sum(counts); i++) random.normal();
    order = random.permutation(total);
    const at = sobolTable(block);
    table = Array.from({ length: entries }, (_, i) => normalQuantile(at(Math.floor(i / block), i % block) / 2 ** 30));
  } else {
    order = random.permutation(total);
    for (let i = 0; i < total; i++) random.normal();
    table = Array.from({ length: entries }, () => random.normal());
  }
  const row = new Array<number>(total).fill(NaN);
  order.forEach((place, i) => {
    row[place] = Math.fround(table[indices[Math.floor(i / block)]! * block + (i % block)]!);
  });
  return model.tensors.flatMap(({ shape }, i) => {
    const scale = Math.fround(Math.exp(logScales[i]!));
    const scalars = row.splice(0, counts[i]!).map((z) => Math.fround(z * scale));
    const group = model.hashGroups[i]!;
    const shared = Math.floor(sizeOf(shape) / group);
    return scalars.flatMap((scalar, k) => new Array<number>(k < shared ? group : 1).fill(scalar));
  });
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof FormatError) return error.code;
    throw error;
  }
  return "accepted";
}

suite("a legacy file", () => {
  test("is read as it was written", () => {
    fc.assert(
      fc.property(written, (file) => {
        assert.deepEqual(readMrclContent(mrclFile(file.content), optionsOf(file)), { ...file.content });
      }),
      unshrunk,
    );
  });

  test("becomes the weights that the procedure gives when followed word by word", () => {
    fc.assert(
      fc.property(written, (file) => {
        const weights = readMrcl(mrclFile(file.content), optionsOf(file));
        assert.deepEqual(
          weights.map(({ name, shape }) => ({ name, shape })),
          file.model.tensors,
        );
        const values = weights.flatMap(({ values }) => [...values]);
        const expected = decodePlainly(file);
        assert.equal(values.length, expected.length);
        // Math.exp may differ from ours in the last bit, and so may the float32 of it.
        values.forEach((value, i) => assert.ok(Math.abs(value - expected[i]!) <= 3e-7 * Math.abs(value), `value ${i}`));
      }),
      { ...unshrunk, numRuns: 30 },
    );
  });

  test("is refused when cut short or longer, and when bits behind the last index are set", () => {
    fc.assert(
      fc.property(written, fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 5 }), (file, cut, more) => {
        const bytes = mrclFile(file.content);
        const options = optionsOf(file);
        const code = (changed: Uint8Array): string => codeOf(() => readMrcl(changed, options));
        assert.equal(code(bytes.subarray(0, cut % bytes.length)), "truncated");
        assert.equal(code(Uint8Array.of(...bytes, ...more)), "leftover");
        const { bits, logScales, indices } = file.content;
        const spare = 8 * bytes.length - 32 * logScales.length - bits * indices.length;
        for (let bit = 0; bit < spare; bit++) {
          const changed = bytes.slice();
          changed[bytes.length - 1]! |= 1 << bit;
          assert.equal(code(changed), "padding");
        }
      }),
      unshrunk,
    );
  });

  test("of whatever bytes is either refused or what a writer would have written", () => {
    const any = written.chain((file) => {
      const length = mrclBytes(file.model, file.content);
      return fc.tuple(fc.constant(file), fc.uint8Array({ minLength: length, maxLength: length }));
    });
    let accepted = 0;
    fc.assert(
      fc.property(any, ([file, bytes]) => {
        let content: MrclContent | undefined;
        const code = codeOf(() => (content = readMrclContent(bytes, optionsOf(file))));
        if (content === undefined) return assert.ok(["mrcl-scale", "padding"].includes(code), code);
        accepted += 1;
        assert.deepEqual(mrclFile(content), bytes);
        for (const { values } of readMrcl(bytes, optionsOf(file))) assert.ok(values.every(Number.isFinite), "finite");
      }),
      unshrunk,
    );
    assert.ok(accepted > 5, "the law has seen files");
  });

  test("has scales that a float32 holds", () => {
    fc.assert(
      fc.property(written, floatBits, fc.nat(), (file, word, at) => {
        const { logScales } = file.content;
        const i = at % logScales.length;
        new Uint32Array(logScales.buffer)[i] = word;
        const scale = Math.fround(Math.exp(logScales[i]!));
        const holds = scale > 0 && scale < Infinity;
        let offset = -1;
        const code = codeOf(() => {
          try {
            readMrclContent(mrclFile(file.content), optionsOf(file));
          } catch (error) {
            if (error instanceof FormatError) offset = error.offset;
            throw error;
          }
        });
        assert.deepEqual([code, offset], holds ? ["accepted", -1] : ["mrcl-scale", 4 * i]);
      }),
      unshrunk,
    );
  });
});

suite("block and bits", () => {
  test("are as they were said, or the only ones that fit, or asked for", () => {
    fc.assert(
      fc.property(written, fc.boolean(), fc.boolean(), ({ model, content: { block, bits } }, sayBlock, sayBits) => {
        const length = mrclBytes(model, { block, bits });
        const options = { model, ...(sayBlock ? { block } : {}), ...(sayBits ? { bits } : {}) };
        try {
          assert.deepEqual(mrclLayout(length, options), { block, bits });
        } catch (error) {
          assert.ok(error instanceof RangeError && !(sayBlock && sayBits), String(error));
          assert.ok(error.message.includes(`${block} at ${bits} bits`), error.message);
          assert.ok(error.message.endsWith(sayBlock ? "say bits" : sayBits ? "say block" : "say block or bits"));
        }
      }),
      unshrunk,
    );
  });

  test("of the published sizes follow from bits, are several without, and fit no other model", () => {
    const published = [
      ["lenet5", 20, 1694], ["lenet5", 30, 1140], ["softmax", 15, 663],
      ["softmax", 30, 336], ["linear", 15, 658], ["linear", 30, 332],
    ] as const;
    for (const [model, block, length] of published) {
      assert.deepEqual(mrclLayout(length, { model, bits: 10 }), { block, bits: 10 });
      assert.throws(() => mrclLayout(length, { model }), { name: "RangeError", message: /say block or bits$/ });
      for (const other of ["lenet5", "softmax", "linear"] as const) {
        if (other === model) continue;
        for (const said of [{}, { bits: 10 }, { block }]) {
          assert.equal(codeOf(() => mrclLayout(length, { model: other, ...said })), "mrcl-size");
        }
        const code = codeOf(() => mrclLayout(length, { model: other, block, bits: 10 }));
        assert.ok(["truncated", "leftover"].includes(code), code);
      }
    }
    assert.equal(codeOf(() => readMrcl(new Uint8Array(0), { model: "softmax" })), "mrcl-size");
  });

  test("refusals say what was found, and what would have been right", () => {
    const message = (length: number, options: MrclOptions): string => {
      try {
        mrclLayout(length, options);
      } catch (error) {
        return (error as Error).message;
      }
      return assert.fail("nothing was thrown");
    };
    const lines = [
      message(332, { model: "linear" }),
      message(336, { model: "linear", bits: 10 }),
      message(336, { model: "linear", block: 30, bits: 10 }),
    ];
    assert.deepEqual(lines, [
      "mrcl: 332 bytes may be linear in blocks of 21 at 7 bits, 27 at 9 bits, 30 at 10 bits, 33 at 11 bits: " +
        "say block or bits",
      "mrcl: no linear at 10 bits a block takes 336 bytes: another model, or no such file (at byte 336)",
      "mrcl: linear in blocks of 30 at 10 bits takes 332 bytes, got 336: another model, block or bits, " +
        "or no such file (at byte 332)",
    ]);
  });

  test("and models are refused when out of range, whatever the file", () => {
    const tensors = [{ name: "a", shape: [2, 3] }];
    const good: MrclModel = { name: "small", tensors, hashGroups: [1], candidates: "sobol" };
    const options: readonly MrclOptions[] = [
      ...[0, 41, 1.5, NaN, -1].map((block) => ({ model: "lenet5" as const, block })),
      ...[0, 21, 1.5, Infinity].map((bits) => ({ model: "softmax" as const, bits })),
      { model: "linear", block: 7841 },
      { model: "lenet300" as "lenet5" },
      { model: "toString" as "lenet5" },
      { model: { ...good, tensors: [], hashGroups: [] } },
      { model: { ...good, hashGroups: [] } },
      { model: { ...good, hashGroups: [7] } },
      { model: { ...good, hashGroups: [0] } },
      { model: { ...good, candidates: "drawn" as "normal" } },
      { model: { ...good, tensors: [{ name: "a", shape: [2 ** 20, 2 ** 20] }] } },
    ];
    for (const option of options) assert.throws(() => readMrcl(new Uint8Array(6), option), RangeError);
    const none = { ...good, tensors: [{ name: "a", shape: [0] }] };
    assert.throws(() => readMrcl(new Uint8Array(6), { model: none }), ShapeError);
  });

  test("a table of drawn normals that would not end is refused", () => {
    const { linear } = mrclModels;
    const bits = 20;
    const indices = new Uint32Array(1).fill(2 ** bits - 1);
    const bytes = mrclFile({ block: 7840, bits, logScales: new Float32Array(1), indices });
    assert.throws(() => readMrcl(bytes, { model: linear, block: 7840, bits }), RangeError);
  });
});
