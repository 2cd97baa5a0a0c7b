import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteReader } from "../../codecs/bytes.ts";
import { type Codec, FormatError } from "../../codecs/codec.ts";
import { Context, RangeDecoder, RangeEncoder } from "../../codecs/range.ts";
import { codecLaws } from "./laws.ts";
import { uniforms } from "./yardstick.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

function encodeBits(bits: ArrayLike<number>, contexts = [new Context()]): Uint8Array {
  const coder = new RangeEncoder();
  for (let i = 0; i < bits.length; i++) contexts[i % contexts.length]!.code(coder, bits[i]!);
  return coder.finish();
}

/** Bits in a few contexts by turns. */
function adaptiveBits(count: number, contextCount: number): Codec<Uint8Array> {
  const contexts = () => Array.from({ length: contextCount }, () => new Context());
  return {
    tag: 0,
    name: `range coder, ${count} bits`,
    write: (bits, to) => to.bytes(encodeBits(bits, contexts())),
    read(from, budget) {
      const coder = new RangeDecoder(from);
      const row = contexts();
      const bits = budget.uint8(count);
      for (let i = 0; i < count; i++) bits[i] = row[i % contextCount]!.code(coder, 0);
      coder.finish(from);
      return bits;
    },
  };
}

/** Bits with any probabilities, the extremes included. */
function fixedOdds(odds: number[]): Codec<Uint8Array> {
  return {
    tag: 0,
    name: `range coder, odds ${odds.join(" ")}`,
    write(bits, to) {
      const coder = new RangeEncoder();
      bits.forEach((bit, i) => coder.code(bit, odds[i % odds.length]!));
      to.bytes(coder.finish());
    },
    read(from, budget) {
      const coder = new RangeDecoder(from);
      const bits = budget.uint8(40).map((_, i) => coder.code(0, odds[i % odds.length]!));
      coder.finish(from);
      return bits;
    },
  };
}

const bits = (count: number) =>
  fc
    .tuple(
      fc.array(fc.integer({ min: 0, max: 99 }), { minLength: count, maxLength: count }),
      fc.constantFrom(0, 1, 10, 50, 99, 100),
    )
    .map(([draws, ones]) => Uint8Array.from(draws, (draw) => Number(draw < ones)));

codecLaws(adaptiveBits(0, 1), bits(0), { runs: 20 });
codecLaws(adaptiveBits(24, 1), bits(24), { runs: 400 });
codecLaws(adaptiveBits(300, 3), bits(300));
for (const odds of [[1], [65535], [1, 65535], [32768], [1, 2, 3, 60000, 65534]]) codecLaws(fixedOdds(odds), bits(40));

test("range coder: the known rows of bits, one context", () => {
  assert.equal(hex(encodeBits([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0])), "0268");
  assert.equal(hex(encodeBits(Array.from({ length: 64 }, (_, i) => ((i * i) % 7) % 2))), "4585eb1d822bafc0");
  assert.equal(hex(encodeBits(new Uint8Array(100))), "");
  assert.equal(hex(encodeBits(new Uint8Array(100).fill(1))), "fffffffef0");
});

test("range coder: carries ripple through bytes of 255", () => {
  // Ones at odds of 1 to 65535 leave low at the top, so that bytes of 255 pile up; a late 1 at even odds carries.
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(1, 2, 32768, 65534, 65535), { minLength: 1, maxLength: 60 }),
      fc.array(fc.nat(1)),
      (odds, row) => {
        const coder = new RangeEncoder();
        row.forEach((bit, i) => coder.code(bit, odds[i % odds.length]!));
        const from = new ByteReader(coder.finish());
        const decoder = new RangeDecoder(from);
        row.forEach((bit, i) => assert.equal(decoder.code(0, odds[i % odds.length]!), bit));
        decoder.finish(from);
        from.finish();
      },
    ),
    { numRuns: 3000 },
  );
});

test("range coder: the bytes take at most 8 bits more than the probabilities say", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(1), fc.integer({ min: 300, max: 65236 })), { maxLength: 400 }), (row) => {
      const coder = new RangeEncoder();
      let ideal = 0;
      for (const [bit, zero] of row) {
        coder.code(bit, zero);
        ideal -= Math.log2((bit === 0 ? zero : 65536 - zero) / 65536);
      }
      assert.ok(8 * coder.finish().length < ideal + 8);
    }),
  );
});

test("range coder: a context learns a source of 3 % ones to within 5 %: the fast probability is what costs", () => {
  const uniform = uniforms(3);
  const row = Uint8Array.from({ length: 100_000 }, () => Number(uniform() < 0.03));
  const p = row.reduce((sum, bit) => sum + bit, 0) / row.length;
  const entropy = (-row.length * (p * Math.log2(p) + (1 - p) * Math.log2(1 - p))) / 8;
  const size = encodeBits(row).length;
  assert.ok(size < 1.05 * entropy, `${size} bytes against ${entropy}`);
});

const refused: [name: string, bytes: number[], code: string][] = [
  ["a first number above every range", [255, 255, 255, 255], "range-start"],
  ["a zero byte at the end", [0x45, 0x85, 0], "range-zero"],
  ["bytes after the end", [0x02, 0x68, 0, 0, 0, 0, 0, 0, 1], "range-leftover"],
  ["another number of the same range", [0x02, 0x68, 1], "range-end"],
];

for (const [name, bytes, code] of refused) {
  test(`range coder: refuses ${name}`, () => {
    const from = new ByteReader(Uint8Array.from(bytes));
    assert.throws(
      () => adaptiveBits(16, 1).read(from, { uint8: (n: number) => new Uint8Array(n) } as never),
      (error) => error instanceof FormatError && (error.code === code || assert.fail(error.code)),
    );
  });
}
