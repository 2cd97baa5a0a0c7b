import { BitReader, BitWriter } from "./bits.ts";
import { ByteWriter } from "./bytes.ts";
import type { Codec } from "./codec.ts";
import { chooseHuffman, huffman, type Huffman } from "./huffman.ts";
import { chooseRans, rans, type Rans } from "./rans.ts";

/** Whole numbers from 0 up to below a bound, the alphabet, together with the coder that was chosen for them. */
export type Symbols =
  | { readonly coder: "fixed"; readonly symbols: Uint16Array }
  | ({ readonly coder: "huffman" } & Huffman)
  | ({ readonly coder: "rans" } & Rans);

/** How many symbols there are, and the number that all of them are below: 1 to 4,096. */
export interface SymbolRange {
  readonly count: number;
  readonly alphabet: number;
}

const coders: readonly Symbols["coder"][] = ["fixed", "huffman", "rans"];

/**
 * `count` symbols below `alphabet`: the tag of a coder, then what that coder writes. Format: section 7. Where nothing
 * is left to say, as there are no symbols or only one is possible, no byte is spent and the coder is "fixed".
 */
export function symbols(range: SymbolRange): Codec<Symbols> {
  const silent = isSilent(range);
  return {
    tag: 0,
    name: "symbols",

    write(value, to) {
      if (silent && value.coder !== "fixed") {
        throw new RangeError(`symbols: with nothing to say the coder is "fixed", got "${value.coder}"`);
      }
      const codec = codecOf(value.coder, range);
      if (!silent) to.u8(codec.tag);
      codec.write(value, to);
    },

    read(from, budget) {
      if (silent) return codecOf("fixed", range).read(from, budget);
      const start = from.position;
      const tag = from.u8("coder");
      const codec = coders.map((coder) => codecOf(coder, range)).find((candidate) => candidate.tag === tag);
      if (codec === undefined) return from.fail("coder-unknown", `symbols: there is no coder ${tag}`, start);
      from.note(codec.name);
      return codec.read(from, budget);
    },
  };
}

function isSilent({ count, alphabet }: SymbolRange): boolean {
  return count === 0 || alphabet === 1;
}

/** The symbols with the coder that makes them smallest; of equal ones the first in the order of tags. */
export function chooseSymbols(
  values: Uint16Array,
  alphabet: number,
  among: readonly Symbols["coder"][] = coders,
): Symbols {
  const range = { count: values.length, alphabet };
  const fixedWidth: Symbols = { coder: "fixed", symbols: values };
  if (isSilent(range)) return fixedWidth;
  const candidates: Symbols[] = [fixedWidth];
  if (among.includes("huffman")) candidates.push({ coder: "huffman", ...chooseHuffman(values, alphabet) });
  if (among.includes("rans")) candidates.push({ coder: "rans", ...chooseRans(values, alphabet) });
  return smallest(candidates, () => symbols(range));
}

/** The value that takes the fewest bytes, each in its own codec; of equal ones the first. */
export function smallest<T>(candidates: readonly T[], codecOf: (value: T) => Codec<T>): T {
  const sizes = candidates.map((candidate) => {
    const to = new ByteWriter();
    codecOf(candidate).write(candidate, to);
    return to.length;
  });
  return candidates[sizes.indexOf(Math.min(...sizes))]!;
}

function codecOf(coder: Symbols["coder"], range: SymbolRange): Codec<Symbols> {
  switch (coder) {
    case "fixed":
      return named(coder, fixed(range));
    case "huffman":
      return named(coder, huffman(range));
    case "rans":
      return named(coder, rans(range));
    default:
      throw new RangeError(`symbols: there is no coder "${String(coder)}"`);
  }
}

/** The codec of one coder as a codec of symbols, which carry their coder's name. */
function named<T extends object>(coder: Symbols["coder"], codec: Codec<T>): Codec<Symbols> {
  return {
    tag: codec.tag,
    name: codec.name,
    write: (value, to) => codec.write(value as unknown as T, to),
    read: (from, budget) => ({ coder, ...codec.read(from, budget) }) as unknown as Symbols,
  };
}

/** Every symbol in the bits that `alphabet - 1` needs, the most significant bit first. Format: section 7.1. */
function fixed({ count, alphabet }: SymbolRange): Codec<{ symbols: Uint16Array }> {
  if (!(Number.isInteger(alphabet) && alphabet >= 1 && alphabet <= 4096)) {
    throw new RangeError(`symbols: alphabet must be a whole number from 1 to 4096, got ${alphabet}`);
  }
  const width = 32 - Math.clz32(alphabet - 1);
  return {
    tag: 0x0f,
    name: "fixed width",

    write({ symbols }, to) {
      if (symbols.length !== count) throw new RangeError(`symbols: expected ${count}, got ${symbols.length}`);
      const bits = new BitWriter(to);
      for (const symbol of symbols) {
        if (symbol >= alphabet) throw new RangeError(`symbols: ${symbol} is not below ${alphabet}`);
        bits.bits(symbol, width);
      }
      bits.finish();
    },

    read(from, budget) {
      const symbols = budget.uint16(count);
      if (count === 0) return { symbols };
      if (width > 0) from.field("symbols");
      const bits = new BitReader(from);
      // A count larger than the data can hold ends here and not after a long wait.
      if (width * count > bits.remaining) bits.skip(width * count);
      for (let i = 0; i < count; i++) {
        const start = bits.position;
        symbols[i] = bits.bits(width);
        if (symbols[i]! >= alphabet) {
          bits.fail("fixed-range", `fixed width: symbol ${symbols[i]} is not below ${alphabet}`, start);
        }
      }
      bits.finish();
      return { symbols };
    },
  };
}
