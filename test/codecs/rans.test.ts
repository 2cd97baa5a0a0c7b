import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FormatError } from "../../codecs/codec.ts";
import { chooseRans, encodeSingle, normalize, type Rans, rans } from "../../codecs/rans.ts";
import { assertRefusedOrCanonical, codecLaws, decode, encode } from "./laws.ts";
import { bellSymbols, entropyBytes, uniforms } from "./yardstick.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const unhex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));

const choice = (count: number, alphabet: number, form: Rans["form"]): fc.Arbitrary<Rans> =>
  fc
    .tuple(
      fc.integer({ min: 12, max: 16 }),
      fc.array(fc.oneof(fc.constant(0), fc.nat(3), fc.nat(1000), fc.nat(10 ** 6)), {
        minLength: alphabet,
        maxLength: alphabet,
      }),
      fc.nat(alphabet - 1),
      fc.array(fc.nat(), { minLength: count, maxLength: count }),
    )
    .map(([bits, weights, sure, picks]) => {
      weights[sure]! += 1;
      const frequencies = normalize(weights, bits);
      const used = Array.from(frequencies.keys()).filter((symbol) => frequencies[symbol]! > 0);
      return { form, bits, frequencies, symbols: Uint16Array.from(picks, (pick) => used[pick % used.length]!) };
    });

codecLaws({ ...rans({ count: 20, alphabet: 12 }), name: "rans, single" }, choice(20, 12, "single"), { runs: 200 });
codecLaws({ ...rans({ count: 31, alphabet: 12 }), name: "rans, interleaved" }, choice(31, 12, "interleaved"), {
  runs: 200,
});
codecLaws({ ...rans({ count: 1, alphabet: 1 }), name: "rans, tiny" }, choice(1, 1, "single"));

const abc = { form: "single" as const, bits: 12, frequencies: Uint32Array.of(2048, 1024, 1024) };
const letters = (text: string) => Uint16Array.from(text, (letter) => letter.charCodeAt(0) - 65);

test("rans: frequencies 2048, 1024, 1024 give the bytes that section 8 of the algorithms names", () => {
  assert.equal(hex(encodeSingle(12, abc.frequencies, letters("ABAC"))), "00b00020");
  assert.equal(hex(encodeSingle(12, abc.frequencies, letters("ABACABAACAABBACA".repeat(2)))), "9bb0002068b2245800");
});

test("rans: the worked bytes of the format", () => {
  // 0 (single) 000 (12 bits) 1 (none absent) 01100 (width 12) and 11 zeros, 011 (width 11) and 10 zeros, 1 and as many.
  const bytes = unhex("0b 00 03 00 20 00  00 b0 00 20");
  const codec = rans({ count: 4, alphabet: 3 });
  const value: Rans = { ...abc, symbols: letters("ABAC") };
  assert.equal(hex(encode(codec, value)), hex(bytes));
  assert.deepEqual(decode(codec, bytes), value);
});

test("rans: frequencies sum to the power of two, leave no symbol out, and no unit would do better elsewhere", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(3), fc.nat(10 ** 6)), { minLength: 1, maxLength: 40 }), (counts) => {
      fc.pre(counts.some((count) => count > 0));
      const f = normalize(counts, 12);
      assert.equal(
        f.reduce((sum, n) => sum + n, 0),
        4096,
      );
      counts.forEach((count, symbol) => assert.equal(f[symbol]! > 0, count > 0));
      for (const [a, countA] of counts.entries()) {
        for (const [b, countB] of counts.entries()) {
          if (a === b || countB === 0 || f[a]! < 2) continue;
          assert.ok(countA / (f[a]! - 0.5) >= countB / (f[b]! + 0.5) - 1e-9, `a unit of ${a} belongs to ${b}`);
        }
      }
    }),
  );
});

test("rans: 431,080 symbols of a bell curve stay within 0.05 % and 128 bytes of the entropy, table included", () => {
  const symbols = bellSymbols(431_080);
  const value = chooseRans(symbols, 32);
  assert.equal(value.form, "interleaved");
  const bytes = encode(rans({ count: symbols.length, alphabet: 32 }), value);
  const entropy = entropyBytes(symbols);
  assert.ok(bytes.length <= 1.0005 * entropy + 128, `${bytes.length} bytes against ${entropy}`);
  // Tighter than promised: 28 bytes of table, 16 of states, and 0.01 % of frequencies rounded.
  assert.ok(bytes.length <= entropy + 60, `${bytes.length} bytes against ${entropy}`);
});

test("rans: states that are multiples of a frequency are divided exactly", () => {
  // 1 / 49 and its like are rounded down: without care, 49 q / 49 becomes q - 1 for some q.
  for (const f of [49, 98, 103, 107, 161, 187, 197, 823, 3277]) {
    const frequencies = Uint32Array.of(f, 4096 - f);
    const uniform = uniforms(f);
    const symbols = Uint16Array.from({ length: 20_000 }, () => Number(uniform() < 0.5));
    const codec = rans({ count: symbols.length, alphabet: 2 });
    const value: Rans = { form: "interleaved", bits: 12, frequencies, symbols };
    assert.deepEqual(decode(codec, encode(codec, value)), value);
  }
});

test("rans: the single form takes many symbols too, and then costs 12 bytes less than the interleaved one", () => {
  const symbols = bellSymbols(300_000);
  const codec = rans({ count: symbols.length, alphabet: 32 });
  const interleaved = chooseRans(symbols, 32);
  const bytes = encode(codec, { ...interleaved, form: "single" });
  assert.deepEqual(decode(codec, bytes, {}).symbols, symbols);
  assert.ok(Math.abs(bytes.length + 12 - encode(codec, interleaved).length) < 12);
});

test("rans: every table size reads back, with rare and with certain symbols", () => {
  for (const form of ["single", "interleaved"] as const) {
    for (let bits = 12; bits <= 16; bits++) {
      const symbols = Uint16Array.from({ length: 5000 }, (_, i) => (i % 97 === 0 ? i % 5 : 2));
      const frequencies = Uint32Array.of(1, 1, 2 ** bits - 4, 1, 1);
      const value: Rans = { form, bits, frequencies, symbols };
      const codec = rans({ count: 5000, alphabet: 5 });
      assert.deepEqual(decode(codec, encode(codec, value)), value);
      const certain: Rans = {
        form,
        bits,
        frequencies: Uint32Array.of(0, 0, 2 ** bits, 0, 0),
        symbols: symbols.fill(2),
      };
      const bytes = encode(codec, certain);
      assert.ok(bytes.length <= (form === "single" ? 9 : 21));
      assert.deepEqual(decode(codec, bytes), certain);
    }
  }
});

const codec = rans({ count: 4, alphabet: 3 });
const refused: [name: string, bytes: string, code: string][] = [
  ["nothing at all", "", "truncated"],
  ["a table of 17 bits", "5b 00 03 00 20 00  00 b0 00 20", "rans-bits"],
  ["frequencies above 2^12: 2048, 1024, 1536", "0b 00 03 00 30 00  00 b0 00 20", "rans-sum"],
  ["frequencies below 2^12: 2048, 1024, 512", "0b 00 03 00 0c 00  00 b0 00 20", "rans-sum"],
  ["a frequency of no width", "08 00 00 00 00 00", "step-range"],
  ["a table of the right sum with a bit set after it", "0b 00 03 00 20 01  00 b0 00 20", "padding"],
  ["a state below 2^23", "0b 00 03 00 20 00  00 b0 00 00", "rans-state"],
  ["a state of 2^31", "0b 00 03 00 20 00  00 b0 00 80", "rans-state"],
  ["a state that does not end as it began", "0b 00 03 00 20 00  01 b0 00 20", "rans-end"],
  ["a state that needs bytes which are not there", "0b 00 03 00 20 00  00 b0 80 00", "truncated"],
  ["one byte too many", "0b 00 03 00 20 00  00 b0 00 20 00", "leftover"],
  [
    "four states of which one is below 2^16",
    "8b 00 03 00 20 00  00 00 40 00 00 00 40 00 ff ff 00 00 00 00 40 00",
    "rans-state",
  ],
  [
    "four states of which one does not end as it began",
    "8b 00 03 00 20 00  00 00 02 00 00 08 04 00 00 00 02 00 01 0c 04 00",
    "rans-end",
  ],
];

for (const [name, bytes, code] of refused) {
  test(`rans: refuses ${name}`, () => {
    assert.throws(
      () => decode(codec, unhex(bytes)),
      (error) => error instanceof FormatError && error.code === code,
    );
    assert.equal(assertRefusedOrCanonical(codec, unhex(bytes)), "refused");
  });
}

test("rans: refuses to write what the format cannot say", () => {
  const symbols = letters("ABAC");
  for (const value of [
    { ...abc, symbols: letters("AB") },
    { ...abc, bits: 13, symbols },
    { ...abc, bits: 17, symbols },
    { ...abc, frequencies: Uint32Array.of(2048, 2048, 0), symbols },
    { ...abc, frequencies: Uint32Array.of(2048, 1024, 1023), symbols },
    { ...abc, form: "interleaved" as const, frequencies: Uint32Array.of(2048, 2048, 0), symbols },
  ]) {
    assert.throws(() => encode(codec, value), RangeError);
  }
  assert.throws(() => encode(rans({ count: 0, alphabet: 3 }), { ...abc, symbols: new Uint16Array() }), RangeError);
  assert.throws(() => rans({ count: 1, alphabet: 65_537 }), RangeError);
  assert.throws(() => chooseRans([3], 3), RangeError);
});
