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
        for (const bits of new Uint32Array(values.buffer, values.byteOffset, values.length)) to.float32Bits(bits);
      },

      read(from, budget) {
        // "As many times 32 bits as there are numbers." Checked against what is there before memory is taken.
        if (from.remaining < 4 * count) {
          from.fail("truncated", `float32: ${4 * count} bytes needed, ${from.remaining} left`, from.end);
        }
        const values = budget.float32(count);
        // A number could lose the payload of a NaN on the way, its bits cannot.
        const bits = new Uint32Array(values.buffer);
        from.field("numbers");
        for (let i = 0; i < count; i++) bits[i] = from.float32Bits();
        return { method: "float32", values };
      },
    };
  },

  toValues: ({ values }) => values.slice(),
};
