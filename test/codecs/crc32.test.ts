import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { crc32 } from "../../codecs/crc32.ts";

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

test("CRC-32 has its published check values", () => {
  assert.equal(crc32(ascii("")), 0);
  assert.equal(crc32(ascii("123456789")), 0xcbf43926);
  assert.equal(crc32(ascii("The quick brown fox jumps over the lazy dog")), 0x414fa339);
});

test("a part gives the value of a copy of that part", () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.nat(), fc.nat(), (bytes, a, b) => {
      const end = a % (bytes.length + 1);
      const start = b % (end + 1);
      assert.equal(crc32(bytes, start, end), crc32(bytes.slice(start, end)));
    }),
  );
});

test("any change of up to 32 neighbouring bits is found", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 5 }),
      fc.nat(),
      fc.integer({ min: 1, max: 2 ** 32 - 1 }),
      (bytes, where, change) => {
        const changed = bytes.slice();
        const at = where % (bytes.length - 3);
        for (let i = 0; i < 4; i++) changed[at + i]! ^= change >>> (8 * i);
        assert.notEqual(crc32(changed), crc32(bytes));
      },
    ),
  );
});
