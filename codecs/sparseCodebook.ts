import { entries as entriesCodec, firstUnused } from "./entries.ts";
import { countOf, type Method } from "./method.ts";
import { sparse, type Sparse } from "./sparse.ts";
import { symbols, type Symbols } from "./symbols.ts";

/** The places of the numbers that are not zero, and a codebook for those. Format: section 5.3. */
export interface SparseCodebook {
  readonly method: "sparse codebook";
  /** How many numbers there are, zeros included. */
  readonly length: number;
  readonly places: Sparse;
  /** Rising, finite, each in use, none zero. */
  readonly entries: Float32Array;
  /** One per place. */
  readonly indices: Symbols;
}

export const sparseCodebook: Method<SparseCodebook> = {
  tag: 3,
  name: "sparse codebook",

  codec(tensors) {
    const length = countOf(tensors);
    return {
      tag: sparseCodebook.tag,
      name: sparseCodebook.name,

      write(coded, to) {
        const { places, entries, indices } = coded;
        const count = places.positions.length;
        if (coded.length !== length) throw new RangeError(`sparse codebook: expected ${length}, got ${coded.length}`);
        const unused = firstUnused(entries, indices.symbols);
        if (unused >= 0) throw new RangeError(`sparse codebook: entry ${unused} is not used`);
        // "The places; unless there are none, the entries, then one symbol per place: the index of its entry."
        sparse({ length }).write(places, to);
        if (count === 0) return;
        entriesCodec({ min: 1, max: count, zero: false }).write(entries, to);
        symbols({ count, alphabet: entries.length }).write(indices, to);
      },

      read(from, budget) {
        const places = from.scope("places", () => sparse({ length }).read(from, budget));
        const count = places.positions.length;
        if (count === 0) {
          return { method: "sparse codebook", length, places, entries: new Float32Array(0), indices: nothing };
        }
        const start = from.position;
        const entries = entriesCodec({ min: 1, max: count, zero: false }).read(from, budget);
        const indices = from.scope("indices", () => symbols({ count, alphabet: entries.length }).read(from, budget));
        const unused = firstUnused(entries, indices.symbols);
        if (unused >= 0) from.fail("codebook-unused", `sparse codebook: entry ${unused} is not used`, start);
        return { method: "sparse codebook", length, places, entries, indices };
      },
    };
  },

  toValues({ length, places: { positions }, entries, indices }) {
    const values = new Float32Array(length);
    for (let i = 0; i < positions.length; i++) values[positions[i]!] = entries[indices.symbols[i]!]!;
    return values;
  },
};

const nothing: Symbols = { coder: "fixed", symbols: new Uint16Array(0) };
