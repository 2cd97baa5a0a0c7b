import {
  architecture as knownArchitecture,
  architectureNumber,
  equalNetworks,
  type Parameter,
  parametersOf,
} from "../lib/architectures.ts";
import { sizeOf } from "../lib/shape.ts";
import type { NamedArray, Weights } from "../lib/weights.ts";
import { ByteWriter } from "./bytes.ts";
import { defaultLimits, type Limits } from "./codec.ts";
import { type Coded, methodOf, valuesOf } from "./coded.ts";
import { crc32 } from "./crc32.ts";
import {
  cover,
  covers,
  framedFrom,
  longestContent,
  magic,
  type ModelFile,
  type Section,
  type Unpacked,
  version,
} from "./file.ts";
import { graph } from "./graph.ts";
import { metadata as metadataCodec, type Metadata } from "./metadata.ts";
import { countOf } from "./method.ts";
import { read } from "./reading.ts";

export type { ModelFile, Section, Unpacked } from "./file.ts";
export { read };

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
  const count = countOf(parameters);
  if (count > defaultLimits.elements) {
    throw new RangeError(`pack: a file holds at most ${defaultLimits.elements} numbers, the network has ${count}`);
  }
  const sections = inOrder(file.sections, parameters);
  const described = architecture === 0;
  const write = (framed: boolean): Uint8Array<ArrayBuffer> => {
    const to = new ByteWriter();
    // "Three bytes of magic, the version, then 4 * architecture + 2 if there is metadata + 1 if framed. A graph if the
    // architecture is 0. The metadata. If framed, the checksum of all this. The sections. If not framed, the checksum."
    for (const byte of magic) to.u8(byte);
    to.u8(version);
    to.varint(4 * architecture + (metadata === undefined ? 0 : 2) + (framed ? 1 : 0));
    if (described) graph.write(network, to);
    if (metadata !== undefined) writeMetadata(metadata, to);
    if (framed) to.u32(crc32(to.finish()));
    let open = parameters.map((_, i) => i);
    for (const { tensors, coded } of sections) {
      const size = to.length;
      const section = tensors.map((i) => parameters[i]!);
      writeSection(section, coded, open.map((i) => parameters[i]!), framed, to);
      if (framed && described) checkRatio(countOf(section), to.length - size);
      open = open.filter((i) => !tensors.includes(i));
    }
    if (!framed) to.u32(crc32(to.finish()));
    if (!framed && described) checkRatio(count, to.length);
    return to.finish();
  };
  const early = sections.slice(0, -1).find(({ coded }) => methodOf(coded.method).takesRest);
  if (early !== undefined && file.framed === false) {
    throw new RangeError(`pack: ${early.coded.method} have no length: unframed, their section must be the last one`);
  }
  if (file.framed === true || early !== undefined) return write(true);
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

/** "A file that describes its network declares at most 4,096 bytes of float32 per byte; a section, if framed." */
function checkRatio(count: number, bytes: number): void {
  if (4 * count > defaultLimits.ratio * bytes) {
    throw new RangeError(`pack: ${count} numbers in ${bytes} bytes are more than the format allows of such a network`);
  }
}

/** The weights that a file stands for, in the order of its network. */
export function toWeights({ network, sections }: ModelFile): Weights {
  const parameters = parametersOf(network);
  const arrays = new Map<string, NamedArray>();
  for (const { tensors, coded } of inOrder(sections, parameters)) {
    for (const tensor of weightsOf(coded, tensors.map((i) => parameters[i]!))) arrays.set(tensor.name, tensor);
  }
  return parameters.map(({ name }) => arrays.get(name)!);
}

/** The weights of one section, whose tensors have these names and shapes. */
export function weightsOf(coded: Coded, tensors: readonly Parameter[]): NamedArray[] {
  const values = valuesOf(coded);
  let at = 0;
  return tensors.map(({ name, shape }) => {
    const start = at;
    at += sizeOf(shape);
    return { name, shape, values: values.slice(start, at) };
  });
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
  tensors: readonly Parameter[],
  coded: Coded,
  open: readonly Parameter[],
  framed: boolean,
  to: ByteWriter,
): void {
  const codec = methodOf(coded.method).codec(tensors);
  const section = new ByteWriter();
  const kind = tensors.length === 1 ? cover.next : tensors.length === open.length ? cover.rest : cover.bitmap;
  section.u8(covers * codec.tag + kind);
  if (kind === cover.bitmap) {
    const bitmap = new Uint8Array(Math.ceil((open.length - 1) / 8));
    for (const tensor of tensors.slice(1)) {
      const bit = open.indexOf(tensor) - 1;
      bitmap[bit >>> 3]! |= 1 << (bit & 7);
    }
    section.bytes(bitmap);
  }
  const content = new ByteWriter();
  codec.write(coded, content);
  if (framed) {
    const count = countOf(tensors);
    if (content.length > longestContent(count)) {
      throw new RangeError(`pack: ${count} numbers may take ${longestContent(count)} bytes, got ${content.length}`);
    }
    section.varint(content.length);
  }
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
