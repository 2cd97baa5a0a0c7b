import type { Codec } from "./codec.ts";

/** `count` numbers as they are, bit for bit: NaN payloads and both zeros survive. Format: section 5.1. */
export function float32({ count }: { count: number }): Codec<Float32Array> {
  return {
    tag: 0x01,
    name: "float32",

    write(values, to) {
      if (values.length !== count) throw new RangeError(`float32: expected ${count} numbers, got ${values.length}`);
      for (const bits of new Uint32Array(values.buffer, values.byteOffset, values.length)) to.float32Bits(bits);
    },

    read(from, budget) {
      // "`count` times 32 bits." Checked against what is there before memory is taken.
      if (from.remaining < 4 * count) {
        from.fail("truncated", `float32: ${4 * count} bytes needed, ${from.remaining} left`, from.end);
      }
      const values = budget.float32(count);
      const bits = new Uint32Array(values.buffer);
      from.field("numbers");
      for (let i = 0; i < count; i++) bits[i] = from.float32Bits();
      return values;
    },
  };
}
