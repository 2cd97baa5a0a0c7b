/**
 * Writes the vectors that are not there yet, and leaves the others alone: a vector is added, never edited.
 * Run with `node --import tsx test/vectors/make.ts`.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { FormatError } from "../../codecs/codec.ts";
import { toWeights, unpack } from "../../codecs/container.ts";
import { accepted } from "./makeAccepted.ts";
import { refused } from "./makeRefused.ts";
import { type Vector, vectorText, weightsCrc } from "./vectors.ts";

function write(kind: string, vector: Vector): void {
  mkdirSync(`test/vectors/${kind}`, { recursive: true });
  const path = `test/vectors/${kind}/${vector.name}.txt`;
  if (existsSync(path)) return;
  writeFileSync(path, vectorText(vector));
  console.log(path);
}

for (const [name, shows, bytes] of accepted) {
  write("accepted", { name, shows, bytes, weights: weightsCrc(toWeights(unpack(bytes))) });
}
for (const [name, shows, code, bytes] of refused) {
  try {
    unpack(bytes);
  } catch (error) {
    if (!(error instanceof FormatError && error.code === code)) throw new Error(name, { cause: error });
    write("refused", { name, shows, code, offset: error.offset, bytes });
    continue;
  }
  throw new Error(`${name}: is not refused`);
}
