import { type Metadata, type ModelFile, pack, toWeights, unpack, type Unpacked } from "../../codecs/index.ts";
import type { Weights } from "../../lib/weights.ts";
import { about, readBytes } from "./about.ts";
import { writeFileSafely } from "./writeFileSafely.ts";

/** A `.knet` file as read: what it holds, the weights it stands for, and its bytes. */
export interface LoadedNetwork {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly file: Unpacked;
  readonly weights: Weights;
}

/** Reads a `.knet` file. Throws FormatError, which names the file, when its bytes are not those of one. */
export async function loadNetwork(path: string): Promise<LoadedNetwork> {
  const bytes = await readBytes(path);
  return about(path, () => {
    const file = unpack(bytes);
    return { path, bytes, file, weights: toWeights(file) };
  });
}

/** Writes a `.knet` file, all of it or nothing, and gives back its bytes. */
export async function saveNetwork(path: string, file: ModelFile): Promise<Uint8Array> {
  const bytes = pack(file);
  await writeFileSafely(path, bytes);
  return bytes;
}

/** The value of a line of metadata. */
export function metadataOf({ metadata }: ModelFile, key: string): string | undefined {
  return metadata?.find(([name]) => name === key)?.[1];
}

/** Lines of metadata in the order that the format wants. Those without a value are left out. */
export function metadataFrom(lines: Readonly<Record<string, string | number | undefined>>): Metadata {
  return Object.entries(lines)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => [key, String(value)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
