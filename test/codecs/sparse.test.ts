import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FormatError } from "../../codecs/codec.ts";
import { chooseHuffman } from "../../codecs/huffman.ts";
import {
  chooseSparse,
  entriesOf,
  gapsOf,
  nonzeroPositions,
  type Sparse,
  type SparseForm,
  sparse,
} from "../../codecs/sparse.ts";
import { assertRefusedOrCanonical, codecLaws, decode, encode } from "./laws.ts";
import { uniforms } from "./yardstick.ts";

const rows = (length: number): fc.Arbitrary<Uint32Array> =>
  fc.uniqueArray(fc.nat(length - 1), { maxLength: length }).map((positions) => Uint32Array.from(positions).sort());

const anyForm = (positions: Uint32Array, length: number): fc.Arbitrary<SparseForm> => {
  if (positions.length === 0 || positions.length === length) return fc.constant({ kind: "plain" as const });
  return fc.oneof(
    fc.constant({ kind: "bitmap" as const }),
    fc.integer({ min: 1, max: 15 }).map((width) => ({ kind: "relative" as const, width })),
    fc.nat(15).map((order) => ({ kind: "golomb" as const, order })),
    fc.integer({ min: 1, max: 11 }).map((width) => ({
      kind: "huffman" as const,
      width,
      lengths: chooseHuffman(entriesOf(gapsOf(positions), width), 2 ** width + 1).lengths,
    })),
  );
};

const spelled = (length: number): fc.Arbitrary<Sparse> =>
  rows(length).chain((positions) => anyForm(positions, length).map((form) => ({ form, positions })));

codecLaws(sparse({ length: 61 }), spelled(61), { runs: 300 });
codecLaws(
  { ...sparse({ length: 1000 }), name: "sparse, few of many" },
  spelled(1000).filter((v) => v.positions.length < 20),
);
codecLaws({ ...sparse({ length: 3 }), name: "sparse, tiny" }, spelled(3));

test("sparse: the figure of Deep Compression: positions 1, 4, 15 in 3 bits", () => {
  const positions = Uint32Array.of(1, 4, 15);
  assert.deepEqual([...gapsOf(positions)], [2, 3, 11]);
  // Gaps 2, 3, 8 (a filler), 3: the paper counts its first gap from 0, we count from -1.
  assert.deepEqual([...entriesOf(gapsOf(positions), 3)], [1, 2, 8, 2]);
  // 3 positions; relative, 3 bits; 001 010 111 0 010, padding.
  const bytes = Uint8Array.of(3, 0x13, 0b0010_1011, 0b1001_0000);
  const value: Sparse = { form: { kind: "relative", width: 3 }, positions };
  const codec = sparse({ length: 16 });
  assert.deepEqual(encode(codec, value), bytes);
  assert.deepEqual(decode(codec, bytes), value);
});

test("sparse: a gap of exactly the largest entry needs no filler", () => {
  assert.deepEqual([...entriesOf(Uint32Array.of(8, 9, 16, 17), 3)], [7, 8, 0, 8, 7, 8, 8, 0]);
});

test("sparse: the choice is the smallest of all forms", () => {
  fc.assert(
    fc.property(
      rows(300).chain((positions) =>
        fc.tuple(fc.constant(positions), fc.array(anyForm(positions, 300), { maxLength: 5 })),
      ),
      ([positions, forms]) => {
        const codec = sparse({ length: 300 });
        const best = encode(codec, chooseSparse(positions, 300)).length;
        for (const form of forms) assert.ok(best <= encode(codec, { form, positions }).length, JSON.stringify(form));
      },
    ),
  );
});

test("sparse: sizes at densities from a half to a thousandth stay close to the entropy", () => {
  const length = 100_000;
  for (const [density, most, kind] of [
    [0.5, 1.001, "bitmap"],
    [0.2, 1.02, "huffman"],
    [0.08, 1.02, "huffman"],
    [0.01, 1.04, "huffman"],
    [0.001, 1.1, "golomb"],
  ] as const) {
    const uniform = uniforms(7);
    const positions = nonzeroPositions(Float64Array.from({ length }, () => Number(uniform() < density)));
    const value = chooseSparse(positions, length);
    const p = positions.length / length;
    const entropy = (-length * (p * Math.log2(p) + (1 - p) * Math.log2(1 - p))) / 8;
    const size = encode(sparse({ length }), value).length;
    assert.ok(size < most * entropy + 5, `density ${density}: ${size} bytes against ${entropy}`);
    assert.equal(value.form.kind, kind, `density ${density}`);
  }
});

test("sparse: nothing taken and everything taken cost their count only", () => {
  const none = chooseSparse(new Uint32Array(), 500);
  const all = chooseSparse(
    Uint32Array.from({ length: 500 }, (_, i) => i),
    500,
  );
  assert.equal(encode(sparse({ length: 500 }), none).length, 1);
  assert.equal(encode(sparse({ length: 500 }), all).length, 2);
});

const refused: [name: string, bytes: number[], code: string][] = [
  ["more positions than places", [17], "varint-range"],
  ["a form that is not there", [3, 0x40, 0, 0], "sparse-form"],
  ["a bitmap with a parameter", [3, 0x01, 0, 0], "sparse-form"],
  ["relative gaps without bits", [3, 0x10, 0], "sparse-form"],
  ["Huffman entries of 12 bits", [3, 0x3c, 0], "sparse-form"],
  ["a bitmap with fewer positions", [3, 0x00, 0x80, 0x01], "sparse-count"],
  ["a bitmap with more positions", [1, 0x00, 0x80, 0x01], "sparse-count"],
  ["a bitmap cut short", [1, 0x00, 0x80], "truncated"],
  ["a position past the last place", [3, 0x13, 0b0010_1011, 0b1001_1000], "sparse-position"],
  ["fillers past the last place", [3, 0x13, 0b1110_1110, 0b1110_1110], "sparse-position"],
  ["entries cut short", [3, 0x13, 0b0010_1011], "truncated"],
  ["padding that is not zero", [3, 0x13, 0b0010_1011, 0b1001_0001], "padding"],
  ["an Elias gamma prefix without end", [3, 0x20, 0, 0, 0, 0, 0, 0], "golomb-range"],
  ["a gamma-coded gap past the last place", [1, 0x20, 0b0000_1000, 0b1000_0000], "sparse-position"],
  ["more fillers than places could take", [1, 0x33, 3, 0], "varint-range"],
  ["Huffman entries with fewer fillers than declared", [2, 0x31, 1, 0b1000_1010, 0b1000_0000], "sparse-count"],
  ["Huffman entries with more fillers than declared", [2, 0x31, 0, 0b1000_1010, 0b1011_0000], "sparse-count"],
  ["a Huffman-coded filler with nothing after it", [1, 0x31, 1, 0b1000_1010, 0b1011_0000], "sparse-filler"],
];

for (const [name, bytes, code] of refused) {
  test(`sparse: refuses ${name}`, () => {
    const codec = sparse({ length: 16 });
    assert.throws(
      () => decode(codec, Uint8Array.from(bytes)),
      (error) =>
        error instanceof FormatError && (error.code === code || assert.fail(`${error.code}: ${error.message}`)),
    );
    assert.equal(assertRefusedOrCanonical(codec, Uint8Array.from(bytes)), "refused");
  });
}

test("sparse: refuses to write what the format cannot say", () => {
  const codec = sparse({ length: 16 });
  const positions = Uint32Array.of(1, 4, 15);
  for (const value of [
    { form: { kind: "plain" }, positions },
    { form: { kind: "bitmap" }, positions: new Uint32Array() },
    { form: { kind: "bitmap" }, positions: Uint32Array.of(1, 16) },
    { form: { kind: "bitmap" }, positions: Uint32Array.of(4, 4) },
    { form: { kind: "bitmap" }, positions: Uint32Array.of(4, 1) },
    { form: { kind: "relative", width: 0 }, positions },
    { form: { kind: "golomb", order: 16 }, positions },
    { form: { kind: "huffman", width: 3, lengths: Uint8Array.of(1, 1, 0, 0, 0, 0, 0, 0, 0) }, positions },
  ] as Sparse[]) {
    assert.throws(() => encode(codec, value), RangeError);
  }
  assert.throws(() => sparse({ length: 2 ** 31 }), RangeError);
});
