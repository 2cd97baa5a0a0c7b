import type { ByteReader, ByteWriter } from "./bytes.ts";
import type { Budget } from "./codec.ts";
import { countOf, type Method } from "./method.ts";

/** Numbers as they are, bit for bit: NaN payloads and both zeros survive. Format: section 5.1. */
export interface RawNumbers {
  readonly method: "float32";
  readonly values: Float32Array;
}

export const float32: Method<RawNumbers> = {
  tag: 1,
  name: "float32",

  codec(tensors) {
    const count = countOf(tensors);
    return {
      tag: float32.tag,
      name: float32.name,

      write({ values }, to) {
        if (values.length !== count) throw new RangeError(`float32: expected ${count} numbers, got ${values.length}`);
        writeBits(values, to);
      },

      read(from, budget) {
        // "As many times 32 bits as there are numbers."
        return { method: "float32", values: readBits(count, from, budget) };
      },
    };
  },

  toValues: ({ values }) => values.slice(),
};

/** A number could lose the payload of a NaN when it is copied, its bits cannot. */
export function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

export function writeBits(values: Float32Array, to: ByteWriter): void {
  for (const bits of bitsOf(values)) to.float32Bits(bits);
}

/** So many numbers, whose bytes must be there before memory is taken for them. */
export function readBits(count: number, from: ByteReader, budget: Budget): Float32Array {
  if (from.remaining < 4 * count) {
    from.fail("truncated", `float32: ${4 * count} bytes needed, ${from.remaining} left`, from.end);
  }
  const values = budget.float32(count);
  const bits = bitsOf(values);
  if (count > 0) from.field("numbers");
  for (let i = 0; i < count; i++) bits[i] = from.float32Bits();
  return values;
}
