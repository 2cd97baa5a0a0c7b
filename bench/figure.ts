// Writes docs/lenet5.svg: bytes against error of LeNet-5 files, ours (models/zoo) and published ones.
// Usage: node --import tsx bench/figure.ts
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readZoo } from "../bin/node/index.ts";
import { lineChart, type Series } from "../bin/svg.ts";

/** Bytes and test error in per cent. Sources: files and tables of the publications that the names stand for. */
const published: readonly Series[] = [
  {
    name: "MIRACLE, public files (2019)",
    points: [
      [1140, 0.97],
      [1694, 0.83],
    ],
  },
  {
    name: "MIRACLE, paper (1810.00440)",
    points: [
      [1553, 0.96],
      [3107, 0.69],
    ],
  },
  { name: "EPR (1906.06624)", points: [[2840, 1.0]] },
  { name: "Bayesian compression, in 1810.00440", points: [[2300, 1.0]] },
];

const zoo = (await readZoo()).filter(({ network }) => network === "lenet5");
const methods = [...new Set(zoo.map(({ method }) => method))].sort();
const ours = methods.map((method): Series => {
  const entries = zoo.filter((entry) => entry.method === method).sort((a, b) => a.bytes - b.bytes);
  return { name: `kilonet, ${method}`, points: entries.map(({ bytes, errors }) => [bytes, errors / 100]) };
});
const svg = lineChart({
  title: "LeNet-5 on MNIST: whole files",
  x: { label: "bytes", logarithmic: true },
  y: { label: "test error, %" },
  series: [...ours, ...published],
});
const file = join(import.meta.dirname, "..", "docs", "lenet5.svg");
await writeFile(file, svg);
console.log(`${file}: ${zoo.length} files of ours`);
