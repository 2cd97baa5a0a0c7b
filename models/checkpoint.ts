import { sizeOf } from "../lib/shape.ts";
import type { NamedArray, Weights } from "../lib/weights.ts";
import { DataError } from "./data/error.ts";
import { sha256 } from "./digest.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * All that a training needs to go on as if it had never stopped. Randomness needs nothing: every draw has an address.
 * A `.ckpt` is read by the version that wrote it and no other; what is to be kept goes into a `.knet`.
 */
export interface Checkpoint {
  /** What was being done: `fit`, or a phase of another method. */
  readonly kind: string;
  /** Everything that decides the outcome: network, data, options. Going on needs the same. */
  readonly identity: Readonly<Record<string, Json>>;
  /** How far it got. */
  readonly progress: Readonly<Record<string, Json>>;
  readonly arrays: Weights;
}

const magic = "kilonet checkpoint 1\n";
const checksumLength = 64;

/**
 *     "kilonet checkpoint 1\n"
 *     one line of JSON: { kind, identity, progress, arrays: [{ name, shape }, ...] }, ended by "\n"
 *     the numbers of the arrays in order, float32 little-endian
 *     SHA-256 of everything before, 64 hexadecimal digits
 */
export function writeCheckpoint({ kind, identity, progress, arrays }: Checkpoint): Uint8Array {
  const described = arrays.map(({ name, shape }) => ({ name, shape }));
  const line = JSON.stringify({ kind, identity, progress, arrays: described });
  const head = new TextEncoder().encode(`${magic}${line}\n`);
  const count = arrays.reduce((sum, { values }) => sum + values.length, 0);
  const bytes = new Uint8Array(head.length + 4 * count + checksumLength);
  bytes.set(head);
  const view = new DataView(bytes.buffer);
  let at = head.length;
  for (const { values } of arrays) {
    for (const word of new Uint32Array(values.buffer, values.byteOffset, values.length)) {
      view.setUint32(at, word, true);
      at += 4;
    }
  }
  bytes.set(new TextEncoder().encode(sha256(bytes.subarray(0, at))), at);
  return bytes;
}

/**
 * Undoes `writeCheckpoint`. Anything else is a DataError: `checkpoint-magic`, `checkpoint-version`,
 * `checkpoint-checksum`, `checkpoint-head` or `checkpoint-length`.
 */
export function readCheckpoint(bytes: Uint8Array): Checkpoint {
  const text = (from: number, to: number): string => new TextDecoder().decode(bytes.subarray(from, to));
  const found = text(0, magic.length);
  if (found !== magic) {
    const sort = magic.slice(0, -2);
    if (found.startsWith(sort)) {
      throw new DataError("checkpoint-version", "checkpoint: written by another version", sort.length);
    }
    throw new DataError("checkpoint-magic", "checkpoint: these bytes are no checkpoint", 0);
  }
  const end = bytes.length - checksumLength;
  if (end < magic.length || sha256(bytes.subarray(0, end)) !== text(end, bytes.length)) {
    throw new DataError("checkpoint-checksum", "checkpoint: cut short or damaged", Math.max(end, 0));
  }
  const head = bytes.indexOf(newline, magic.length) + 1;
  const { arrays: described, ...rest } = parseHead(head === 0 ? "" : text(magic.length, head - 1));
  let at = head;
  const arrays = described.map(({ name, shape }): NamedArray => {
    const count = sizeOf(shape);
    if (4 * count > end - at) throw new DataError("checkpoint-length", `checkpoint: ${name} is cut short`, at);
    // Not `bytes.slice`, which of a Buffer is a view into the memory of others.
    const numbers = new DataView(bytes.buffer, bytes.byteOffset + at, 4 * count);
    at += 4 * count;
    const words = Uint32Array.from({ length: count }, (_, i) => numbers.getUint32(4 * i, true));
    return { name, shape, values: new Float32Array(words.buffer) };
  });
  if (at !== end) throw new DataError("checkpoint-length", `checkpoint: ${end - at} bytes too many`, at);
  return { ...rest, arrays };
}

const newline = 10;

type Head = Omit<Checkpoint, "arrays"> & { readonly arrays: readonly Omit<NamedArray, "values">[] };

function parseHead(line: string): Head {
  let head: unknown;
  try {
    head = JSON.parse(line);
  } catch {
    head = undefined;
  }
  if (!isHead(head)) {
    throw new DataError("checkpoint-head", "checkpoint: its second line does not describe one", magic.length);
  }
  return head;
}

function isHead(head: unknown): head is Head {
  if (!isRecord(head) || Object.keys(head).length !== 4 || typeof head.kind !== "string") return false;
  const { identity, progress, arrays } = head;
  const isLength = (axis: unknown): boolean => Number.isSafeInteger(axis) && (axis as number) >= 1;
  const isDescription = (item: unknown): boolean =>
    isRecord(item) &&
    Object.keys(item).length === 2 &&
    typeof item.name === "string" &&
    Array.isArray(item.shape) &&
    item.shape.every(isLength);
  return isRecord(identity) && isRecord(progress) && Array.isArray(arrays) && arrays.every(isDescription);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Refuses to go on from a checkpoint of something else: RangeError with the first thing that differs. `identity` is
 * what the training at hand would write. The device may be another one: a GPU can be lost, and the training is not.
 */
export function checkIdentity(found: Checkpoint, kind: string, identity: Readonly<Record<string, Json>>): void {
  const differs = (what: string, before: string, now: string): never => {
    const short = (value: string): string => (value.length > 60 ? `${value.slice(0, 57)}...` : value);
    throw new RangeError(`checkpoint: made with another ${what}: it has ${short(before)}, now it is ${short(now)}`);
  };
  if (found.kind !== kind) differs("method", found.kind, kind);
  const keys = new Set([...Object.keys(identity), ...Object.keys(found.identity)]);
  keys.delete("device");
  for (const key of keys) {
    const before = spell(found.identity[key]);
    const now = spell(identity[key]);
    if (before !== now) differs(key, before, now);
  }
}

/** JSON with the keys of every object in order. What JSON leaves out (undefined) counts as absent. */
function spell(value: Json | undefined): string {
  const ordered = (_: string, item: unknown): unknown =>
    isRecord(item) ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1))) : item;
  return value === undefined ? "nothing" : JSON.stringify(value, ordered);
}
