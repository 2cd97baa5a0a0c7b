import { toValues } from "./codebook.ts";
import { entries as entriesCodec, firstUnused } from "./entries.ts";
import { countOf, type Method } from "./method.ts";
import { symbols, type Symbols } from "./symbols.ts";

/** A codebook, and the index of an entry for every number. Format: section 5.2. */
export interface DenseCodebook {
  readonly method: "codebook";
  /** Rising, finite, each in use; zero is +0. */
  readonly entries: Float32Array;
  readonly indices: Symbols;
}

export const denseCodebook: Method<DenseCodebook> = {
  tag: 2,
  name: "codebook",

  codec(tensors) {
    const count = countOf(tensors);
    return {
      tag: denseCodebook.tag,
      name: denseCodebook.name,

      write({ entries, indices }, to) {
        const unused = firstUnused(entries, indices.symbols);
        if (unused >= 0) throw new RangeError(`codebook: entry ${unused} is not used`);
        // "The entries, then one symbol per number: the index of its entry."
        entriesCodec({ min: 1, max: count, zero: true }).write(entries, to);
        symbols({ count, alphabet: entries.length }).write(indices, to);
      },

      read(from, budget) {
        const start = from.position;
        const entries = entriesCodec({ min: 1, max: count, zero: true }).read(from, budget);
        const indices = from.scope("indices", () => symbols({ count, alphabet: entries.length }).read(from, budget));
        const unused = firstUnused(entries, indices.symbols);
        if (unused >= 0) from.fail("codebook-unused", `codebook: entry ${unused} is not used`, start);
        return { method: "codebook", entries, indices };
      },
    };
  },

  toValues: ({ entries, indices }) => toValues({ entries, indices: indices.symbols }),
};
