import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteReader, ByteWriter } from "../../codecs/bytes.ts";
import { Budget, type Codec, FormatError, type Limits } from "../../codecs/codec.ts";

/** Small enough that a hostile length cannot slow the laws down. */
const smallLimits: Partial<Limits> = { elements: 2 ** 16, memory: 2 ** 22 };

export function encode<T>(codec: Codec<T>, value: T): Uint8Array {
  const to = new ByteWriter();
  codec.write(value, to);
  return to.finish();
}

/** Reads a value that must fill `bytes` exactly. */
export function decode<T>(codec: Codec<T>, bytes: Uint8Array, limits: Partial<Limits> = smallLimits): T {
  const from = new ByteReader(bytes);
  const value = codec.read(from, new Budget(limits, from));
  from.finish();
  return value;
}

/** Bytes that are refused with FormatError at a place inside them, or else are what the writer writes. */
export function assertRefusedOrCanonical<T>(codec: Codec<T>, bytes: Uint8Array): "refused" | "canonical" {
  const before = bytes.slice();
  let value: T;
  try {
    value = decode(codec, bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    assert.ok(error.offset >= 0 && error.offset <= bytes.length, `offset ${error.offset} of ${bytes.length} bytes`);
    assert.match(error.code, /^[a-z0-9]+(-[a-z0-9]+)*$/);
    assert.ok(error.message.endsWith(`(at byte ${error.offset})`));
    return "refused";
  } finally {
    assert.deepEqual(bytes, before, "reading left its input alone");
  }
  assert.deepEqual(encode(codec, value), bytes, "accepted bytes are what the writer writes");
  return "canonical";
}

export interface CodecLawOptions<T> {
  /** Inputs tried per law. */
  readonly runs?: number;
  /** For values that hold NaNs or share structure: by default, `assert.deepStrictEqual`. */
  readonly same?: (actual: T, expected: T) => void;
}

/**
 * The laws of every codec: `read` undoes `write`, writing does not change its value, and any bytes (random, cut short,
 * extended, one bit flipped, one byte replaced) are refused or canonical.
 */
export function codecLaws<T>(codec: Codec<T>, values: fc.Arbitrary<T>, options: CodecLawOptions<T> = {}): void {
  const { runs = 100, same = (actual, expected) => assert.deepStrictEqual(actual, expected) } = options;

  test(`${codec.name}: read undoes write`, () => {
    fc.assert(
      fc.property(values, (value) => {
        const kept = structuredClone(value);
        const bytes = encode(codec, value);
        same(value, kept);
        same(decode(codec, bytes, {}), kept);
      }),
      { numRuns: runs },
    );
  });

  test(`${codec.name}: random bytes are refused or canonical`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => void assertRefusedOrCanonical(codec, bytes)),
      { numRuns: 4 * runs },
    );
  });

  test(`${codec.name}: a file cut short is refused or canonical`, () => {
    fc.assert(
      fc.property(values, (value) => {
        const bytes = encode(codec, value);
        const step = Math.max(1, Math.floor(bytes.length / 64));
        for (let length = 0; length < bytes.length; length += step) {
          assertRefusedOrCanonical(codec, bytes.slice(0, length));
        }
      }),
      { numRuns: Math.ceil(runs / 4) },
    );
  });

  test(`${codec.name}: a file with one change is refused or canonical`, () => {
    fc.assert(
      fc.property(
        values,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        fc.uint8Array({ maxLength: 4 }),
        (value, where, change, more) => {
          const bytes = encode(codec, value);
          if (bytes.length > 0) {
            const at = where % bytes.length;
            const flipped = bytes.slice();
            flipped[at]! ^= 1 << (change % 8);
            assertRefusedOrCanonical(codec, flipped);
            const replaced = bytes.slice();
            replaced[at]! ^= change;
            assertRefusedOrCanonical(codec, replaced);
          }
          assertRefusedOrCanonical(codec, Uint8Array.of(...bytes, ...more));
        },
      ),
      { numRuns: 2 * runs },
    );
  });
}
