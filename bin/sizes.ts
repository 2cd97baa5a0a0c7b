import { gzipSync } from "node:zlib";
import type { Coded, Section } from "../codecs/index.ts";
import type { Weights } from "../lib/index.ts";

/** Numbers of a network, and how many of them are not zero. */
export function countNumbers(weights: Weights): { parameters: number; nonzero: number } {
  let parameters = 0;
  let nonzero = 0;
  for (const { values } of weights) {
    parameters += values.length;
    for (const value of values) if (value !== 0) nonzero += 1;
  }
  return { parameters, nonzero };
}

/** What a file's size is worth: its bytes against 4 for each number of the network. */
export function sizeFigures(bytes: number, weights: Weights) {
  const { parameters, nonzero } = countNumbers(weights);
  return { bytes, ratio: (4 * parameters) / bytes, parameters, nonzero };
}

/** Bytes that gzip (level 9) makes of the weights as little-endian float32, one array after the other. */
export function gzippedBytes(weights: Weights): number {
  const arrays = weights.map(({ values }) => Buffer.from(values.buffer, values.byteOffset, values.byteLength));
  return gzipSync(Buffer.concat(arrays), { level: 9 }).length;
}

/** How the sections of a file are coded, each way named once: `codebook (fixed) + sparse codebook (huffman)`. */
export function codecsOf(sections: readonly Section[]): string {
  return [...new Set(sections.map(({ coded }) => codecOf(coded)))].sort().join(" + ");
}

function codecOf(coded: Coded): string {
  const isBook = coded.method === "codebook" || coded.method === "sparse codebook";
  return isBook ? `${coded.method} (${coded.indices.coder})` : coded.method;
}
