import type { Network } from "../lib/network.ts";
import type { Coded } from "./coded.ts";
import type { Metadata } from "./metadata.ts";

/** What a file holds, and the numbers that its writer and its readers share. Format: sections 2 and 4. */

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
  /**
   * Whether each section carries its length and its own checksum. By default only where it has to be: from 65,536 bytes
   * up, and where levels are followed by another section.
   */
  readonly framed?: boolean | undefined;
}

/** What a file held: the same, and nothing is left to a default. */
export interface Unpacked extends ModelFile {
  readonly architecture: number;
  readonly framed: boolean;
}

/** Outside ASCII, and no beginning of UTF-8, where the byte FB never occurs. */
export const magic = [0xfb, 0x6b, 0x6e] as const;
/** Every file of version 1 opens for ever. Version 0 was a draft. */
export const version = 1;
/** Bytes from which one checksum for the whole file is not enough. */
export const framedFrom = 65536;

/** Which tensors a section holds: the next one that has no section yet, all that have none, or as a bitmap says. */
export const cover = { next: 0, rest: 1, bitmap: 2 } as const;
export const covers = 4;

/** The most bytes that the content of a framed section of `count` numbers may take: raw float32 takes half of it. */
export function longestContent(count: number): number {
  return 8 * count + 65536;
}
