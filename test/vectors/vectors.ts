import { readdirSync, readFileSync } from "node:fs";
import { crc32 } from "../../codecs/crc32.ts";
import type { Weights } from "../../lib/weights.ts";

/**
 * A file in hex with a line that says what it shows. An accepted one also has the CRC-32 of its numbers (as
 * little-endian float32, tensors in the order of the network), a refused one the code it must be refused with and the
 * offset of the byte that breaks the rule.
 */
export interface Vector {
  readonly name: string;
  readonly shows: string;
  readonly bytes: Uint8Array;
  readonly weights?: string;
  readonly code?: string;
  readonly offset?: number;
}

export function readVectors(kind: "accepted" | "refused"): Vector[] {
  const folder = `test/vectors/${kind}`;
  return readdirSync(folder)
    .filter((file) => file.endsWith(".txt"))
    .sort()
    .map((file) => parseVector(file.slice(0, -4), readFileSync(`${folder}/${file}`, "utf8")));
}

/** Lines `shows: …`, then `weights: …` or `code: …` and `offset: …`, then `bytes:` and hex. */
export function parseVector(name: string, text: string): Vector {
  const [head, hex] = text.split("bytes:\n");
  if (hex === undefined) throw new Error(`${name}: no line "bytes:"`);
  const fields = Object.fromEntries(
    head!
      .trim()
      .split("\n")
      .map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]),
  );
  const digits = hex.replaceAll(/\s/g, "");
  if (!/^([0-9a-f]{2})*$/.test(digits)) throw new Error(`${name}: not hex`);
  const bytes = Uint8Array.from(Buffer.from(digits, "hex"));
  const { shows, weights, code, offset } = fields;
  return {
    name,
    shows: shows!,
    bytes,
    ...(weights === undefined ? {} : { weights }),
    ...(code === undefined ? {} : { code, offset: Number(offset) }),
  };
}

export function vectorText({ shows, bytes, weights, code, offset }: Vector): string {
  const lines =
    Buffer.from(bytes)
      .toString("hex")
      .match(/.{1,64}/g) ?? [];
  const verdict = code === undefined ? `weights: ${weights}` : `code: ${code}\noffset: ${offset}`;
  return `shows: ${shows}\n${verdict}\nbytes:\n${lines.join("\n")}\n`;
}

export function weightsCrc(weights: Weights): string {
  const bits = weights.flatMap(({ values }) => [...new Uint32Array(values.slice().buffer)]);
  const bytes = new Uint8Array(4 * bits.length);
  const view = new DataView(bytes.buffer);
  bits.forEach((word, i) => view.setUint32(4 * i, word, true));
  return crc32(bytes).toString(16).padStart(8, "0");
}
