import { gzipSync } from "node:zlib";
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

/** Bytes that gzip (level 9) makes of the weights as little-endian float32, one array after the other. */
export function gzippedBytes(weights: Weights): number {
  const bytes = Buffer.concat(weights.map(({ values }) => Buffer.from(values.buffer, values.byteOffset, values.byteLength)));
  return gzipSync(bytes, { level: 9 }).length;
}
