import { crc32 } from "../../codecs/crc32.ts";
import type { Network } from "../../lib/network.ts";

export type Accepted = readonly [name: string, shows: string, bytes: Uint8Array];
export type Refused = readonly [name: string, shows: string, code: string, bytes: Uint8Array];

/** Bytes from hex with spaces. */
export function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));
}

/** The bytes, then their CRC-32. */
export function sealed(bytes: Uint8Array): Uint8Array {
  const sum = crc32(bytes);
  return Uint8Array.of(...bytes, sum, sum >>> 8, sum >>> 16, sum >>> 24);
}

/** A network of six numbers: a dense layer [2, 2] with its bias [2]. */
export const small: Network = {
  name: "x",
  input: { height: 2, width: 1, channels: 1, scale: 1 / 255, offset: 0 },
  layers: [{ type: "flatten" }, { type: "dense", name: "fc1", units: 2, bias: true, activation: "none" }],
  classes: ["0", "1"],
};

/** Magic, version and head of an unframed file that describes its network, and the graph of `small`. */
export const start = "fb6b6e 01 00";
export const graph = "01 78 02 01 01 00 02 04 02 00 08 02 00";
/** The same with metadata, framed, or both. */
export const startMetadata = "fb6b6e 01 02";
export const startFramed = "fb6b6e 01 01";
/** A section of all six numbers, all 1. */
export const ones = "09 01 0000803f";

/** A whole unframed file of `small` from the bytes of its sections. */
export function smallFile(sections: string): Uint8Array {
  return sealed(hex(start + graph + sections));
}

/** A whole unframed file from the bytes of its graph; the sections are those of `small`. */
export function graphFile(bytes: string, sections: string = ones): Uint8Array {
  return sealed(hex(start + bytes + sections));
}

/** A framed file of `small`: each part gets its checksum. */
export function framedFile(prelude: string, ...sections: readonly string[]): Uint8Array {
  return Uint8Array.of(...sealed(hex(prelude)), ...sections.flatMap((section) => [...sealed(hex(section))]));
}
