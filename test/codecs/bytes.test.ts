import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteReader, ByteWriter, Trace } from "../../codecs/bytes.ts";
import { Budget, FormatError } from "../../codecs/codec.ts";
import { codecLaws } from "./laws.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const fromHex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "hex"));
const refused = (code: string, offset: number) => (error: unknown) =>
  error instanceof FormatError && error.code === code && error.offset === offset;

codecLaws(
  {
    tag: 0,
    name: "varint",
    write: (value: number, to) => to.varint(value),
    read: (from) => from.varint(),
  },
  fc.oneof(fc.nat(300), fc.maxSafeNat()),
  { runs: 500 },
);

codecLaws(
  {
    tag: 0,
    name: "fixed widths",
    write([a, b, c, d]: readonly [number, number, number, number], to) {
      to.u8(a);
      to.u16(b);
      to.u32(c);
      to.float32Bits(d);
    },
    read: (from) => [from.u8(), from.u16(), from.u32(), from.float32Bits()] as const,
  },
  fc.tuple(fc.nat(255), fc.nat(65535), fc.nat(2 ** 32 - 1), fc.nat(2 ** 32 - 1)),
);

test("integers are little-endian, varints lowest digit first", () => {
  const to = new ByteWriter();
  to.u16(0x0102);
  to.u32(0x80030201);
  to.varint(300);
  to.varint(2 ** 53 - 1);
  to.float32(1);
  assert.equal(hex(to.finish()), "0201" + "01020380" + "ac02" + "ffffffffffffff0f" + "0000803f");
});

test("a varint has one spelling and a range", () => {
  const read = (text: string, options?: { min?: number; max?: number }) =>
    new ByteReader(fromHex(text)).varint(options);
  assert.equal(read("7f"), 127);
  assert.throws(() => read("8000"), refused("varint-overlong", 0));
  assert.throws(() => read("ff8000"), refused("varint-overlong", 0));
  assert.throws(() => read("ffffffffffffff10"), refused("varint-range", 0));
  assert.throws(() => read("808080808080808001"), refused("varint-range", 0));
  assert.throws(() => read("ffffffffffffffffffffffff"), refused("varint-range", 0));
  assert.throws(() => read("05", { max: 4 }), refused("varint-range", 0));
  assert.throws(() => read("05", { min: 6 }), refused("varint-range", 0));
  assert.throws(() => read("80"), refused("truncated", 1));
});

test("numbers that the format cannot express are not written", () => {
  const to = new ByteWriter();
  for (const value of [-1, 0.5, NaN, Infinity]) {
    assert.throws(() => to.u8(value), RangeError);
    assert.throws(() => to.u32(value), RangeError);
    assert.throws(() => to.varint(value), RangeError);
  }
  assert.throws(() => to.u8(256), RangeError);
  assert.throws(() => to.u16(65536), RangeError);
  assert.throws(() => to.varint(2 ** 53), RangeError);
  assert.equal(to.length, 0);
});

test("nothing is read past the end, and a part is no larger than what is there", () => {
  const from = new ByteReader(fromHex("0102030405"), { start: 1, end: 4 });
  assert.throws(() => from.u32(), refused("truncated", 4));
  assert.equal(from.position, 1);
  assert.throws(() => from.bytes(4), refused("truncated", 4));
  assert.throws(() => from.bytes(2 ** 53), refused("truncated", 4));
  assert.throws(() => from.part(-1), refused("truncated", 4));
  const part = from.part(2);
  assert.equal(part.u16(), 0x0302);
  part.finish();
  assert.throws(() => from.finish(), refused("leftover", 3));
  assert.throws(() => new ByteReader(fromHex("00"), { start: 2 }), RangeError);
});

test("a trace says where each field begins and what it holds", () => {
  const trace = new Trace();
  const from = new ByteReader(fromHex("05ac0200"), { trace });
  from.u8("first");
  from.scope("inside", () => from.part(2).varint({ name: "second" }));
  from.field("third");
  from.u8();
  assert.deepEqual(trace.marks, [
    { offset: 0, path: ["first"], note: "5" },
    { offset: 1, path: ["inside", "second"], note: "300" },
    { offset: 3, path: ["third"] },
  ]);
});

test("a budget checks before it allocates, and a caller can only lower it", () => {
  const budget = new Budget({ elements: 100, memory: 500 }, { position: 7 });
  assert.equal(budget.float32(100).length, 100);
  assert.throws(() => budget.uint8(2 ** 53), refused("limit-memory", 7));
  assert.throws(() => budget.uint8(NaN), refused("limit-memory", 7));
  assert.throws(() => new Budget({}, { position: 7 }).uint8(2 ** 53), refused("limit-memory", 7));
  assert.throws(() => budget.int32(26), refused("limit-memory", 7));
  assert.equal(budget.uint16(50).length, 50);
  assert.throws(() => budget.at({ position: 9 }).uint8(1), refused("limit-memory", 9));
  assert.throws(() => budget.check("elements", 101), refused("limit-elements", 9));
  assert.throws(() => budget.check("classes", 65537, "outputs", 3), refused("limit-classes", 3));
  assert.throws(() => budget.check("ratio", NaN), refused("limit-ratio", 9));
  assert.throws(() => new Budget({ elements: 2 ** 27 }), RangeError);
  assert.throws(() => new Budget({ elements: -1 }), RangeError);
  assert.throws(() => new Budget({ size: 1 } as object), RangeError);
});
