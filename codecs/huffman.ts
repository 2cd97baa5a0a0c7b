import { BitReader, BitWriter } from "./bits.ts";
import type { ByteReader } from "./bytes.ts";
import type { Budget, Codec } from "./codec.ts";
import { StepReader, StepWriter } from "./golomb.ts";

/**
 * Symbols and the code lengths chosen for them. Format: section 7.2. The lengths are part of the value: a choice
 * that is not the shortest is kept and written again as it was.
 */
export interface Huffman {
  /**
   * One per symbol of the alphabet, 0 for a symbol without a code. The codes fill the tree: the sum of 2^-length is 1,
   * or else there is one symbol only, whose length stands as 1 and whose code is empty.
   */
  lengths: Uint8Array;
  symbols: Uint16Array;
}

/** No code is longer. Fifteen bits lose nothing measurable at our sizes (a symbol that rare costs 15 instead of 16). */
export const maxLength = 15;

/** Twelve bits for a symbol, so that two symbols, their number and the length of both codes fit one table entry. */
export const maxAlphabet = 4096;

const complete = 2 ** maxLength;

/** Bits looked up at once: 16 KiB of table, which stays in the first-level cache. */
const windowBits = 12;

/**
 * Canonical Huffman codes of `count` symbols below `alphabet` (D. Huffman 1952; lengths at most 15). Throws RangeError
 * for an alphabet above 4,096.
 */
export function huffman({ count, alphabet }: { count: number; alphabet: number }): Codec<Huffman> {
  if (!(Number.isInteger(alphabet) && alphabet >= 1 && alphabet <= maxAlphabet)) {
    throw new RangeError(`huffman: alphabet must be a whole number from 1 to ${maxAlphabet}, got ${alphabet}`);
  }
  return {
    tag: 0x10,
    name: "huffman",

    write({ lengths, symbols }, to) {
      if (lengths.length !== alphabet || symbols.length !== count) {
        throw new RangeError(
          `huffman: expected ${alphabet} lengths and ${count} symbols, got ${lengths.length} and ${symbols.length}`,
        );
      }
      if (count === 0) {
        if (lengths.some((length) => length > 0)) throw new RangeError("huffman: code lengths without symbols");
        return;
      }
      const bits = new BitWriter(to);
      writeLengths(lengths, bits);
      writeSymbols(lengths, symbols, bits);
      bits.finish();
    },

    read(from, budget) {
      const lengths = budget.uint8(alphabet);
      const symbols = budget.uint16(count);
      if (count === 0) return { lengths, symbols };
      from.field("code lengths");
      const bits = new BitReader(from);
      readLengths(bits, lengths);
      bits.field("codes");
      readSymbols(bits, from, lengths, symbols, budget);
      bits.finish();
      return { lengths, symbols };
    },
  };
}

/** Gives symbols below `alphabet` the lengths that make their codes shortest in total. */
export function chooseHuffman(symbols: ArrayLike<number>, alphabet: number): Huffman {
  const counts = new Float64Array(alphabet);
  for (let i = 0; i < symbols.length; i++) {
    const symbol = symbols[i]!;
    if (!(symbol >= 0 && symbol < alphabet)) throw new RangeError(`huffman: symbol ${symbol} is not below ${alphabet}`);
    counts[symbol]! += 1;
  }
  return { lengths: codeLengths(counts), symbols: Uint16Array.from(symbols) };
}

/**
 * The best code lengths of at most `limit` bits for symbols that occur `counts` times; 0 where the count is 0. By
 * package-merge (Larmore and Hirschberg 1990): a row of n leaves, then `limit` - 1 times: pair up neighbours of the
 * row, merge the leaves in by weight. The first 2n - 2 of the last row are taken, each pair stands for two of the row
 * before, and a symbol's length is how often its leaf is taken.
 */
export function codeLengths(counts: ArrayLike<number>, limit: number = maxLength): Uint8Array {
  const lengths = new Uint8Array(counts.length);
  const leaves = Array.from(lengths.keys()).filter((symbol) => counts[symbol]! > 0);
  leaves.sort((a, b) => counts[a]! - counts[b]! || a - b);
  if (leaves.length > 2 ** limit) {
    throw new RangeError(`huffman: ${leaves.length} symbols do not fit codes of at most ${limit} bits`);
  }
  if (leaves.length === 1) lengths[leaves[0]!] = 1;
  if (leaves.length < 2) return lengths;

  /** For each row, which of its items are leaves, in the order of weight. */
  const rows: boolean[][] = [];
  let pairs: number[] = [];
  for (let row = 0; row < limit; row++) {
    const weights: number[] = [];
    const isLeaf: boolean[] = [];
    for (let leaf = 0, pair = 0; leaf < leaves.length || pair < pairs.length;) {
      const weight = leaf < leaves.length ? counts[leaves[leaf]!]! : Infinity;
      const takesLeaf = pair >= pairs.length || weight <= pairs[pair]!;
      weights.push(takesLeaf ? weight : pairs[pair]!);
      isLeaf.push(takesLeaf);
      if (takesLeaf) leaf += 1;
      else pair += 1;
    }
    rows.push(isLeaf);
    pairs = [];
    for (let i = 0; i + 1 < weights.length; i += 2) pairs.push(weights[i]! + weights[i + 1]!);
  }

  let taken = 2 * leaves.length - 2;
  for (const isLeaf of rows.reverse()) {
    let leaf = 0;
    for (let i = 0; i < taken; i++) if (isLeaf[i]) lengths[leaves[leaf++]!]! += 1;
    taken = 2 * (taken - leaf);
  }
  return lengths;
}

/**
 * The codes that go with lengths: "in order of length, then of symbol; the first is all zeros, the next is
 * (code + 1) shifted left by the difference of their lengths".
 */
export function canonicalCodes(lengths: Uint8Array): Uint16Array {
  const codes = new Uint16Array(lengths.length);
  const { firstCode } = outline(lengths);
  const next = firstCode.slice();
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const length = lengths[symbol]!;
    if (length > 0) codes[symbol] = next[length]!++;
  }
  return codes;
}

/** How many codes each length has, and the first code of each length. */
function outline(lengths: Uint8Array): { countOf: Uint32Array; firstCode: Uint32Array } {
  const countOf = new Uint32Array(maxLength + 1);
  for (const length of lengths) countOf[length]! += 1;
  countOf[0] = 0;
  const firstCode = new Uint32Array(maxLength + 1);
  for (let length = 1; length <= maxLength; length++) {
    firstCode[length] = 2 * (firstCode[length - 1]! + countOf[length - 1]!);
  }
  return { countOf, firstCode };
}

// "The lengths are a row of steps; a field of 4 bits holds the first. It ends with the symbol that completes the tree."

function writeLengths(lengths: Uint8Array, to: BitWriter): void {
  const single = isSingle(lengths);
  let filled = 0;
  for (const length of lengths) {
    if (length > maxLength) throw new RangeError(`huffman: code lengths must be at most ${maxLength}, got ${length}`);
    if (length > 0) filled += complete >>> length;
  }
  if (!single && filled !== complete) {
    throw new RangeError(`huffman: code lengths must fill the tree, they fill ${filled} / ${complete}`);
  }
  const steps = new StepWriter(to, 4);
  for (const length of lengths) {
    if (length === 0) steps.absent();
    // "A first length of 0 says that there is one symbol only, and that its code is empty."
    else steps.present(single ? 0 : length);
  }
}

function readLengths(from: BitReader, lengths: Uint8Array): void {
  const steps = new StepReader(from, 4);
  let symbol = 0;
  for (let filled = 0; filled < complete; symbol++) {
    const start = from.position;
    if (symbol === lengths.length) {
      from.fail("huffman-incomplete", `huffman: the ${lengths.length} symbols of the alphabet leave codes unused`);
    }
    const { absent, value } = steps.next(lengths.length - symbol - 1, filled === 0 ? 0 : 1, maxLength);
    symbol += absent;
    if (value === 0) {
      lengths[symbol] = 1;
      return;
    }
    lengths[symbol] = value;
    filled += complete >>> value;
    if (filled > complete) {
      from.fail("huffman-oversubscribed", `huffman: code lengths oversubscribe the tree at symbol ${symbol}`, start);
    }
  }
}

function isSingle(lengths: Uint8Array): boolean {
  let sum = 0;
  for (const length of lengths) sum += length;
  return sum === 1;
}

// "Then one code per symbol, in order."

function writeSymbols(lengths: Uint8Array, symbols: Uint16Array, to: BitWriter): void {
  const single = isSingle(lengths);
  const codes = canonicalCodes(lengths);
  // Codes are gathered up to 32 bits before they are written: four times as fast as one by one, measured.
  let gathered = 0;
  let bits = 0;
  for (let i = 0; i < symbols.length; i++) {
    const symbol = symbols[i]!;
    const length = lengths[symbol] ?? 0;
    if (length === 0) throw new RangeError(`huffman: symbol ${symbol} has no code`);
    if (single) continue;
    if (bits + length > 32) {
      to.bits(gathered, bits);
      gathered = 0;
      bits = 0;
    }
    gathered = ((gathered << length) | codes[symbol]!) >>> 0;
    bits += length;
  }
  to.bits(gathered, bits);
}

function readSymbols(
  bits: BitReader,
  from: ByteReader,
  lengths: Uint8Array,
  symbols: Uint16Array,
  budget: Budget,
): void {
  if (isSingle(lengths)) {
    symbols.fill(lengths.indexOf(1));
    return;
  }
  // Every code takes a bit or more, so that a count larger than the data ends here and not after a long wait.
  if (symbols.length > bits.remaining) bits.skip(symbols.length);

  const { countOf, firstCode } = outline(lengths);
  const ranked = rank(lengths);
  const table = lookup(lengths, budget);
  const used = 8 * from.remaining - bits.remaining;
  const view = new DataView(from.source.buffer, from.source.byteOffset, from.end);
  let at = 8 * from.position + used;
  let i = 0;

  // The fast loop needs four bytes to look at and room for two symbols.
  const last = symbols.length - 1;
  const lastWindow = 8 * (from.end - 4) + 7;
  while (i < last && at <= lastWindow) {
    const window = view.getUint32(at >>> 3) << (at & 7);
    const entry = table[window >>> (32 - windowBits)]!;
    if (entry === 0) {
      const { symbol, length } = longCode(window, countOf, firstCode, ranked);
      symbols[i++] = symbol;
      at += length;
    } else {
      symbols[i] = entry & 4095;
      symbols[i + 1] = (entry >>> 12) & 4095;
      at += (entry >>> 24) & 15;
      i += entry >>> 28;
    }
  }

  bits.skip(at - 8 * from.position - used);
  for (; i < symbols.length; i++) {
    const { symbol, length } = longCode(bits.peek(maxLength) << (32 - maxLength), countOf, firstCode, ranked);
    bits.skip(length);
    symbols[i] = symbol;
  }
}

/** The symbols that have a code, in the order of their codes. */
function rank(lengths: Uint8Array): Uint16Array {
  const ranked = Uint16Array.from(lengths.keys()).filter((symbol) => lengths[symbol]! > 0);
  return ranked.sort((a, b) => lengths[a]! - lengths[b]! || a - b);
}

/** The reference decoder of one code: at each length, is the code among those of that length? */
function longCode(
  window: number,
  countOf: Uint32Array,
  firstCode: Uint32Array,
  ranked: Uint16Array,
): { symbol: number; length: number } {
  let before = 0;
  for (let length = 1; ; length++) {
    const place = (window >>> (32 - length)) - firstCode[length]!;
    // The tree is full, so that this holds at `maxLength` bits at the latest.
    if (place < countOf[length]!) return { symbol: ranked[before + place]!, length };
    before += countOf[length]!;
  }
}

/**
 * For each window of bits: the one or two symbols whose codes begin it, as first symbol, second symbol * 2^12, bits of
 * both * 2^24, how many * 2^28; 0 when the first code is longer than the window. Two at once: measured 1.6 times as
 * fast as one on the symbols of `bench/codecs.ts`.
 */
function lookup(lengths: Uint8Array, budget: Budget): Int32Array {
  const size = 2 ** windowBits;
  const table = budget.int32(size);
  const codes = canonicalCodes(lengths);
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const length = lengths[symbol]!;
    if (length === 0 || length > windowBits) continue;
    const start = codes[symbol]! << (windowBits - length);
    table.fill(symbol | (length << 24) | (1 << 28), start, start + 2 ** (windowBits - length));
  }
  const first = table.slice();
  for (let window = 0; window < size; window++) {
    const length = (first[window]! >>> 24) & 15;
    const next = first[(window << length) & (size - 1)]!;
    const both = length + ((next >>> 24) & 15);
    if (first[window] === 0 || next === 0 || both > windowBits) continue;
    table[window] = (first[window]! & 4095) | ((next & 4095) << 12) | (both << 24) | (2 << 28);
  }
  return table;
}
