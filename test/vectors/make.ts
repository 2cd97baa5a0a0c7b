/**
 * Writes the vectors that are not there yet, and leaves the others alone: a vector is added, never edited. (While the
 * version is 0, a change of the draft may delete them all and make them again.)
 * Run with `node --import tsx test/vectors/make.ts`.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
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
for (const [name, shows, code, bytes] of refused) write("refused", { name, shows, code, bytes });
