import { type Parameter, parametersOf } from "../lib/architectures.ts";
import type { Weights } from "../lib/weights.ts";
import { ByteReader } from "./bytes.ts";
import { Budget, FormatError, type Limits } from "./codec.ts";
import { weightsOf } from "./container.ts";
import { framedFrom, type Section, type Unpacked } from "./file.ts";
import { type Beginning, read, readBeginning, readHead, SectionReader } from "./reading.ts";

/**
 * Files that arrive in pieces, as a download does. However they are cut, 1 byte at a time included, the results and the
 * errors are those of `unpack`. What is kept is bounded before it is kept: an unframed file by its 65,535 bytes, what
 * stands before the sections by the limits of its fields, a section by the numbers of its tensors (format: section 4).
 */
export type Chunks = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** A section whose checksum has passed, and what is known of the file. */
export interface Arrived extends Omit<Unpacked, "sections"> {
  readonly section: Section;
  /** The tensors of the section alone, in the order of the network. */
  readonly weights: Weights;
}

/**
 * The sections of a file, each as soon as its own checksum has passed: in a framed file while the rest is still on its
 * way, otherwise at the end. Throws FormatError as `unpack` does, after the sections that were in order.
 */
export async function* sectionsFrom(chunks: Chunks, limits: Partial<Limits> = {}): AsyncGenerator<Arrived, void> {
  for await (const { file, section, tensors } of arriving(chunks, limits)) {
    yield { ...file, section, weights: weightsOf(section.coded, tensors) };
  }
}

/** What a file holds that comes in pieces: as `unpack` for the whole of it. */
export async function unpackChunks(chunks: Chunks, limits: Partial<Limits> = {}): Promise<Unpacked> {
  const sections: Section[] = [];
  let file: Omit<Unpacked, "sections"> | undefined;
  for await (const step of arriving(chunks, limits)) {
    sections.push(step.section);
    file = step.file;
  }
  // There is no file without a tensor, and no tensor without a section.
  return { ...file!, sections };
}

interface Step {
  readonly file: Omit<Unpacked, "sections">;
  readonly section: Section;
  readonly tensors: readonly Parameter[];
}

async function* arriving(chunks: Chunks, limits: Partial<Limits>): AsyncGenerator<Step, void> {
  const arrival = new Arrival(limits);
  for await (const chunk of chunks) yield* arrival.take(chunk);
  yield* arrival.end();
}

/** Attempts at a beginning that has not all arrived are made for every byte up to here, then less and less often. */
const eagerUpTo = 4096;

/** Reads what it can of the bytes that came so far, and says how many it must have before it can go on. */
class Arrival {
  readonly #limits: Partial<Limits>;
  readonly #budget: Budget;
  /** Bytes that came and were not read yet, the first `#length` of this array; those before them are gone. */
  #bytes = new Uint8Array(1024);
  #length = 0;
  #gone = 0;
  /** So many bytes at hand are enough for the next attempt. */
  #wanted = 1;
  #ended = false;
  #beginning: Beginning | undefined;
  #sections: SectionReader | undefined;

  constructor(limits: Partial<Limits>) {
    this.#limits = limits;
    this.#budget = new Budget(limits);
  }

  /** The sections that are complete with this chunk. It may be changed afterwards. */
  *take(chunk: Uint8Array): Generator<Step, void> {
    for (let at = 0; at < chunk.length;) {
      // A chunk is taken bit by bit, so that a large one holds no more bytes here than small ones would.
      const count = Math.min(chunk.length - at, this.#wanted - this.#length);
      this.#keep(chunk.subarray(at, at + count));
      at += count;
      if (this.#length >= this.#wanted) yield* this.#read();
    }
  }

  /** The sections that were waiting for more, now that nothing more comes. */
  *end(): Generator<Step, void> {
    this.#ended = true;
    yield* this.#read();
  }

  *#read(): Generator<Step, void> {
    for (;;) {
      if (this.#beginning === undefined) {
        if (!this.#readBeginning()) {
          if (this.#ended) yield* this.#readWhole();
          return;
        }
      } else if (this.#sections!.done) {
        // Nothing more, or else what is too much.
        this.#attempt((from) => from.finish());
        this.#wanted = 1;
        return;
      } else {
        const step = this.#readSection();
        if (step === undefined) return;
        yield step;
      }
    }
  }

  /** Whether all that stands before the sections of a framed file is there. */
  #readBeginning(): boolean {
    const found = this.#attempt((from) => {
      const head = readHead(from);
      if (!head.framed) return undefined;
      const beginning = readBeginning(from, head, this.#budget);
      this.#drop(from.position);
      return beginning;
    });
    if (found === undefined) {
      // One file without frames is held as a whole, and `readHead` refuses it when it is too long.
      const more = this.#length < eagerUpTo ? this.#length + 1 : Math.ceil(1.5 * this.#length);
      this.#wanted = this.#isFramed() ? more : framedFrom;
      return false;
    }
    this.#beginning = found;
    this.#sections = new SectionReader(found, this.#budget);
    return true;
  }

  /** False only when the head is there and says otherwise. */
  #isFramed(): boolean {
    return this.#attempt((from) => readHead(from).framed) ?? true;
  }

  #readSection(): Step | undefined {
    const sections = this.#sections!;
    const end = this.#attempt((from) => sections.endOf(from));
    const wanted = end ?? this.#length + 1;
    if (this.#length < wanted && !this.#ended) {
      this.#wanted = wanted;
      return undefined;
    }
    return this.#attempt((from) => {
      const { section, tensors } = sections.read(from);
      this.#drop(from.position);
      return { file: this.#beginning!.file, section, tensors };
    });
  }

  /** A file without frames, of which nothing is given out before its one checksum has passed. */
  *#readWhole(): Generator<Step, void> {
    const { sections, ...file } = read(this.#bytes.subarray(0, this.#length), this.#limits);
    const parameters = parametersOf(file.network);
    const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]));
    for (const section of sections) {
      const tensors = section.tensors.map((name) => byName.get(name)!);
      yield { file, section, tensors };
    }
  }

  /**
   * What `reading` returns, or undefined if it needs bytes that have not come. As bytes are read one after the other, a
   * part of a file is refused for what the whole is refused for, at the same byte, or ends too early.
   */
  #attempt<T>(reading: (from: ByteReader) => T): T | undefined {
    const from = new ByteReader(this.#bytes, { end: this.#length });
    try {
      return reading(from);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      if (!this.#ended && error.code === "truncated" && error.offset === this.#length) return undefined;
      throw error.moved(this.#gone);
    }
  }

  #keep(bytes: Uint8Array): void {
    const length = this.#length + bytes.length;
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(2 * this.#bytes.length, length));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = length;
  }

  #drop(count: number): void {
    this.#bytes.copyWithin(0, count, this.#length);
    this.#length -= count;
    this.#gone += count;
  }
}
