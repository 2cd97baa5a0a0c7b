import {
  architecture as knownArchitecture,
  type Parameter,
  parametersOf,
} from "../lib/architectures.ts";
import type { Network } from "../lib/network.ts";
import { ByteReader, type Trace } from "./bytes.ts";
import { Budget, type Limits } from "./codec.ts";
import { methods } from "./coded.ts";
import { crc32 } from "./crc32.ts";
import { cover, covers, framedFrom, longestContent, magic, type Section, type Unpacked, version } from "./file.ts";
import { graph } from "./graph.ts";
import { metadata as metadataCodec, type Metadata } from "./metadata.ts";
import { countOf } from "./method.ts";

/** What `unpack` does, and what `inspect` watches through `trace`. */
export function read(bytes: Uint8Array, limits: Partial<Limits> = {}, trace?: Trace): Unpacked {
  const from = new ByteReader(new Uint8Array(bytes), { trace });
  const head = readHead(from);
  const body = head.framed ? from : checkedBody(from);
  const budget = new Budget(limits, body);
  const beginning = readBeginning(body, head, budget);
  const { file, parameters } = beginning;
  if (!head.framed && head.architecture === 0) checkRatio(countOf(parameters), from.end, budget, body.position);
  const reader = new SectionReader(beginning, budget);
  const sections: Section[] = [];
  while (!reader.done) sections.push(reader.read(body).section);
  body.finish();
  if (!head.framed) passChecksum(from);
  return { ...file, sections };
}

/** What the first bytes say of the others. */
export interface Head {
  readonly architecture: number;
  readonly hasMetadata: boolean;
  readonly framed: boolean;
}

/** All that stands before the sections. */
export interface Beginning {
  readonly file: Omit<Unpacked, "sections">;
  readonly parameters: readonly Parameter[];
}

/** What stands between the head and the sections: of a framed file with its checksum. */
export function readBeginning(from: ByteReader, head: Head, budget: Budget): Beginning {
  const { architecture, hasMetadata, framed } = head;
  budget.at(from);
  const { network, parameters } = readNetwork(from, architecture, budget);
  const metadata = hasMetadata ? readMetadata(from, budget) : undefined;
  if (framed) {
    compareChecksum(from, 0);
    passChecksum(from);
  }
  return { file: { network, architecture, framed, ...(metadata === undefined ? {} : { metadata }) }, parameters };
}

export function readHead(from: ByteReader): Head {
  from.field("magic");
  for (const byte of magic) {
    if (from.u8() !== byte) from.fail("magic", "container: this is not a file of kilonet", 0);
  }
  const found = from.u8("version");
  if (found !== version) from.fail("version", `container: version must be ${version}, got ${found}`, from.position - 1);
  const start = from.position;
  const kind = from.varint({ name: "architecture" });
  const architecture = Math.floor(kind / 4);
  const hasMetadata = (kind & 2) !== 0;
  const framed = (kind & 1) !== 0;
  const known = knownArchitecture(architecture);
  if (known === undefined && architecture !== 0) {
    from.fail("architecture", `container: there is no architecture ${architecture}`, start);
  }
  if (!framed && from.end >= framedFrom) {
    from.fail("frame", `container: ${framedFrom} bytes or more must be framed`, start);
  }
  const name = known === undefined ? "described below" : `${architecture}, ${known.name}`;
  from.note([name, ...(hasMetadata ? ["with metadata"] : []), ...(framed ? ["framed"] : [])].join(", "));
  return { architecture, hasMetadata, framed };
}

/** Everything up to the checksum of the whole file, which is compared before any of it is looked at. */
function checkedBody(from: ByteReader): ByteReader {
  if (from.remaining < 4) from.fail("truncated", "checksum: ends too early", from.end);
  const body = from.part(from.remaining - 4);
  compareChecksum(from, 0);
  return body;
}

/** Compares the checksum of everything from `start` to here with the four bytes that follow, and stays before them. */
function compareChecksum(from: ByteReader, start: number): void {
  const expected = crc32(from.source, start, from.position);
  const found = new ByteReader(from.source, { start: from.position, end: from.end }).u32();
  if (found !== expected) from.fail("checksum", `container: checksum must be ${hex(expected)}, got ${hex(found)}`);
}

function passChecksum(from: ByteReader): void {
  from.note(hex(from.u32("checksum")));
}

function hex(word: number): string {
  return word.toString(16).padStart(8, "0");
}

function readNetwork(
  from: ByteReader,
  architecture: number,
  budget: Budget,
): { network: Network; parameters: readonly Parameter[] } {
  const start = from.position;
  const network = knownArchitecture(architecture) ?? from.scope("graph", () => graph.read(from, budget));
  const parameters = parametersOf(network);
  budget.check("elements", countOf(parameters), "container: numbers of all tensors", start);
  return { network, parameters };
}

/** "A file that describes its network may declare at most 4,096 bytes of float32 per byte; a section, if framed." */
function checkRatio(count: number, bytes: number, budget: Budget, offset: number): void {
  budget.check("ratio", (4 * count) / bytes, "container: declared bytes per byte", offset);
}

/** Reads the sections of a file one after the other, and knows which tensors are still open. */
export class SectionReader {
  readonly #beginning: Beginning;
  readonly #budget: Budget;
  #open: readonly Parameter[];
  #number = 1;

  constructor(beginning: Beginning, budget: Budget) {
    this.#beginning = beginning;
    this.#budget = budget;
    this.#open = beginning.parameters;
  }

  /** Whether every tensor has been in a section. */
  get done(): boolean {
    return this.#open.length === 0;
  }

  /** Of a framed section, where it ends, from its first bytes alone. */
  endOf(from: ByteReader): number {
    const { length } = this.#head(from);
    return from.position + length + 4;
  }

  /** The next section, and its tensors. */
  read(from: ByteReader): { readonly section: Section; readonly tensors: readonly Parameter[] } {
    const { architecture, framed } = this.#beginning.file;
    const budget = this.#budget;
    return from.scope(`section ${this.#number}`, () => {
      const start = from.position;
      const { method, tensors, length } = this.#head(from);
      let content = from;
      if (framed) {
        content = from.part(length);
        compareChecksum(from, start);
        if (architecture === 0) checkRatio(countOf(tensors), from.position + 4 - start, budget, start);
      }
      const coded = method.codec(tensors).read(content, budget.at(content));
      if (framed) {
        content.finish();
        passChecksum(from);
      }
      this.#open = this.#open.filter((tensor) => !tensors.includes(tensor));
      this.#number += 1;
      return { section: { tensors: tensors.map(({ name }) => name), coded }, tensors };
    });
  }

  /** "The method and the cover; a bitmap; if framed, the length of the content." */
  #head(from: ByteReader): {
    readonly method: (typeof methods)[number];
    readonly tensors: readonly Parameter[];
    readonly length: number;
  } {
    const { framed } = this.#beginning.file;
    const start = from.position;
    this.#budget.at(from);
    const head = from.u8("method");
    const method = methods.find(({ tag }) => tag === Math.floor(head / covers));
    if (method === undefined) {
      return from.fail("method-unknown", `section: there is no method ${Math.floor(head / covers)}`, start);
    }
    from.note(method.name);
    const tensors = readCover(from, head % covers, this.#open);
    const names = tensors.map(({ name }) => name).join(", ");
    from.note(`${head % covers === cover.bitmap ? "" : `${method.name}: `}${names}`);
    // "In a file that is not framed a section of levels is the last one."
    if (!framed && method.takesRest && tensors.length < this.#open.length) {
      from.fail("levels-last", `section: ${method.name} take all that is left, and tensors are open`, start);
    }
    const length = framed ? from.varint({ max: longestContent(countOf(tensors)), name: "length" }) : 0;
    return { method, tensors, length };
  }
}

function readCover(from: ByteReader, kind: number, open: readonly Parameter[]): readonly Parameter[] {
  const start = from.position;
  switch (kind) {
    case cover.next:
      return open.slice(0, 1);
    case cover.rest:
      if (open.length > 1) return open;
      return from.fail("section-cover", "section: one tensor is left, which is the next one", start - 1);
    case cover.bitmap: {
      // "Neither none of the others nor all of them, which have shorter spellings."
      const others = open.slice(1);
      const bitmap = from.bytes(Math.ceil(others.length / 8), "tensors");
      const chosen = others.filter((_, bit) => ((bitmap[bit >>> 3]! >>> (bit & 7)) & 1) === 1);
      const spare = others.length % 8 === 0 ? 0 : bitmap.at(-1)! >>> (others.length % 8);
      if (spare !== 0) from.fail("padding", "section: spare bits of the bitmap must be zero", from.position - 1);
      if (chosen.length === 0 || chosen.length === others.length) {
        from.fail("section-cover", "section: the bitmap spells what has a shorter spelling", start);
      }
      return [open[0]!, ...chosen];
    }
    default:
      return from.fail("section-cover", `section: there is no cover ${kind}`, start - 1);
  }
}

function readMetadata(from: ByteReader, budget: Budget): Metadata {
  return from.scope("metadata", () => {
    const content = from.part(from.varint({ min: 1, max: budget.limits.metadata, name: "length" }));
    const lines = metadataCodec.read(content, budget.at(content));
    content.finish();
    return lines;
  });
}

