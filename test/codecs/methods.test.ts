import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { code, codeExactly, sectionsOf } from "../../codecs/code.ts";
import { codebookOf, toValues } from "../../codecs/codebook.ts";
import { type Codec, FormatError } from "../../codecs/codec.ts";
import { type Coded, codecOf, methods, valuesOf } from "../../codecs/coded.ts";
import { metadata } from "../../codecs/metadata.ts";
import { symbols } from "../../codecs/symbols.ts";
import type { Parameter } from "../../lib/architectures.ts";
import { formatShape } from "../../lib/shape.ts";
import type { Weights } from "../../lib/weights.ts";
import {
  codedNumbers,
  codedSymbols,
  codedTensors,
  fewDistinct,
  floatBits,
  floats,
  smallWeights,
  someMetadata,
} from "./arbitraries.ts";
import { codecLaws, decode, encode } from "./laws.ts";

const bitsOf = (values: Float32Array): number[] => [...new Uint32Array(values.slice().buffer)];
const fromHex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
const hasCode = (code: string) => (error: unknown) => error instanceof FormatError && error.code === code;

/** Every method as one codec of `count` numbers, which begins with the tag of the method. */
function anyMethod(count: number): Codec<Coded> {
  return anyMethodOf([{ name: "numbers", shape: [count] }]);
}

function anyMethodOf(tensors: readonly Parameter[]): Codec<Coded> {
  return {
    tag: 0,
    name: `methods for ${tensors.map(({ shape }) => formatShape(shape)).join(" ")}`,
    write(coded, to) {
      const codec = codecOf(coded.method, tensors);
      to.u8(codec.tag);
      codec.write(coded, to);
    },
    read(from, budget) {
      const tag = from.u8();
      const method = methods.find((candidate) => candidate.tag === tag);
      return method === undefined
        ? from.fail("method-unknown", "none")
        : codecOf(method.name, tensors).read(from, budget);
    },
  };
}

const sameNumbers = (actual: Coded, expected: Coded): void => {
  assert.deepEqual(actual, expected);
  assert.deepEqual(bitsOf(valuesOf(actual)), bitsOf(valuesOf(expected)));
};
for (const count of [1, 7, 30]) codecLaws(anyMethod(count), codedNumbers(count), { runs: 150, same: sameNumbers });
const layers = [[3, 3, 1, 4], [4], [4, 5], [5, 2], [2]].map((shape, i) => ({ name: `tensor ${i}`, shape }));
codecLaws(anyMethodOf(layers), codedTensors(layers), { runs: 100, same: sameNumbers });
codecLaws(symbols({ count: 20, alphabet: 6 }), codedSymbols(20, 6));
codecLaws(metadata, someMetadata);

test("method tags are part of the format: append-only", () => {
  assert.deepEqual(methods.map(({ tag, name }) => `${tag} ${name}`).slice(0, 7), [
    "1 float32",
    "2 codebook",
    "3 sparse codebook",
    "4 levels",
    "5 miracle",
    "6 sparse float32",
    "7 legacy",
  ]);
  assert.ok(methods.every(({ tag }) => tag >= 1 && tag <= 63));
  assert.equal(new Set(methods.map(({ tag }) => tag)).size, methods.length);
});

test("numbers coded exactly come back exactly, whatever their bits", () => {
  const anyBits = fc.array(floatBits, { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(anyBits, (bits) => {
      const values = new Float32Array(Uint32Array.from(bits).buffer);
      const back = bitsOf(valuesOf(codeExactly(values)));
      // A codebook has one zero; every other number keeps its bits.
      const isZero = (word: number): boolean => word << 1 === 0;
      assert.deepEqual(
        back.map((word, i) => (isZero(word) && isZero(bits[i]!) ? bits[i] : word)),
        bits,
      );
    }),
  );
  fc.assert(
    fc.property(fewDistinct({ minLength: 1, maxLength: 200 }), (values) => {
      assert.deepEqual(valuesOf(codeExactly(values)), values);
      const book = codebookOf(values);
      assert.deepEqual(valuesOf(code(book)), toValues(book));
      assert.deepEqual(valuesOf(code(book, { coders: [] })), values);
    }),
  );
});

test("numbers of which most are zero come back bit for bit where no codebook holds them", () => {
  const mostlyZero = fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: floatBits });
  fc.assert(
    fc.property(fc.array(mostlyZero, { minLength: 20, maxLength: 200 }), (bits) => {
      // One that is infinite keeps codebooks out.
      const values = new Float32Array(Uint32Array.of(0x7f800000, ...bits).buffer);
      const coded = codeExactly(values);
      assert.deepEqual(bitsOf(valuesOf(coded)), bitsOf(values));
      const kept = bitsOf(values).filter((word) => word !== 0).length;
      const size = encode(anyMethod(values.length), coded).length;
      // The form and the count take a few bytes, a bitmap of places a bit for each.
      assert.ok(size <= 4 + Math.ceil(values.length / 8) + 4 * kept);
      assert.ok(size <= 1 + 4 * values.length);
    }),
  );
});

test("the spelling chosen is the smallest there is", () => {
  const size = (coded: Coded, count: number): number => encode(anyMethod(count), coded).length;
  fc.assert(
    fc.property(fewDistinct({ minLength: 1, maxLength: 120 }), (values) => {
      const chosen = size(codeExactly(values), values.length);
      for (const coders of [["fixed"], ["huffman"], ["rans"]] as const) {
        assert.ok(chosen <= size(code(codebookOf(values), { coders }), values.length));
      }
      assert.ok(chosen <= 1 + 4 * values.length);
    }),
  );
  const sparse = new Float32Array(1000);
  sparse.fill(1, 500, 502);
  assert.equal(codeExactly(sparse).method, "sparse codebook");
  assert.equal(codeExactly(Float32Array.from({ length: 100 }, (_, i) => (i % 3) + 1)).method, "codebook");
  assert.equal(codeExactly(Float32Array.from({ length: 100 }, (_, i) => i)).method, "float32");
  assert.equal(codeExactly(Float32Array.of(1, 1, 1, NaN)).method, "float32");
  const pruned = Float32Array.from({ length: 1000 }, (_, i) => (i % 7 === 0 ? 1 / (i + 1) : 0));
  assert.equal(codeExactly(pruned).method, "sparse float32");
  assert.equal(codeExactly(pruned.map((value, i) => (i === 3 ? NaN : value))).method, "sparse float32");
  assert.equal(codeExactly(pruned.map((value) => value && 1 + (value > 0.01 ? 1 : 0))).method, "sparse codebook");
});

test("sections hold each tensor once: matrices alone, the others together, unless groups are given", () => {
  const joined = (weights: Weights, names: readonly string[]): number[] =>
    names.flatMap((name) => [...weights.find((tensor) => tensor.name === name)!.values]);
  fc.assert(
    fc.property(smallWeights, (weights) => {
      const usual = sectionsOf(weights);
      assert.deepEqual(
        usual.map(({ tensors }) => tensors),
        [["fc1.weight"], ["fc2.weight"], ["fc1.bias"]],
      );
      const groups = [["fc1.weight", "fc1.bias"], ["fc2.weight"]];
      for (const { tensors, coded } of [...usual, ...sectionsOf(weights, { groups })]) {
        assert.deepEqual(
          [...valuesOf(coded)],
          joined(weights, tensors).map((value) => value + 0),
        );
      }
    }),
    { numRuns: 30 },
  );
  assert.throws(() => sectionsOf([], { groups: [["fc1.weight"]] }), RangeError);
});

test("no array is shared between a choice and its numbers", () => {
  fc.assert(
    fc.property(floats({ minLength: 1, maxLength: 30 }), (values) => {
      const coded: Coded = { method: "float32", values };
      valuesOf(coded).fill(9);
      assert.deepEqual(coded.values, values);
    }),
  );
});

test("each wrong spelling of a codebook is refused with its code", () => {
  const cases: readonly (readonly [code: string, count: number, hex: string])[] = [
    // Dense: entries, then a coder and symbols.
    ["varint-range", 4, "02 00"],
    ["varint-range", 4, "02 05"],
    ["truncated", 4, "02 02 0000803f"],
    ["codebook-order", 4, "02 02 00000040 0000803f 0f 10"],
    ["codebook-order", 4, "02 02 0000803f 0000803f 0f 10"],
    ["codebook-number", 4, "02 01 0000c07f"],
    ["codebook-number", 4, "02 01 0000807f"],
    ["codebook-number", 4, "02 01 00000080"],
    ["codebook-unused", 4, "02 02 0000803f 00000040 0f 00"],
    ["coder-unknown", 4, "02 02 0000803f 00000040 0e 10"],
    ["fixed-range", 4, "02 03 0000803f 00000040 00004040 0f 1b"],
    ["padding", 4, "02 02 0000803f 00000040 0f 11"],
    ["truncated", 4, "02 02 0000803f 00000040 0f"],
    // Sparse: how many places, their form, entries, symbols.
    ["varint-range", 4, "03 05"],
    ["codebook-zero", 4, "03 04 01 00000000"],
    ["varint-range", 4, "03 04 00"],
    ["leftover", 4, "03 00 00"],
    // Sparse float32: how many places, their form, a number for each.
    ["varint-range", 4, "06 05"],
    ["sparse-zero", 4, "06 01 00 80 00000000"],
    ["truncated", 4, "06 02 00 c0 00000000"],
    ["leftover", 4, "06 00 00"],
  ];
  for (const [code, count, hex] of cases) {
    assert.throws(() => decode(anyMethod(count), fromHex(hex)), hasCode(code), `${code}: ${hex}`);
  }
  assert.deepEqual([...valuesOf(decode(anyMethod(4), fromHex("02 02 0000803f 00000040 0f 10")))], [1, 1, 1, 2]);
  assert.deepEqual([...valuesOf(decode(anyMethod(4), fromHex("03 04 01 00000040")))], [2, 2, 2, 2]);
  assert.deepEqual([...valuesOf(decode(anyMethod(4), fromHex("03 00")))], [0, 0, 0, 0]);
  assert.deepEqual([...valuesOf(decode(anyMethod(4), fromHex("06 01 00 20 00000080")))], [0, 0, -0, 0]);
});

test("choices that break a promise are not written", () => {
  const indices = { coder: "fixed", symbols: Uint16Array.of(0, 1) } as const;
  const write = (coded: Coded): Uint8Array => encode(anyMethod(2), coded);
  const places = { form: { kind: "plain" }, positions: Uint32Array.of(0, 1) } as const;
  assert.throws(() => write({ method: "codebook", entries: Float32Array.of(2, 1), indices }), RangeError);
  assert.throws(() => write({ method: "codebook", entries: Float32Array.of(1, 2, 3), indices }), RangeError);
  assert.throws(() => write({ method: "codebook", entries: Float32Array.of(-0, 1), indices }), RangeError);
  assert.throws(() => write({ method: "codebook", entries: Float32Array.of(1), indices }), RangeError);
  assert.throws(() => write({ method: "float32", values: Float32Array.of(1) }), RangeError);
  const sparse = { method: "sparse codebook", length: 2, places, indices } as const;
  assert.equal(write({ ...sparse, entries: Float32Array.of(1, 2) }).length, 13);
  assert.throws(() => write({ ...sparse, entries: Float32Array.of(0, 1) }), RangeError);
  assert.throws(() => write({ ...sparse, length: 3, entries: Float32Array.of(1, 2) }), RangeError);
  const bare = { method: "sparse float32", length: 2, places } as const;
  assert.equal(write({ ...bare, values: Float32Array.of(-0, NaN) }).length, 10);
  assert.throws(() => write({ ...bare, values: Float32Array.of(0, 1) }), RangeError);
  assert.throws(() => write({ ...bare, values: Float32Array.of(1) }), RangeError);
  assert.throws(() => write({ ...bare, length: 3, values: Float32Array.of(1, 2) }), RangeError);
});
