import { BitReader, BitWriter } from "./bits.ts";
import type { ByteReader } from "./bytes.ts";
import type { Budget, Codec } from "./codec.ts";
import { costOf } from "./cost.ts";
import { StepReader, StepWriter, width } from "./golomb.ts";
import { Heap } from "./heap.ts";

/**
 * Symbols and the frequencies chosen for them (J. Duda 2013, range variant). Format: section 7.3. Frequencies are
 * part of the value: a choice that is not the best is kept and written again as it was.
 */
export interface Rans {
  /**
   * "single": one state, bytes. The reference text, and the smaller one for a few symbols (4 bytes of states).
   * "interleaved": four states, 16-bit words. The fast one (16 bytes of states).
   */
  form: "single" | "interleaved";
  /** The frequencies sum to 2^bits; 12 to 16. */
  bits: number;
  /** One per symbol of the alphabet, 0 for a symbol that does not occur. */
  frequencies: Uint32Array;
  symbols: Uint16Array;
}

export const minBits = 12;
export const maxBits = 16;

/** `count` symbols below `alphabet` (at most 65,536), coded with static frequencies. Throws RangeError otherwise. */
export function rans({ count, alphabet }: { count: number; alphabet: number }): Codec<Rans> {
  if (!(Number.isInteger(alphabet) && alphabet >= 1 && alphabet <= 2 ** maxBits)) {
    throw new RangeError(`rans: alphabet must be a whole number from 1 to ${2 ** maxBits}, got ${alphabet}`);
  }
  return {
    tag: 0x11,
    name: "rans",

    write(value, to) {
      const { form, bits, frequencies, symbols } = value;
      if (frequencies.length !== alphabet || symbols.length !== count) {
        const found = `${frequencies.length} and ${symbols.length}`;
        throw new RangeError(`rans: expected ${alphabet} frequencies and ${count} symbols, got ${found}`);
      }
      if (count === 0) {
        const { form: emptyForm, bits: emptyBits } = nothing;
        if (form !== emptyForm || bits !== emptyBits || frequencies.some((f) => f > 0)) {
          throw new RangeError("rans: frequencies without symbols");
        }
        return;
      }
      // "One bit for the form, three for bits - 12, then the frequencies."
      const header = new BitWriter(to);
      header.bit(form === "single" ? 0 : 1);
      writeFrequencies(bits, frequencies, header);
      header.finish();
      if (form === "single") to.bytes(encodeSingle(bits, frequencies, symbols));
      else to.bytes(encodeInterleaved(bits, frequencies, symbols));
    },

    read(from, budget) {
      const frequencies = budget.uint32(alphabet);
      const symbols = budget.uint16(count);
      if (count === 0) return { ...nothing, frequencies, symbols };
      from.field("frequencies");
      const header = new BitReader(from);
      const form = header.bit() === 0 ? "single" : "interleaved";
      const bits = readFrequencies(header, frequencies);
      header.finish();
      const slots = slotTable(bits, frequencies, budget);
      from.field("states and symbols");
      if (form === "single") decodeSingle(bits, frequencies, slots, symbols, from);
      else decodeInterleaved(bits, frequencies, slots, symbols, from, budget);
      return { form, bits, frequencies, symbols };
    },
  };
}

/** What stands beside no symbols at all: no byte says it. */
const nothing = { form: "single", bits: minBits } as const;

/** Gives symbols below `alphabet` the form and the frequencies that make the whole smallest. */
export function chooseRans(symbols: ArrayLike<number>, alphabet: number): Rans {
  const counts = new Float64Array(alphabet);
  for (let i = 0; i < symbols.length; i++) {
    const symbol = symbols[i]!;
    if (!(symbol >= 0 && symbol < alphabet)) throw new RangeError(`rans: symbol ${symbol} is not below ${alphabet}`);
    counts[symbol]! += 1;
  }
  const kept = Uint16Array.from(symbols);
  if (kept.length === 0) return { ...nothing, frequencies: new Uint32Array(alphabet), symbols: kept };
  const form = kept.length < interleavedFrom ? "single" : "interleaved";
  let best: { bits: number; frequencies: Uint32Array; cost: number } | undefined;
  for (let bits = minBits; bits <= maxBits; bits++) {
    if (counts.reduce((used, count) => used + Number(count > 0), 0) > 2 ** bits) continue;
    const frequencies = normalize(counts, bits);
    let cost = tableBits(frequencies);
    for (let symbol = 0; symbol < alphabet; symbol++) {
      if (counts[symbol]! > 0) cost += counts[symbol]! * costOf(frequencies[symbol]! * 2 ** (16 - bits));
    }
    if (best === undefined || cost < best.cost) best = { bits, frequencies, cost };
  }
  return { form, bits: best!.bits, frequencies: best!.frequencies, symbols: kept };
}

/** From here on four states are worth their 12 bytes more. */
const interleavedFrom = 4096;

/**
 * Frequencies that sum to 2^bits, at least 1 where a symbol occurs, close to those with the shortest code: raising f to
 * f + 1 saves count * ln((f + 1) / f), which is nearly count / (f + 1/2). So units move until none would save more
 * elsewhere (the apportionment of Sainte-Lague).
 */
export function normalize(counts: ArrayLike<number>, bits: number): Uint32Array {
  const frequencies = new Uint32Array(counts.length);
  const used = Array.from(frequencies.keys()).filter((symbol) => counts[symbol]! > 0);
  const total = used.reduce((sum, symbol) => sum + counts[symbol]!, 0);
  if (used.length === 0 || used.length > 2 ** bits) {
    throw new RangeError(`rans: cannot share 2^${bits} among ${used.length} symbols`);
  }
  let left = 2 ** bits;
  for (const symbol of used) {
    frequencies[symbol] = Math.max(1, Math.floor((counts[symbol]! * 2 ** bits) / total));
    left -= frequencies[symbol]!;
  }
  // What a symbol's next unit would save and what its last one saves, as long as its frequency is still f: an entry of
  // another time is passed over. Of equal ones the first symbol.
  const gains = new Heap<Share>((a, b) => a.value > b.value || (a.value === b.value && a.symbol < b.symbol));
  const losses = new Heap<Share>((a, b) => a.value < b.value || (a.value === b.value && a.symbol < b.symbol));
  const weigh = (symbol: number): void => {
    const f = frequencies[symbol]!;
    gains.add({ symbol, f, value: counts[symbol]! / (f + 0.5) });
    if (f > 1) losses.add({ symbol, f, value: counts[symbol]! / (f - 0.5) });
  };
  const current = (shares: Heap<Share>): Share | undefined => {
    while (shares.first !== undefined && shares.first.f !== frequencies[shares.first.symbol]) shares.removeFirst();
    return shares.first;
  };
  used.forEach(weigh);
  for (;;) {
    const neediest = current(gains)!;
    const richest = current(losses);
    if (left === 0 && (richest === undefined || neediest.value <= richest.value)) return frequencies;
    const step = left <= 0 ? -1 : 1;
    const { symbol } = step < 0 ? richest! : neediest;
    frequencies[symbol]! += step;
    left -= step;
    weigh(symbol);
  }
}

interface Share {
  readonly symbol: number;
  readonly f: number;
  readonly value: number;
}

// "The widths of the frequencies are a row of steps whose first field has 5 bits; after each width the frequency's bits
// below its highest one. It ends when the sum reaches 2^bits."

function writeFrequencies(bits: number, frequencies: Uint32Array, to: BitWriter): void {
  if (!(Number.isInteger(bits) && bits >= minBits && bits <= maxBits)) {
    throw new RangeError(`rans: bits must be a whole number from ${minBits} to ${maxBits}, got ${bits}`);
  }
  const sum = frequencies.reduce((total, f) => total + f, 0);
  if (sum !== 2 ** bits) throw new RangeError(`rans: frequencies must sum to ${2 ** bits}, got ${sum}`);
  to.bits(bits - minBits, 3);
  const steps = new StepWriter(to, 5);
  for (const f of frequencies) {
    if (f === 0) steps.absent();
    else {
      steps.present(width(f));
      to.bits(f - 2 ** (width(f) - 1), width(f) - 1);
    }
  }
}

function readFrequencies(from: BitReader, frequencies: Uint32Array): number {
  const bits = minBits + from.bits(3);
  if (bits > maxBits)
    from.fail("rans-bits", `rans: frequencies must sum to 2^${minBits} to 2^${maxBits}, got 2^${bits}`);
  const steps = new StepReader(from, 5);
  let symbol = 0;
  for (let left = 2 ** bits; left > 0; symbol++) {
    const start = from.position;
    if (symbol === frequencies.length) {
      from.fail("rans-sum", `rans: the frequencies of the alphabet lack ${left} to 2^${bits}`);
    }
    const { absent, value } = steps.next(frequencies.length - symbol - 1, 1, bits + 1);
    const f = 2 ** (value - 1) + from.bits(value - 1);
    if (f > left) from.fail("rans-sum", `rans: frequencies exceed 2^${bits}: ${f} where ${left} are left`, start);
    symbol += absent;
    frequencies[symbol] = f;
    left -= f;
  }
  return bits;
}

/** What `writeFrequencies` takes, closely enough to choose by. */
function tableBits(frequencies: Uint32Array): number {
  let bits = 0;
  for (const f of frequencies) if (f > 0) bits += width(f) + 1;
  return bits;
}

/** The sum of the frequencies before each symbol. */
function starts(frequencies: Uint32Array): Uint32Array {
  const sums = new Uint32Array(frequencies.length);
  for (let symbol = 1; symbol < sums.length; symbol++) sums[symbol] = sums[symbol - 1]! + frequencies[symbol - 1]!;
  return sums;
}

/** The symbol that each of the 2^bits slots belongs to. */
function slotTable(bits: number, frequencies: Uint32Array, budget: Budget): Uint16Array {
  const slots = budget.uint16(2 ** bits);
  let start = 0;
  for (let symbol = 0; symbol < frequencies.length; symbol++) {
    slots.fill(symbol, start, start + frequencies[symbol]!);
    start += frequencies[symbol]!;
  }
  return slots;
}

/** Without an early exit: four times as fast, measured. */
function checkSymbols(frequencies: Uint32Array, symbols: Uint16Array): void {
  const lacking = new Uint8Array(2 ** maxBits).fill(1);
  for (let symbol = 0; symbol < frequencies.length; symbol++) lacking[symbol] = frequencies[symbol]! > 0 ? 0 : 1;
  let flaw = 0;
  for (let i = 0; i < symbols.length; i++) flaw |= lacking[symbols[i]!]!;
  if (flaw > 0) throw new RangeError("rans: a symbol has no frequency");
}

// The single form: a state x with 2^23 <= x < 2^31.
//   code symbol s:  while x >= 2^(31 - n) * f: emit x mod 256, x = floor(x / 256)
//                   x = floor(x / f) * 2^n + x mod f + start
//   decode:         m = x mod 2^n; s owns slot m; x = f * floor(x / 2^n) + m - start
//                   while x < 2^23: x = 256 * x + next byte

const singleLow = 2 ** 23;

/** "The symbols are coded from the last to the first, beginning with x = 2^23. The file holds the last x, then the
 * bytes from the last emitted to the first." */
export function encodeSingle(bits: number, frequencies: Uint32Array, symbols: Uint16Array): Uint8Array {
  checkSymbols(frequencies, symbols);
  const start = starts(frequencies);
  const emitted: number[] = [];
  let x = singleLow;
  for (let i = symbols.length - 1; i >= 0; i--) {
    const f = frequencies[symbols[i]!]!;
    for (; x >= 2 ** (31 - bits) * f; x >>>= 8) emitted.push(x & 255);
    x = Math.floor(x / f) * 2 ** bits + (x % f) + start[symbols[i]!]!;
  }
  emitted.push(x >>> 24, (x >>> 16) & 255, (x >>> 8) & 255, x & 255);
  return Uint8Array.from(emitted.reverse());
}

function decodeSingle(
  bits: number,
  frequencies: Uint32Array,
  slots: Uint16Array,
  symbols: Uint16Array,
  from: ByteReader,
): void {
  const start = starts(frequencies);
  const mask = 2 ** bits - 1;
  let x = from.u32();
  if (x < singleLow || x >= 2 ** 31) {
    from.fail("rans-state", `rans: the state must be from 2^23 to 2^31 - 1, got ${x}`, from.position - 4);
  }
  for (let i = 0; i < symbols.length; i++) {
    const m = x & mask;
    const s = slots[m]!;
    symbols[i] = s;
    x = frequencies[s]! * (x >>> bits) + m - start[s]!;
    while (x < singleLow) x = 256 * x + from.u8();
  }
  // "Must end as the coder began."
  if (x !== singleLow) from.fail("rans-end", `rans: the state must end as 2^23, got ${x}`);
}

// The interleaved form: symbol i belongs to state i mod 4, each with 2^16 <= x < 2^32, and a step moves one word of 16
// bits at most.
//   code symbol s:  if x >= 2^(32 - n) * f: emit x mod 2^16, x = floor(x / 2^16)
//                   x = floor(x / f) * 2^n + x mod f + start
//   decode:         m = x mod 2^n; s owns slot m; x = f * floor(x / 2^n) + m - start
//                   if x < 2^16: x = 2^16 * x + next word
// Both loops take four steps at a time, one per state, so that no step waits for the one before, and move a word
// without a branch, which nothing could predict.

const interleavedLow = 2 ** 16;

/** 1 when x / 2^shift is above `most`, else 0. */
function reaches(x: number, shift: number, most: number): number {
  return (most - (x >>> shift)) >>> 31;
}

/** x + floor(x / f) * (2^n - f) + start, which is the new state, as a signed 32-bit integer. */
function code(x: number, inverse: number, gap: number, start: number): number {
  return (x + Math.imul((x + 0.5) * inverse, gap) + start) | 0;
}

/** f * floor(x / 2^n) + m - start from what `moves` holds for the slot m, as a signed 32-bit integer. */
function advance(x: number, bits: number, move: number): number {
  return (Math.imul((move >>> 16) + 1, x >>> bits) + (move & 0xffff)) | 0;
}

/** All ones when x is below 2^16, else zero. */
function lacks(x: number): number {
  return ((x >>> 16) - 1) >> 31;
}

/** "The file holds the four states, then the words from the last emitted to the first." */
export function encodeInterleaved(bits: number, frequencies: Uint32Array, symbols: Uint16Array): Uint8Array {
  checkSymbols(frequencies, symbols);
  const start = Int32Array.from(starts(frequencies));
  const most = Int32Array.from(frequencies, (f) => f - 1);
  // floor(x / f) as a product: x + 1/2 keeps away from whole quotients by more than the rounding of 1 / f can reach.
  const inverse = Float64Array.from(frequencies, (f) => 1 / f);
  const gap = Int32Array.from(frequencies, (f) => 2 ** bits - f);
  const words = new Uint16Array(symbols.length + 8);
  const shift = 32 - bits;
  let at = words.length;
  const states = new Int32Array(4).fill(interleavedLow);
  let i = symbols.length - 1;
  for (; i % 4 !== 3 && i >= 0; i--) {
    const s = symbols[i]!;
    const x = states[i % 4]!;
    const emits = reaches(x, shift, most[s]!);
    if (emits === 1) words[--at] = x;
    states[i % 4] = code(x >>> (16 * emits), inverse[s]!, gap[s]!, start[s]!);
  }
  let x0 = states[0]! | 0;
  let x1 = states[1]! | 0;
  let x2 = states[2]! | 0;
  let x3 = states[3]! | 0;
  for (; i >= 3; i -= 4) {
    let s = symbols[i]!;
    let emits = reaches(x3, shift, most[s]!);
    words[at - 1] = x3;
    at -= emits;
    x3 = code(x3 >>> (emits << 4), inverse[s]!, gap[s]!, start[s]!);
    s = symbols[i - 1]!;
    emits = reaches(x2, shift, most[s]!);
    words[at - 1] = x2;
    at -= emits;
    x2 = code(x2 >>> (emits << 4), inverse[s]!, gap[s]!, start[s]!);
    s = symbols[i - 2]!;
    emits = reaches(x1, shift, most[s]!);
    words[at - 1] = x1;
    at -= emits;
    x1 = code(x1 >>> (emits << 4), inverse[s]!, gap[s]!, start[s]!);
    s = symbols[i - 3]!;
    emits = reaches(x0, shift, most[s]!);
    words[at - 1] = x0;
    at -= emits;
    x0 = code(x0 >>> (emits << 4), inverse[s]!, gap[s]!, start[s]!);
  }
  states.set([x0, x1, x2, x3]);
  for (const x of states.reverse()) {
    words[--at] = x >>> 16;
    words[--at] = x;
  }
  const bytes = new Uint8Array(2 * (words.length - at));
  const view = new DataView(bytes.buffer);
  for (let k = at; k < words.length; k++) view.setUint16(2 * (k - at), words[k]!, true);
  return bytes;
}

function decodeInterleaved(
  bits: number,
  frequencies: Uint32Array,
  slots: Uint16Array,
  symbols: Uint16Array,
  from: ByteReader,
  budget: Budget,
): void {
  const start = starts(frequencies);
  const states = new Uint32Array(4);
  for (let k = 0; k < 4; k++) {
    const x = from.u32();
    if (x < interleavedLow) {
      from.fail("rans-state", `rans: state ${k} must be at least 2^16, got ${x}`, from.position - 4);
    }
    states[k] = x;
  }

  const mask = 2 ** bits - 1;
  // For each slot m of symbol s, what its step multiplies by and adds: (f - 1) * 2^16 + m - start.
  const moves = budget.int32(2 ** bits);
  for (let m = 0; m < moves.length; m++) moves[m] = ((frequencies[slots[m]!]! - 1) << 16) | (m - start[slots[m]!]!);
  const view = new DataView(from.source.buffer, from.source.byteOffset, from.end);
  const lastWords = from.end - 8;
  let at = from.position;

  let x0 = states[0]! | 0;
  let x1 = states[1]! | 0;
  let x2 = states[2]! | 0;
  let x3 = states[3]! | 0;
  let i = 0;
  for (; i + 3 < symbols.length && at <= lastWords; i += 4) {
    let m = x0 & mask;
    symbols[i] = slots[m]!;
    let next = advance(x0, bits, moves[m]!);
    let refill = lacks(next);
    x0 = (next << (refill & 16)) | (view.getUint16(at, true) & refill);
    at -= refill << 1;
    m = x1 & mask;
    symbols[i + 1] = slots[m]!;
    next = advance(x1, bits, moves[m]!);
    refill = lacks(next);
    x1 = (next << (refill & 16)) | (view.getUint16(at, true) & refill);
    at -= refill << 1;
    m = x2 & mask;
    symbols[i + 2] = slots[m]!;
    next = advance(x2, bits, moves[m]!);
    refill = lacks(next);
    x2 = (next << (refill & 16)) | (view.getUint16(at, true) & refill);
    at -= refill << 1;
    m = x3 & mask;
    symbols[i + 3] = slots[m]!;
    next = advance(x3, bits, moves[m]!);
    refill = lacks(next);
    x3 = (next << (refill & 16)) | (view.getUint16(at, true) & refill);
    at -= refill << 1;
  }
  states.set([x0, x1, x2, x3]);
  from.skip(at - from.position);

  for (; i < symbols.length; i++) {
    const x = states[i % 4]!;
    const m = x & mask;
    const s = slots[m]!;
    symbols[i] = s;
    let next = frequencies[s]! * (x >>> bits) + m - start[s]!;
    if (next < interleavedLow) next = next * 2 ** 16 + from.u16();
    states[i % 4] = next;
  }
  // "All four must end as the coder began."
  if (states.some((x) => x !== interleavedLow)) from.fail("rans-end", "rans: the states must end as 2^16");
}
