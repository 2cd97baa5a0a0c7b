// Writes docs/lenet5.svg: bytes against error of LeNet-5 files, ours (models/zoo) and published ones.
// Usage: node --import tsx bench/figure.ts
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readZoo, type ZooEntry } from "../bin/node/index.ts";
import { lineChart, type Series } from "../bin/svg.ts";

/**
 * Bytes and test error in per cent: the published MIRACLE files, and tables of the MIRACLE paper (also for Bayesian
 * compression, arXiv 1705.08665) and of EPR. Ours are plain where training saw the images as they are and no teacher.
 */
const published: readonly Series[] = [
  {
    name: ".mrcl files, 2019",
    points: [
      [1140, 0.97],
      [1694, 0.83],
    ],
  },
  {
    name: "paper 1810.00440",
    points: [
      [1553, 0.96],
      [3107, 0.69],
    ],
  },
  { name: "EPR, 1906.06624", points: [[2840, 1.0]] },
  { name: "Bayesian, 2017", points: [[2300, 1.0]] },
];

/** Larger ones would press all others together. */
const largest = 4000;
const zoo = (await readZoo()).filter(({ network, bytes }) => network === "lenet5" && bytes <= largest);
const nameOf = ({ method, augmentation }: ZooEntry): string => `ours, ${augmentation ? method : "plain"}`;
const ours = [...new Set(zoo.map(nameOf))].sort().map((name): Series => {
  const entries = zoo.filter((entry) => nameOf(entry) === name).sort((a, b) => a.bytes - b.bytes);
  return { name, points: entries.map(({ bytes, errors }) => [bytes, errors / 100]) };
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
