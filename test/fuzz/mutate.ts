import type { Draws } from "./draws.ts";
import { leadingVarint, type Piece, putTogether, takeApart, varint } from "./pieces.ts";

/** A file to start from, whole and field by field. A file that is refused is one field, and its last 4 bytes. */
export interface Seed {
  readonly bytes: Uint8Array;
  readonly pieces: readonly Piece[];
}

export function seedOf(bytes: Uint8Array, isAccepted: boolean): Seed {
  if (isAccepted) return { bytes, pieces: takeApart(bytes) };
  const cut = Math.max(0, bytes.length - 4);
  const piece = (name: string, part: Uint8Array): Piece => ({ bytes: part, name, section: 0 });
  return { bytes, pieces: [piece("unknown", bytes.slice(0, cut)), piece("checksum", bytes.slice(cut))] };
}

/** A way to damage the fields of a file; most of the files of a campaign take one or two of them. */
type Mutation = (pieces: Piece[], draws: Draws, other: Seed) => void;

const numbers = [
  ...[0, 1, 2, 3, 4, 15, 16, 127, 128, 255, 256, 4095, 4096, 4097, 16383, 16384, 65535, 65536, 65537],
  ...[2 ** 20, 2 ** 20 + 1, 2 ** 26, 2 ** 26 + 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 42 + 1],
  ...[2 ** 49, 2 ** 53 - 1],
];
/** Spelled in so many bytes that the value does not fit: above 2^53, and without an end. */
const tooWide = [
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
];
/** NaNs, infinities, -0, subnormals, the largest and the smallest, as float32. */
const floats = [
  ...[0x7fc00000, 0x7f800001, 0xffffffff, 0x7f800000, 0xff800000, 0x80000000, 0, 1, 0x007fffff, 0x807fffff],
  ...[0x00800000, 0x7f7fffff, 0x3f800000, 0xbf800000],
];

/** The ways, by the name under which they are counted. */
export const mutations: Readonly<Record<string, Mutation>> = {
  truncation(pieces, draws) {
    cut(pieces, draws.below(sizeOf(pieces)));
  },

  extension(pieces, draws) {
    const more = draws.of([draws.bytes(1 + draws.below(8)), new Uint8Array(1 + draws.below(8)), bytesOf(pieces)]);
    change(pieces, draws.once(2) ? pieces.length - 1 : draws.below(pieces.length), (bytes) => joined(bytes, more));
  },

  "bit flip"(pieces, draws) {
    for (let flips = 1 + (draws.once(4) ? draws.below(8) : 0); flips > 0; flips--) {
      const bit = draws.below(8);
      anyByte(pieces, draws, (byte) => byte ^ (1 << bit));
    }
  },

  "byte change"(pieces, draws) {
    for (let changes = 1 + (draws.once(4) ? draws.below(8) : 0); changes > 0; changes--) {
      const other = draws.once(3) ? draws.of([0, 0xff, 0x80, 0x7f]) : draws.below(256);
      anyByte(pieces, draws, () => other);
    }
  },

  /** The beginning of one file and the end of another, or a field of one in place of a field of the other. */
  splice(pieces, draws, other) {
    const place = draws.below(pieces.length);
    const alike = other.pieces.filter(({ name }) => name === pieces[place]!.name);
    if (alike.length > 0 && !draws.once(3)) {
      pieces[place] = { ...pieces[place]!, bytes: draws.of(alike).bytes };
    } else if (draws.once(2)) {
      const from = draws.below(other.pieces.length);
      pieces.splice(place, draws.once(2) ? Infinity : 1 + draws.below(4), ...other.pieces.slice(from));
    } else {
      cut(pieces, draws.below(sizeOf(pieces)));
      pieces.push({ bytes: other.bytes.slice(draws.below(other.bytes.length + 1)), name: "unknown", section: 0 });
    }
  },

  /** A length, a count, a size or a number of something: another value, or another spelling. */
  "length edit"(pieces, draws) {
    const places = [...pieces.keys()].filter(
      (i) => pieces[i]!.name !== "checksum" && leadingVarint(pieces[i]!.bytes) !== undefined,
    );
    if (places.length === 0) return;
    change(pieces, draws.of(places), (bytes) => {
      const { value, length } = leadingVarint(bytes)!;
      const rest = bytes.slice(length);
      if (draws.once(8)) return joined(varint(value, 1 + draws.below(3)), rest);
      if (draws.once(12)) return joined(Uint8Array.from(draws.of(tooWide)), rest);
      const near = [value + 1, value - 1, value + 2, value - 2, 2 * value, Math.floor(value / 2), value + 128];
      const other = draws.of([draws.of(near), draws.of(numbers), draws.below(256)]);
      return joined(varint(Math.max(0, Math.min(other, Number.MAX_SAFE_INTEGER))), rest);
    });
  },

  "number edit"(pieces, draws) {
    const places = [...pieces.keys()].filter((i) => pieces[i]!.name !== "checksum" && pieces[i]!.bytes.length >= 4);
    if (places.length === 0) return;
    change(pieces, draws.of(places), (bytes) => {
      const copy = bytes.slice();
      const at = 4 * draws.below(Math.floor(bytes.length / 4));
      new DataView(copy.buffer).setUint32(at, draws.of(floats), true);
      return copy;
    });
  },

  /** A field left out, twice, in another place, of zeros, of ones, or of noise. */
  "field edit"(pieces, draws) {
    const place = draws.below(pieces.length);
    const piece = pieces[place]!;
    const ways: readonly (() => void)[] = [
      () => pieces.splice(place, 1),
      () => pieces.splice(place, 0, piece),
      () => pieces.splice(draws.below(pieces.length), 0, ...pieces.splice(place, 1)),
      () => change(pieces, place, (bytes) => new Uint8Array(bytes.length)),
      () => change(pieces, place, (bytes) => new Uint8Array(bytes.length).fill(0xff)),
      () => change(pieces, place, (bytes) => draws.bytes(bytes.length)),
      () => change(pieces, place, (bytes) => bytes.slice(0, draws.below(bytes.length + 1))),
      () => change(pieces, place, (bytes) => joined(bytes, draws.bytes(1 + draws.below(4)))),
    ];
    draws.of(ways)();
  },
};

/**
 * A damaged file. One that is `sealed` has its checksums made right, and mostly the lengths of its sections, so that
 * what is read is the damage itself.
 */
export function mutant(kind: string, seed: Seed, other: Seed, sealed: boolean, draws: Draws): Uint8Array {
  const pieces = [...seed.pieces];
  mutations[kind]!(pieces, draws, other);
  // Now and then two mistakes: the second one must not be seen because of the first.
  if (draws.once(8)) mutations[draws.of(Object.keys(mutations))]!(pieces, draws, other);
  return sealed ? putTogether(pieces, { lengths: !draws.once(4) }) : bytesOf(pieces);
}

function sizeOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { bytes }) => sum + bytes.length, 0);
}

function bytesOf(pieces: readonly Piece[]): Uint8Array {
  return joined(...pieces.map(({ bytes }) => bytes));
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function change(pieces: Piece[], place: number, edit: (bytes: Uint8Array) => Uint8Array): void {
  const piece = pieces[place];
  if (piece !== undefined) pieces[place] = { ...piece, bytes: edit(piece.bytes) };
}

/** Every byte alike, or every field alike: otherwise the few bytes that say most would hardly ever be met. */
function anyByte(pieces: Piece[], draws: Draws, edit: (byte: number) => number): void {
  let place = draws.below(pieces.length);
  let at = draws.below(pieces[place]?.bytes.length ?? 0);
  if (draws.once(2)) {
    at = draws.below(sizeOf(pieces));
    for (place = 0; place < pieces.length && at >= pieces[place]!.bytes.length; place++) {
      at -= pieces[place]!.bytes.length;
    }
  }
  change(pieces, place, (bytes) => bytes.map((byte, i) => (i === at ? edit(byte) : byte)));
}

/** Leaves the first bytes of a file. An unframed one keeps its checksum, when it is sealed, behind the cut. */
function cut(pieces: Piece[], size: number): void {
  let left = size;
  const place = pieces.findIndex(({ bytes }) => {
    if (left < bytes.length) return true;
    left -= bytes.length;
    return false;
  });
  if (place === -1) return;
  const last = pieces.at(-1)!;
  change(pieces, place, (bytes) => bytes.slice(0, left));
  pieces.splice(place + 1, Infinity, ...(last.section === 0 && last.name === "checksum" ? [last] : []));
}
