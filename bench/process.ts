// What a process costs: start-up until the first inference, and the peak memory of a training. Measured on the built
// package, as users run it: `npm run build && node --import tsx bench/process.ts [--rounds 15]`.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";

const options = parseArgs({ options: { rounds: { type: "string", default: "15" } } }).values;
const dist = new URL("../dist/", import.meta.url);
if (!existsSync(dist)) throw new Error("there is no dist: run `npm run build` first");

const door = (room: string): string => new URL(`${room}/index.js`, dist).href;

const doors = `
const { adam, createRuntime, crossEntropy, grad, mean, parametersOf, sizeOf } = await import("${door("lib")}");
const { forward, lenet5 } = await import("${door("models")}");
const runtime = await createRuntime();
const weights = parametersOf(lenet5).map(({ shape, name }) => {
  return runtime.variable(new Float32Array(sizeOf(shape)).fill(0.01), shape, name);
});
`;

/** Where the system counts it (Linux): how long the main thread ran, which other programs change little. */
const ran = `
import { existsSync, readFileSync } from "node:fs";
const file = "/proc/self/schedstat";
process.on("exit", () => console.log(existsSync(file) ? Number(readFileSync(file, "utf8").split(" ")[0]) / 1e6 : NaN));
`;

const programs = {
  "bare Node": "",
  "import of kilonet": `await import("${door("lib")}");`,
  "import and first LeNet-5 inference": `${doors}
    const images = new Float32Array(784);
    await runtime.step(() => forward(lenet5, weights, runtime.tensor(images, [1, 28, 28, 1]))).read();`,
};

function run(program: string): { milliseconds: number; printed: string } {
  const start = performance.now();
  const words = ["--input-type=module", "-e", program];
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return { milliseconds: performance.now() - start, printed: stdout };
}

const median = (numbers: readonly number[]): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!;

const load = () => loadavg()[0]!.toFixed(1);
console.log(`${cpus()[0]!.model}, ${cpus().length} cores, Node ${process.version}.\n`);
const before = load();
const times = Object.entries(programs).map(([name, program]) => {
  return { name, program: ran + program, wall: [] as number[], main: [] as number[] };
});
for (const { program } of times) run(program);
for (let round = 0; round < Number(options.rounds); round++) {
  for (const { program, wall, main } of times) {
    const { milliseconds, printed } = run(program);
    wall.push(milliseconds);
    main.push(Number(printed));
  }
}
const bare = times[0]!;
console.log("Milliseconds, and how many of them beyond bare Node:\n");
console.log("| process | median | beyond | least | beyond | main thread ran, median | beyond |");
console.log("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
for (const { name, wall, main } of times) {
  const cells = [
    [median(wall), median(bare.wall)],
    [Math.min(...wall), Math.min(...bare.wall)],
    [median(main), median(bare.main)],
  ].flatMap(([time, base]) => [time!, time! - base!]);
  console.log(`| ${name} | ${cells.map((time) => time.toFixed(0)).join(" | ")} |`);
}
console.log(`\nOther programs too: a load of ${before} before and ${load()} after, on ${cpus().length} cores.`);

const training = `${doors}
const optimizer = adam(weights);
const images = new Float32Array(64 * 784).fill(0.5);
const labels = Int32Array.from({ length: 64 }, (_, i) => i % 10);
for (let i = 0; i < 200; i++) {
  runtime.step(() => {
    const logits = forward(lenet5, weights, runtime.tensor(images, [64, 28, 28, 1]));
    const loss = mean(crossEntropy(logits, runtime.tensor(labels)));
    optimizer.update(grad(loss, weights), 1e-3);
  });
}
console.log(process.resourceUsage().maxRSS / 1024);`;
const peak = Number(run(training).printed);
console.log(`\nPeak memory of 200 LeNet-5 training steps, batch 64: ${peak.toFixed(0)} MiB.`);
