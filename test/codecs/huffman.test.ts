import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteReader, Trace } from "../../codecs/bytes.ts";
import { Budget, FormatError } from "../../codecs/codec.ts";
import { canonicalCodes, chooseHuffman, codeLengths, type Huffman, huffman, maxLength } from "../../codecs/huffman.ts";
import { assertRefusedOrCanonical, codecLaws, decode, encode } from "./laws.ts";
import { bellSymbols, entropyBytes } from "./yardstick.ts";

const kraft = (lengths: Uint8Array) => lengths.reduce((sum, length) => sum + (length > 0 ? 2 ** -length : 0), 0);

/** Lengths that fill the tree but were chosen by nobody: leaves of a tree grown by splitting at random. */
const anyLengths = (alphabet: number): fc.Arbitrary<Uint8Array> =>
  fc
    .tuple(
      fc.array(fc.nat(), { minLength: 1, maxLength: alphabet - 1 }),
      fc.uint8Array({ minLength: alphabet, maxLength: alphabet }),
    )
    .map(([splits, order]) => {
      const leaves = [0];
      for (const split of splits) {
        const at = split % leaves.length;
        if (leaves[at]! < maxLength) leaves.splice(at, 1, leaves[at]! + 1, leaves[at]! + 1);
      }
      const places = Array.from(order.keys()).sort((a, b) => order[a]! - order[b]!);
      const lengths = new Uint8Array(alphabet);
      leaves.forEach((length, i) => (lengths[places[i]!] = length));
      return lengths;
    });

const choice = (count: number, alphabet: number): fc.Arbitrary<Huffman> =>
  fc.tuple(anyLengths(alphabet), fc.array(fc.nat(), { minLength: count, maxLength: count })).map(([lengths, picks]) => {
    const coded = Array.from(lengths.keys()).filter((symbol) => lengths[symbol]! > 0);
    return { lengths, symbols: Uint16Array.from(picks, (pick) => coded[pick % coded.length]!) };
  });

codecLaws({ ...huffman({ count: 20, alphabet: 40 }), name: "huffman" }, choice(20, 40), { runs: 200 });
codecLaws({ ...huffman({ count: 3, alphabet: 4 }), name: "huffman, tiny" }, choice(3, 4));
codecLaws(
  { ...huffman({ count: 5, alphabet: 9 }), name: "huffman, one symbol" },
  fc.nat(8).map((symbol) => chooseHuffman(new Array<number>(5).fill(symbol), 9)),
);

test("huffman: counts 15, 7, 6, 6, 5 give lengths 1, 3, 3, 3, 3 and 87 bits", () => {
  const counts = [15, 7, 6, 6, 5];
  const lengths = codeLengths(counts);
  assert.deepEqual([...lengths], [1, 3, 3, 3, 3]);
  assert.deepEqual([...canonicalCodes(lengths)], [0b0, 0b100, 0b101, 0b110, 0b111]);
  assert.equal(
    counts.reduce((bits, count, symbol) => bits + count * lengths[symbol]!, 0),
    87,
  );
});

test("huffman: the worked bytes of the format", () => {
  // 1 (none absent) 0001 (A: 1) 00101 (B: up 2) 1 1 1 (C, D, E: the same), then A B E D = 0 100 111 110, then padding.
  const bytes = Uint8Array.of(0b1000_1001, 0b0111_1010, 0b0111_1100);
  const value: Huffman = { lengths: Uint8Array.of(1, 3, 3, 3, 3), symbols: Uint16Array.of(0, 1, 4, 3) };
  const codec = huffman({ count: 4, alphabet: 5 });
  assert.deepEqual(encode(codec, value), bytes);
  assert.deepEqual(decode(codec, bytes), value);
});

test("huffman: code lengths fill the tree, respect the limit and cost no more than any other choice", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.nat(20),
          fc.nat(2 ** 20).map((n) => n * n),
        ),
        { minLength: 2, maxLength: 12 },
      ),
      fc.integer({ min: 4, max: maxLength }),
      anyLengths(12),
      (counts, limit, other) => {
        const used = counts.filter((count) => count > 0).length;
        const lengths = codeLengths(counts, limit);
        lengths.forEach((length, symbol) => assert.equal(length > 0, counts[symbol]! > 0));
        if (used < 2) return;
        assert.equal(kraft(lengths), 1);
        assert.ok(Math.max(...lengths) <= limit);
        // Any other tree with a leaf for each symbol, given out in the order of counts.
        const rivals = [...other].filter((length) => length > 0 && length <= limit).sort((a, b) => a - b);
        if (rivals.length < used || Math.max(...other) > limit) return;
        const cost = (row: number[]) =>
          counts
            .filter((count) => count > 0)
            .sort((a, b) => b - a)
            .reduce((sum, count, i) => sum + count * row[i]!, 0);
        assert.ok(cost([...lengths].filter((l) => l > 0).sort((a, b) => a - b)) <= cost(rivals));
      },
    ),
    { numRuns: 500 },
  );
});

test("huffman: Fibonacci counts, whose free code would be 29 bits deep, stay within 15 bits", () => {
  const counts = [1, 1];
  while (counts.length < 30) counts.push(counts.at(-1)! + counts.at(-2)!);
  assert.equal(Math.max(...codeLengths(counts, 30)), 29);
  const lengths = codeLengths(counts);
  assert.equal(Math.max(...lengths), 15);
  assert.equal(kraft(lengths), 1);
});

test("huffman: codes longer than the look-up window are read too", () => {
  const lengths = Uint8Array.from({ length: 16 }, (_, symbol) => Math.min(symbol + 1, 15));
  const symbols = Uint16Array.from({ length: 3000 }, (_, i) => (i * 7 + (i >> 3)) % 16);
  const codec = huffman({ count: 3000, alphabet: 16 });
  assert.deepEqual(decode(codec, encode(codec, { lengths, symbols })), { lengths, symbols });
});

test("huffman: 431,080 symbols of a bell curve stay within 1.5 % of the entropy, table included", () => {
  const symbols = bellSymbols(431_080);
  const bytes = encode(huffman({ count: symbols.length, alphabet: 32 }), chooseHuffman(symbols, 32));
  const entropy = entropyBytes(symbols);
  assert.ok(Math.abs(entropy - 218_270) < 300, `entropy ${entropy}`);
  assert.ok(bytes.length < 1.011 * entropy, `${bytes.length} bytes against ${entropy}`);
});

test("huffman: tables are tiny where alphabets are", () => {
  const size = (symbols: number[], alphabet: number) =>
    encode(huffman({ count: symbols.length, alphabet }), chooseHuffman(symbols, alphabet)).length;
  assert.equal(size([], 2), 0);
  assert.equal(size([0, 1], 2), 1);
  assert.equal(size(new Array<number>(1000).fill(200), 256), 3);
  assert.equal(
    size(
      Array.from({ length: 1024 }, (_, i) => i % 256),
      256,
    ),
    1024 + 33,
  );
});

const refused: [name: string, bits: string, code: string, count?: number][] = [
  ["nothing at all", "", "truncated"],
  ["lengths that end inside the table", "1 0010 1", "truncated"],
  ["lengths 1, 2, 1, which oversubscribe the tree", "1 0001 010 011", "huffman-oversubscribed"],
  ["lengths 3, 3, 3, 3 of an alphabet of 4, which leave codes unused", "1 0011 1 1 1", "huffman-incomplete"],
  ["a first symbol outside the alphabet", "00101 0001", "golomb-range"],
  ["absent symbols up to the end of the alphabet", "1 0010 00100 00100 1", "golomb-range"],
  ["a length above 15", "1 1111 010", "step-range"],
  ["a length of 0 by a step", "1 0001 011", "step-range"],
  ["a prefix without end", `1 0001 ${"0".repeat(60)}`, "golomb-range"],
  ["input that ends inside a code", "1 0010 1 1 1 01 01 01 0", "truncated", 30],
  ["more symbols than there are bits", "1 0010 1 1 1 01 01 01 0", "truncated", 60_000],
  ["padding that is not zero", "1 0001 1 0 1", "padding", 1],
];

for (const [name, bits, code, count = 4] of refused) {
  test(`huffman: refuses ${name}`, () => {
    const row = bits.replaceAll(" ", "").padEnd(8 * Math.ceil(bits.replaceAll(" ", "").length / 8), "0");
    const bytes = Uint8Array.from(row.match(/.{8}/g) ?? [], (byte) => parseInt(byte, 2));
    const codec = huffman({ count, alphabet: 4 });
    assert.throws(
      () => decode(codec, bytes),
      (error) => error instanceof FormatError && error.code === code,
    );
    assert.equal(assertRefusedOrCanonical(codec, bytes), "refused");
  });
}

test("huffman: refuses to write what the format cannot say", () => {
  const codec = huffman({ count: 2, alphabet: 3 });
  const symbols = Uint16Array.of(0, 1);
  for (const value of [
    { lengths: Uint8Array.of(1, 1), symbols },
    { lengths: Uint8Array.of(1, 1, 0), symbols: Uint16Array.of(0) },
    { lengths: Uint8Array.of(1, 2, 0), symbols },
    { lengths: Uint8Array.of(1, 1, 1), symbols },
    { lengths: Uint8Array.of(2, 0, 0), symbols: Uint16Array.of(0, 0) },
    { lengths: Uint8Array.of(1, 0, 1), symbols },
    { lengths: Uint8Array.of(16, 1, 1), symbols },
  ]) {
    assert.throws(() => encode(codec, value), RangeError);
  }
  assert.throws(
    () => encode(huffman({ count: 0, alphabet: 1 }), { lengths: Uint8Array.of(1), symbols: new Uint16Array() }),
    RangeError,
  );
  assert.throws(() => huffman({ count: 1, alphabet: 4097 }), RangeError);
  assert.throws(() => chooseHuffman([3], 3), RangeError);
  assert.throws(() => codeLengths([1, 1, 1, 1, 1], 2), RangeError);
});

test("huffman: a trace tells code lengths from codes; the byte they share belongs to the lengths", () => {
  // The lengths 1 3 3 3 3 take 13 bits, so that the codes have the third and fourth byte for themselves.
  const lengths = Uint8Array.of(1, 3, 3, 3, 3);
  const bytes = encode(huffman({ count: 7, alphabet: 5 }), { lengths, symbols: Uint16Array.of(0, 1, 0, 2, 0, 3, 0) });
  const trace = new Trace();
  huffman({ count: 7, alphabet: 5 }).read(new ByteReader(bytes, { trace }), new Budget());
  assert.deepEqual(trace.marks, [
    { offset: 0, path: ["code lengths"] },
    { offset: 2, early: 3, path: ["codes"] },
  ]);
});
