import {
  architecture as knownArchitecture,
  architectureNumber,
  equalNetworks,
  type Parameter,
  parametersOf,
} from "../lib/architectures.ts";
import type { Network } from "../lib/network.ts";
import { sizeOf } from "../lib/shape.ts";
import type { NamedArray, Weights } from "../lib/weights.ts";
import { ByteReader, ByteWriter, type Trace } from "./bytes.ts";
import { Budget, defaultLimits, type Limits } from "./codec.ts";
import { codecOf, type Coded, methods, valuesOf } from "./coded.ts";
import { crc32 } from "./crc32.ts";
import { graph } from "./graph.ts";
import { metadata as metadataCodec, type Metadata } from "./metadata.ts";
import { countOf } from "./method.ts";

/** One or more tensors that share what their method chose, such as a codebook. The unit of access. */
export interface Section {
  /** Names of tensors, in the order of the network. */
  readonly tensors: readonly string[];
  readonly coded: Coded;
}

/** All that a file holds. */
export interface ModelFile {
  readonly network: Network;
  /** Together they hold every tensor of the network once. */
  readonly sections: readonly Section[];
  readonly metadata?: Metadata | undefined;
  /** The number by which the file names its network, 0 if it describes it. By default the number, if there is one. */
  readonly architecture?: number | undefined;
  /** Whether each section carries its length and its own checksum. By default, and always, from 65,536 bytes up. */
  readonly framed?: boolean | undefined;
}

/** What a file held: the same, and nothing is left to a default. */
export interface Unpacked extends ModelFile {
  readonly architecture: number;
  readonly framed: boolean;
}

/** Outside ASCII, and no beginning of UTF-8, where the byte FB never occurs. */
const magic = [0xfb, 0x6b, 0x6e];
/** A draft: files of version 0 carry no promise. */
const version = 0;
/** Bytes from which one checksum for the whole file is not enough. */
const framedFrom = 65536;

/** Which tensors a section holds: the next one that has no section yet, all that have none, or as a bitmap says. */
const cover = { next: 0, rest: 1, bitmap: 2 } as const;
const covers = 4;

/**
 * A file as bytes. Format: section 2. Sections may come in any order and are written in the order of their first
 * tensors. Throws RangeError or ShapeError for what the format cannot express.
 */
export function pack(file: ModelFile): Uint8Array<ArrayBuffer> {
  const { network, metadata } = file;
  const parameters = parametersOf(network);
  const architecture = file.architecture ?? architectureNumber(network);
  const known = knownArchitecture(architecture);
  if (architecture !== 0 && (known === undefined || !equalNetworks(known, network))) {
    throw new RangeError(`pack: architecture ${architecture} is not the network "${network.name}"`);
  }
  const sections = inOrder(file.sections, parameters);
  const write = (framed: boolean): Uint8Array<ArrayBuffer> => {
    const to = new ByteWriter();
    // "Three bytes of magic, the version, then 4 * architecture + 2 if there is metadata + 1 if framed. A graph if the
    // architecture is 0. The metadata. If framed, the checksum of all this. The sections. If not framed, the checksum."
    for (const byte of magic) to.u8(byte);
    to.u8(version);
    to.varint(4 * architecture + (metadata === undefined ? 0 : 2) + (framed ? 1 : 0));
    if (architecture === 0) graph.write(network, to);
    if (metadata !== undefined) writeMetadata(metadata, to);
    if (framed) to.u32(crc32(to.finish()));
    let open = parameters.map((_, i) => i);
    for (const { tensors, coded } of sections) {
      writeSection(tensors, coded, open, parameters, framed, to);
      open = open.filter((i) => !tensors.includes(i));
    }
    if (!framed) to.u32(crc32(to.finish()));
    return to.finish();
  };
  if (file.framed === true) return write(true);
  const bytes = write(false);
  if (bytes.length < framedFrom) return bytes;
  if (file.framed === false) throw new RangeError(`pack: ${bytes.length} bytes must be framed (from ${framedFrom} up)`);
  return write(true);
}

/**
 * What a file holds. The bytes are copied first, so that nobody can change them meanwhile. A caller may lower the
 * limits. Throws FormatError for anything that `pack` would not have written; `pack(unpack(bytes))` are the same bytes.
 */
export function unpack(bytes: Uint8Array, limits: Partial<Limits> = {}): Unpacked {
  return read(bytes, limits);
}

/** The weights that a file stands for, in the order of its network. */
export function toWeights({ network, sections }: ModelFile): Weights {
  const parameters = parametersOf(network);
  const arrays = new Map<string, NamedArray>();
  for (const { tensors, coded } of inOrder(sections, parameters)) {
    const values = valuesOf(coded);
    let at = 0;
    for (const i of tensors) {
      const { name, shape } = parameters[i]!;
      arrays.set(name, { name, shape, values: values.slice(at, at + sizeOf(shape)) });
      at += sizeOf(shape);
    }
  }
  return parameters.map(({ name }) => arrays.get(name)!);
}

/** Sections with the places of their tensors in the network instead of names, each tensor in exactly one of them. */
function inOrder(
  sections: readonly Section[],
  parameters: readonly Parameter[],
): { readonly tensors: readonly number[]; readonly coded: Coded }[] {
  const places = new Map(parameters.map(({ name }, i) => [name, i]));
  const seen = new Set<number>();
  const placed = sections.map(({ tensors, coded }) => {
    const indices = tensors.map((name) => {
      const i = places.get(name);
      if (i === undefined) throw new RangeError(`pack: the network has no tensor "${name}"`);
      if (seen.has(i)) throw new RangeError(`pack: two sections hold the tensor "${name}"`);
      seen.add(i);
      return i;
    });
    if (indices.length === 0) throw new RangeError("pack: a section holds no tensor");
    if (indices.some((i, k) => k > 0 && i < indices[k - 1]!)) {
      throw new RangeError(`pack: the tensors of a section go in the order of the network, got ${tensors.join(", ")}`);
    }
    return { tensors: indices, coded };
  });
  const missing = parameters.find((_, i) => !seen.has(i));
  if (missing !== undefined) throw new RangeError(`pack: no section holds the tensor "${missing.name}"`);
  return placed.sort((a, b) => a.tensors[0]! - b.tensors[0]!);
}

// Format: section 4. "A byte: 4 * tag of the method + cover. Cover 2: a bitmap of the open tensors after the first, the
// lowest bit first. If framed, the length of what follows. Then the method's own bytes. If framed, their checksum."

function writeSection(
  tensors: readonly number[],
  coded: Coded,
  open: readonly number[],
  parameters: readonly Parameter[],
  framed: boolean,
  to: ByteWriter,
): void {
  const codec = codecOf(
    coded.method,
    tensors.map((i) => parameters[i]!),
  );
  const section = new ByteWriter();
  const kind = tensors.length === 1 ? cover.next : tensors.length === open.length ? cover.rest : cover.bitmap;
  section.u8(covers * codec.tag + kind);
  if (kind === cover.bitmap) {
    const bitmap = new Uint8Array(Math.ceil((open.length - 1) / 8));
    for (const i of tensors.slice(1)) {
      const bit = open.indexOf(i) - 1;
      bitmap[bit >>> 3]! |= 1 << (bit & 7);
    }
    section.bytes(bitmap);
  }
  const content = new ByteWriter();
  codec.write(coded, content);
  if (framed) section.varint(content.length);
  section.bytes(content.finish());
  if (framed) section.u32(crc32(section.finish()));
  to.bytes(section.finish());
}

// Format: section 8. "The number of bytes, then the metadata."

function writeMetadata(lines: Metadata, to: ByteWriter): void {
  const content = new ByteWriter();
  metadataCodec.write(lines, content);
  if (content.length > defaultLimits.metadata) {
    throw new RangeError(`pack: metadata may take ${defaultLimits.metadata} bytes, got ${content.length}`);
  }
  to.varint(content.length);
  to.bytes(content.finish());
}

function readMetadata(from: ByteReader, budget: Budget): Metadata {
  return from.scope("metadata", () => {
    const content = from.part(from.varint({ min: 1, max: budget.limits.metadata, name: "length" }));
    const lines = metadataCodec.read(content, budget.at(content));
    content.finish();
    return lines;
  });
}

/** What `unpack` does, and what `inspect` watches through `trace`. */
export function read(bytes: Uint8Array, limits: Partial<Limits> = {}, trace?: Trace): Unpacked {
  const from = new ByteReader(new Uint8Array(bytes), { trace });
  const { architecture, hasMetadata, framed } = readHead(from);
  const body = framed ? from : checkedBody(from);
  const budget = new Budget(limits, body);
  const { network, parameters } = readNetwork(body, architecture, budget);
  const metadata = hasMetadata ? readMetadata(body, budget) : undefined;
  if (framed) {
    compareChecksum(body, 0);
    passChecksum(body);
  } else if (architecture === 0) {
    checkRatio(countOf(parameters), from.end, budget, body.position);
  }

  const sections: Section[] = [];
  let open: readonly Parameter[] = parameters;
  while (open.length > 0) {
    const known = architecture !== 0;
    const section = readSection(body, open, { framed, known, number: sections.length + 1 }, budget);
    sections.push(section);
    open = open.filter(({ name }) => !section.tensors.includes(name));
  }
  body.finish();
  if (!framed) passChecksum(from);
  return { network, architecture, framed, sections, ...(metadata === undefined ? {} : { metadata }) };
}

function readHead(from: ByteReader): { architecture: number; hasMetadata: boolean; framed: boolean } {
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

/** One section, of tensors that are still open. */
function readSection(
  from: ByteReader,
  open: readonly Parameter[],
  { framed, known, number }: { framed: boolean; known: boolean; number: number },
  budget: Budget,
): Section {
  return from.scope(`section ${number}`, () => {
    const start = from.position;
    budget.at(from);
    const head = from.u8("method");
    const method = methods.find(({ tag }) => tag === Math.floor(head / covers));
    if (method === undefined) {
      return from.fail("method-unknown", `section: there is no method ${Math.floor(head / covers)}`, start);
    }
    from.note(method.name);
    const tensors = readCover(from, head % covers, open);
    from.note(`${head % covers === cover.bitmap ? "" : `${method.name}: `}${namesOf(tensors).join(", ")}`);
    let content = from;
    if (framed) {
      content = from.part(from.varint({ name: "length" }));
      compareChecksum(from, start);
      if (!known) checkRatio(countOf(tensors), from.position + 4 - start, budget, start);
    }
    const coded = codecOf(method.name, tensors).read(content, budget.at(content));
    if (framed) {
      content.finish();
      passChecksum(from);
    }
    return { tensors: namesOf(tensors), coded };
  });
}

function namesOf(tensors: readonly Parameter[]): string[] {
  return tensors.map(({ name }) => name);
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
