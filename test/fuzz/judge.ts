import { getHeapStatistics } from "node:v8";
import { unpackChunks } from "../../codecs/chunks.ts";
import { ByteReader } from "../../codecs/bytes.ts";
import { Budget, FormatError, type Limits } from "../../codecs/codec.ts";
import { pack, toWeights, unpack, type Unpacked } from "../../codecs/container.ts";
import { inspect } from "../../codecs/inspect.ts";
import { countOf } from "../../codecs/method.ts";
import { readBeginning, readHead } from "../../codecs/reading.ts";
import type { Weights } from "../../lib/weights.ts";
import type { Draws } from "./draws.ts";

/** What is put on trial: the reader, and what must agree with it. Tests hand in readers with faults. */
export interface Subject {
  readonly unpack: (bytes: Uint8Array, limits: Partial<Limits>) => Unpacked;
  readonly unpackChunks: (chunks: Iterable<Uint8Array>, limits: Partial<Limits>) => Promise<Unpacked>;
  readonly toWeights: (file: Unpacked) => Weights;
  readonly pack: (file: Unpacked) => Uint8Array;
  /** The last byte that is accounted for, and one more. */
  readonly inspect: (bytes: Uint8Array, limits: Partial<Limits>) => number;
}

export const ours: Subject = {
  unpack,
  unpackChunks,
  toWeights,
  pack,
  inspect: (bytes, limits) => inspect(bytes, limits).ranges.at(-1)!.end,
};

/** The format's own limits are far above what a small file needs: lower ones are reached in less time. */
export const limits: Partial<Limits> = { elements: 2 ** 22, memory: 2 ** 26 };

/** From the issue of the format: longer is a hang. Of input plus declared output, and of one KiB at least. */
const millisecondsPerKiB = 50;
/**
 * What reading may take besides the arrays that the limit counts: code that is compiled, tables that are made once, a
 * copy of the input, objects of fields, layers and names. Measured at 1 to 5 MB, mostly what compiling takes.
 */
const otherBytes = 16 * 2 ** 20;
const otherBytesPerByte = 4096;

export interface Judgement {
  /** "accepted", the code of the refusal, or "violation". */
  readonly verdict: string;
  /** What was violated, when that is the verdict. */
  readonly violation?: string;
  readonly file?: Unpacked;
  /** Of the reading. */
  readonly milliseconds: number;
  /** Bytes that reading added to the memory of the process; what was freed meanwhile is not seen. */
  readonly memory: number;
}

class Violation extends Error {}

/** Holds one input against all that a reader promises. `draws` says how it is cut into chunks. */
export async function judge(bytes: Uint8Array, draws: Draws, subject: Subject = ours): Promise<Judgement> {
  const before = bytes.slice();
  const memoryBefore = memoryInUse();
  const start = performance.now();
  let milliseconds = 0;
  let memory = 0;
  try {
    const found = attempt(() => subject.unpack(bytes, limits));
    milliseconds = performance.now() - start;
    memory = Math.max(0, memoryInUse() - memoryBefore);
    if (!equal(bytes, before)) throw new Violation("reading changed its input");
    if (found.error !== undefined) checkRefusal(found.error, bytes);
    else checkAccepted(found.value, bytes, subject);
    await checkChunks(found, bytes, draws, subject);
    if (draws.once(8)) checkInspect(found, bytes, subject);
    // What a file declares is only asked where it matters: to find out is half of reading it.
    if (milliseconds > millisecondsPerKiB && milliseconds > timeAllowed(bytes)) {
      milliseconds = shortestTime(milliseconds, bytes, subject);
      const most = timeAllowed(bytes);
      if (milliseconds > most) throw new Violation(`a hang: ${milliseconds.toFixed(1)} ms, ${most} are allowed`);
    }
    const most = memoryAllowed(bytes);
    if (memory > most) throw new Violation(`an allocation beyond the limits: ${memory} bytes, ${most} are allowed`);
    const verdict = found.error === undefined ? "accepted" : found.error.code;
    return { verdict, milliseconds, memory, ...(found.error === undefined ? { file: found.value } : {}) };
  } catch (error) {
    const violation = error instanceof Violation ? error.message : describe(error);
    return { verdict: "violation", violation, milliseconds, memory };
  }
}

type Outcome =
  | { readonly value: Unpacked; readonly error?: undefined }
  | { readonly error: FormatError; readonly value?: undefined };

/** Anything but a FormatError is a violation by itself. */
function attempt(read: () => Unpacked): Outcome {
  try {
    return { value: read() };
  } catch (error) {
    return refusal(error);
  }
}

function refusal(error: unknown): { readonly error: FormatError } {
  if (error instanceof FormatError) return { error };
  throw new Violation(`an error other than FormatError: ${describe(error)}`);
}

function checkRefusal({ code, offset, message }: FormatError, { length }: Uint8Array): void {
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(code)) throw new Violation(`${JSON.stringify(code)} is no code`);
  if (!(Number.isInteger(offset) && offset >= 0 && offset <= length)) {
    throw new Violation(`${code} at byte ${offset} of ${length}`);
  }
  if (!message.endsWith(`(at byte ${offset})`)) throw new Violation(`${code}: the message does not say where`);
}

function checkAccepted(file: Unpacked, bytes: Uint8Array, subject: Subject): void {
  if (!equal(subject.pack(file), bytes)) throw new Violation("an accepted file is not rewritten unchanged");
  const weights = subject.toWeights(file);
  for (const { name, shape, values } of weights) {
    const count = shape.reduce((product, size) => product * size, 1);
    if (values.length !== count) throw new Violation(`${name}: ${values.length} numbers for ${count} places`);
  }
}

async function checkChunks(whole: Outcome, bytes: Uint8Array, draws: Draws, subject: Subject): Promise<void> {
  // One byte at a time is slow for a large file: there it is only done now and then.
  const sizes = bytes.length < 2048 || draws.once(16) ? [1, 2, 3, 7, 64, 1000] : [100, 1000, 4096];
  const most = draws.of(sizes);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = 1 + draws.below(most);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  let pieces: Outcome;
  try {
    pieces = { value: await subject.unpackChunks(chunks, limits) };
  } catch (error) {
    pieces = refusal(error);
  }
  const [one, other] = [spoken(whole), spoken(pieces)];
  const same = pieces.error !== undefined || equal(subject.pack(pieces.value), bytes);
  if (one !== other || !same) throw new Violation(`in chunks of up to ${most}: ${other}, as a whole: ${one}`);
}

function checkInspect(whole: Outcome, bytes: Uint8Array, subject: Subject): void {
  let end = bytes.length;
  let error: FormatError | undefined;
  try {
    end = subject.inspect(bytes, limits);
  } catch (thrown) {
    ({ error } = refusal(thrown));
  }
  if (error?.message !== whole.error?.message) {
    throw new Violation(`inspect says ${error?.message ?? "ok"}, unpack ${whole.error?.message ?? "ok"}`);
  }
  if (end !== bytes.length) throw new Violation(`inspect accounts for ${end} of ${bytes.length} bytes`);
}

/** An outcome in words. What else a file holds is in the bytes that it is written as. */
function spoken({ error, value }: Outcome): string {
  if (error !== undefined) return `${error.code}: ${error.message}`;
  return `a file, ${value.framed ? "framed" : "not framed"}, architecture ${value.architecture}`;
}

/**
 * A computer that does something else for a while is no hang, nor is the first time that code runs: what took long is
 * read again a few times, and the shortest time counts.
 */
export function shortestTime(first: number, bytes: Uint8Array, subject: Subject = ours): number {
  let shortest = first;
  for (let attempts = 0; attempts < 5; attempts++) {
    const start = performance.now();
    attempt(() => subject.unpack(bytes, limits));
    shortest = Math.min(shortest, performance.now() - start);
  }
  return shortest;
}

/** In milliseconds. */
export function timeAllowed(bytes: Uint8Array): number {
  return Math.ceil(millisecondsPerKiB * Math.max(1, (bytes.length + 4 * declaredBy(bytes)) / 1024));
}

/** In bytes. */
export function memoryAllowed(bytes: Uint8Array): number {
  return limits.memory! + otherBytes + otherBytesPerByte * bytes.length;
}

/** How many numbers a file declares, as far as it can be read. */
function declaredBy(bytes: Uint8Array): number {
  const from = new ByteReader(bytes);
  try {
    return countOf(readBeginning(from, readHead(from), new Budget(limits, from)).parameters);
  } catch {
    return 0;
  }
}

function memoryInUse(): number {
  // Buffers of arrays are external. `process.memoryUsage` asks the system too, which takes a tenth of a millisecond.
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
  return heap + external;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
