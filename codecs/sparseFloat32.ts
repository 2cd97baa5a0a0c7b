import { bitsOf, readBits, writeBits } from "./float32.ts";
import { countOf, type Method } from "./method.ts";
import { sparse, type Sparse } from "./sparse.ts";

/**
 * The places of the numbers that are not zero, and those numbers bit for bit: what pruning alone leaves, which has more
 * values than a codebook holds. Format: section 5.6.
 */
export interface SparseNumbers {
  readonly method: "sparse float32";
  /** How many numbers there are, zeros included. */
  readonly length: number;
  readonly places: Sparse;
  /** One per place, none of them +0. A -0 is a number like any other, so that every bit comes back. */
  readonly values: Float32Array;
}

export const sparseFloat32: Method<SparseNumbers> = {
  tag: 6,
  name: "sparse float32",

  codec(tensors) {
    const length = countOf(tensors);
    return {
      tag: sparseFloat32.tag,
      name: sparseFloat32.name,

      write({ length: given, places, values }, to) {
        const count = places.positions.length;
        if (given !== length) throw new RangeError(`sparse float32: expected ${length}, got ${given}`);
        if (values.length !== count) {
          throw new RangeError(`sparse float32: ${count} places need as many numbers, got ${values.length}`);
        }
        const zero = bitsOf(values).indexOf(0);
        if (zero >= 0) throw new RangeError(`sparse float32: number ${zero} is 0, which stands for absent`);
        // "The places, then one float32 per place."
        sparse({ length }).write(places, to);
        writeBits(values, to);
      },

      read(from, budget) {
        const places = from.scope("places", () => sparse({ length }).read(from, budget));
        const start = from.position;
        const values = readBits(places.positions.length, from, budget);
        const zero = bitsOf(values).indexOf(0);
        if (zero >= 0) from.fail("sparse-zero", `sparse float32: number ${zero} is 0`, start + 4 * zero);
        return { method: "sparse float32", length, places, values };
      },
    };
  },

  toValues({ length, places: { positions }, values }) {
    const all = new Float32Array(length);
    const [to, from] = [bitsOf(all), bitsOf(values)];
    for (let i = 0; i < positions.length; i++) to[positions[i]!] = from[i]!;
    return all;
  },
};
