import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BitReader, BitWriter } from "../../codecs/bits.ts";
import { ByteReader, ByteWriter } from "../../codecs/bytes.ts";
import { FormatError } from "../../codecs/codec.ts";

const piece = fc.nat(32).chain((count) => fc.tuple(fc.nat(2 ** count - 1), fc.constant(count)));

test("bits come back as they were written, whatever their widths", () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), fc.nat(255), (pieces, before) => {
      const to = new ByteWriter();
      to.u8(before);
      const writer = new BitWriter(to);
      for (const [value, count] of pieces) writer.bits(value, count);
      writer.finish();
      to.u8(77);
      const total = pieces.reduce((sum, [, count]) => sum + count, 0);
      assert.equal(to.length, 2 + Math.ceil(total / 8));

      const from = new ByteReader(to.finish());
      assert.equal(from.u8(), before);
      const reader = new BitReader(from);
      for (const [value, count] of pieces) {
        assert.equal(reader.peek(count), value);
        assert.equal(reader.bits(count), value);
      }
      reader.finish();
      assert.equal(from.u8(), 77);
      from.finish();
    }),
  );
});

test("the most significant bit comes first", () => {
  const to = new ByteWriter();
  const writer = new BitWriter(to);
  writer.bit(1);
  writer.bits(0b01, 2);
  writer.bits(0xffffffff, 32);
  writer.finish();
  assert.deepEqual([...to.finish()], [0b10111111, 255, 255, 255, 0b11100000]);
});

test("padding must be zero and nothing is read past the end", () => {
  const padded = new BitReader(new ByteReader(Uint8Array.of(0b10100001)));
  padded.bits(3);
  assert.throws(
    () => padded.finish(),
    (error) => error instanceof FormatError && error.code === "padding",
  );
  const short = new BitReader(new ByteReader(Uint8Array.of(255, 255), { end: 1 }));
  assert.equal(short.peek(12), 0xff0);
  assert.throws(
    () => short.bits(9),
    (error) => error instanceof FormatError && error.code === "truncated" && error.offset === 1,
  );
});

test("values that do not fit are not written", () => {
  const writer = new BitWriter(new ByteWriter());
  assert.throws(() => writer.bits(4, 2), RangeError);
  assert.throws(() => writer.bits(-1, 8), RangeError);
  assert.throws(() => writer.bits(0, 33), RangeError);
});
