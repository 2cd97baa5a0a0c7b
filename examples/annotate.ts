// Prints a file byte by byte, with what each is for, to be read beside docs/format.md: `npx tsx examples/annotate.ts`
// and the path of a file. Without one it takes its own: a network that answers "7" to everything, in 20 bytes.

import { readFileSync } from "node:fs";
import { code, codebookOf, inspect, pack } from "../codecs/index.ts";
import { initialise, softmax } from "../models/index.ts";

function alwaysSeven(): Uint8Array {
  const zeros = initialise(softmax, 0).map(({ name, values }) => ({ name, values: values.map(() => 0) }));
  zeros.at(-1)!.values[7] = 1;
  const sections = zeros.map(({ name, values }) => ({ tensors: [name], coded: code(codebookOf(values)) }));
  return pack({ network: softmax, sections });
}

const path = process.argv[2];
const bytes = path === undefined ? alwaysSeven() : readFileSync(path);
for (const { start, end, path: names, note = "" } of inspect(bytes).ranges) {
  const shown = bytes.subarray(start, Math.min(end, start + 8));
  const hex = Array.from(shown, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const rest = end - start > 8 ? ` … ${end - start} bytes` : "";
  console.log(`${String(start).padStart(5)}  ${(hex + rest).padEnd(38)}  ${names.join(" / ")}  ${note}`.trimEnd());
}
