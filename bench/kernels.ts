// Speed of the WebAssembly kernels on one thread: `node --import tsx bench/kernels.ts [--relaxed] [part of a name]`.
// Cases take turns and processor time is what counts, so that other work on the machine hurts little and all alike.

import { convolution, noGradient } from "../lib/wasm/convolution.ts";
import type { ConvolutionEpilogue } from "../lib/wasm/convolution.ts";
import { convolutionFilterGradient } from "../lib/wasm/convolutionFilter.ts";
import { convolutionInputGradient } from "../lib/wasm/convolutionInput.ts";
import { convolutionShape } from "../lib/wasm/convolutionShape.ts";
import type { ConvolutionOptions } from "../lib/wasm/convolutionShape.ts";
import { gemm } from "../lib/wasm/gemm.ts";
import type { GemmOptions } from "../lib/wasm/gemm.ts";
import { pooledConvolutionGradients } from "../lib/wasm/pooledConvolution.ts";
import { instantiate } from "../lib/wasm/kernel.ts";
import type { Plan } from "../lib/wasm/kernel.ts";

interface Case {
  name: string;
  plan: Plan;
  /** Multiplications and additions of the plain algorithm, so that one that needs fewer shows as faster. */
  flops: number;
  /** Bytes of every operand by word. */
  bytes: Record<string, number>;
}

function product(name: string, options: GemmOptions): Case {
  const { m, n, k } = options;
  const form = (options.transposeA ? "T" : "N") + (options.transposeB ? "T" : "N");
  const bytes = { a: 4 * m * k, b: 4 * k * n, c: 4 * m * n, bias: 4 * n };
  return { name: `gemm ${form} ${m}x${k}x${n} ${name}`, plan: gemm(options), flops: 2 * m * n * k, bytes };
}

/** The three products of a fully connected layer: forward, gradient to the weights, gradient to the input. */
function dense(name: string, batch: number, inputs: number, outputs: number): Case[] {
  return [
    product(`${name} forward`, { m: batch, k: inputs, n: outputs, bias: true, activation: "relu" }),
    product(`${name} weights`, { m: inputs, k: batch, n: outputs, transposeA: true }),
    product(`${name} input`, { m: batch, k: outputs, n: inputs, transposeB: true }),
  ];
}

function convolutionCase(name: string, plan: Plan, options: ConvolutionOptions): Case {
  const shape = convolutionShape(options);
  const { batch, height, width, channels, outputs, outHeight, outWidth, kernel } = shape;
  const window = kernel[0] * kernel[1] * channels;
  const [x, y, filter] = [batch * height * width * channels, batch * outHeight * outWidth * outputs, window * outputs];
  const floats = { x, dx: x, filter, dFilter: filter, y, dy: y, argmax: y, bias: outputs, dBias: outputs };
  const bytes = Object.fromEntries(Object.entries(floats).map(([word, size]) => [word, 4 * size]));
  return { name: `convolution ${shape.key} ${name}`, plan, flops: 2 * y * window, bytes };
}

const convolve = (name: string, options: ConvolutionOptions & ConvolutionEpilogue) =>
  convolutionCase(name, convolution(options), options);
const toInput = (name: string, options: ConvolutionOptions) =>
  convolutionCase(`${name} input`, convolutionInputGradient(options), options);
const toFilter = (name: string, options: ConvolutionOptions) =>
  convolutionCase(`${name} filter`, convolutionFilterGradient({ ...options, bias: true }), options);

/** Gradients of a convolution behind its fused pooling; the rate counts what the plain gradients would cost. */
function behindPooling(name: string, options: ConvolutionOptions, input: boolean): Case {
  const plan = pooledConvolutionGradients({ ...options, bias: true, input });
  const { flops, ...rest } = convolutionCase(
    `${name} ${input ? "filter and input" : "filter"} behind pooling`,
    plan,
    options,
  );
  return { ...rest, flops: input ? 2 * flops : flops };
}

const conv1 = { batch: 64, height: 28, width: 28, channels: 1, outputs: 20, kernel: [5, 5] } as const;
const conv2 = { batch: 64, height: 12, width: 12, channels: 20, outputs: 50, kernel: [5, 5] } as const;
const finish = { bias: true, activation: "relu" } as const;
const same3x3 = {
  batch: 16,
  height: 28,
  width: 28,
  channels: 32,
  outputs: 64,
  kernel: [3, 3],
  padding: "same",
} as const;
const pointwise = { batch: 16, height: 14, width: 14, channels: 64, outputs: 128, kernel: [1, 1] } as const;

const cases: Case[] = [
  convolve("conv1", { ...conv1, ...finish }),
  convolve("conv1 pool", { ...conv1, ...finish, pool: true }),
  convolve("conv2", { ...conv2, ...finish }),
  convolve("conv2 pool", { ...conv2, ...finish, pool: true }),
  convolve("conv2 pool winograd", { ...conv2, ...finish, pool: true, winograd: true }),
  convolve("conv2 winograd", { ...conv2, ...finish, winograd: true }),
  convolve("conv2 pool winograd, one image", { ...conv2, ...finish, pool: true, batch: 1, winograd: true }),
  convolve("winograd", { ...same3x3, ...finish, winograd: true }),
  convolve("conv1 pool, one image", { ...conv1, ...finish, pool: true, batch: 1 }),
  convolve("conv2 pool, one image", { ...conv2, ...finish, pool: true, batch: 1 }),
  convolve("", { ...same3x3, ...finish }),
  convolve("", { ...same3x3, ...finish, stride: 2 }),
  convolve("", { ...pointwise, ...finish }),
  toFilter("conv1", conv1),
  toFilter("conv2", conv2),
  toInput("conv2", conv2),
  behindPooling("conv1", conv1, false),
  behindPooling("conv2", conv2, true),
  toFilter("", same3x3),
  toInput("", same3x3),
  toFilter("", pointwise),
  toInput("", pointwise),
  product("square", { m: 512, n: 512, k: 512 }),
  product("square", { m: 512, n: 512, k: 512, transposeA: true }),
  product("square", { m: 512, n: 512, k: 512, transposeB: true }),
  product("square", { m: 512, n: 512, k: 512, transposeA: true, transposeB: true }),
  product("conv2 as a product", { m: 4096, n: 50, k: 500 }),
  ...dense("lenet5 fc1", 64, 800, 500),
  ...dense("lenet5 fc2", 64, 500, 10),
  ...dense("lenet300 fc1", 64, 784, 300),
  ...dense("lenet300 fc2", 64, 300, 100),
  ...dense("lenet300 fc3", 64, 100, 10),
  product("fc1, one image", { m: 1, k: 800, n: 500, bias: true, activation: "relu" }),
  product("fc2, one image", { m: 1, k: 500, n: 10, bias: true }),
];

const relaxed = process.argv.includes("--relaxed");
const part = process.argv.slice(2).find((argument) => !argument.startsWith("--")) ?? "";
const chosen = cases.filter(({ name }) => name.includes(part));

const largest = Math.max(
  ...chosen.map(({ plan, bytes }) => Object.values(bytes).reduce((sum, size) => sum + size + 64, plan.scratchBytes)),
);
const memory = new WebAssembly.Memory({ initial: Math.ceil((largest + 65536) / 65536) });
const numbers = new Float32Array(memory.buffer);

function prepare({ name, plan, flops, bytes }: Case) {
  const runs = plan.phases.map((kernel) => ({ kernel, run: instantiate(memory, kernel, relaxed) }));
  const words: Record<string, number> = {};
  let end = 1024;
  for (const [word, size] of Object.entries({ ...bytes, scratch: plan.scratchBytes })) {
    words[word] = end;
    end = Math.ceil((end + size + 16) / 64) * 64;
  }
  const once = () => {
    for (const { kernel, run } of runs) {
      kernel.arguments.forEach((word, i) => new Int32Array(memory.buffer).set([words[word]!], i));
      for (let tile = 0; tile < kernel.tiles; tile++) run(0, tile);
    }
  };
  const repeats = Math.max(1, Math.round(6e7 / flops));
  return {
    name,
    flops,
    repeats,
    once,
    words,
    bytes,
    tiles: plan.phases.map((kernel) => kernel.tiles).join("+"),
    times: [] as number[],
  };
}

const prepared = chosen.map(prepare);
const refill = ({ words, bytes }: ReturnType<typeof prepare>) => {
  for (let i = 256; i < numbers.length; i++) numbers[i] = ((i * 7) % 32) / 16 - 1;
  if (bytes["argmax"] === undefined) return;
  // Positions as a trained network has them: four in ten outputs are rectified to zero.
  const argmax = new Int32Array(memory.buffer, words["argmax"], bytes["argmax"] / 4);
  let state = 1;
  for (let i = 0; i < argmax.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    argmax[i] = state >>> 8 < 0.4 * 2 ** 24 ? noGradient : state >>> 30;
  }
};
// Two rounds that are not counted, with time between them for the engine's optimising compiler.
for (let round = -2; round < 41; round++) {
  for (const one of prepared) {
    const { once, repeats, times } = one;
    refill(one);
    once();
    const start = process.cpuUsage();
    for (let i = 0; i < repeats; i++) once();
    const { user, system } = process.cpuUsage(start);
    if (round >= 0) times.push((user + system) / 1000 / repeats);
  }
  if (round < 0) await new Promise((resolve) => setTimeout(resolve, 300));
}
console.log(`${relaxed ? "relaxed SIMD" : "exact"}, Node ${process.version}, one thread, median (quartiles)`);
for (const { name, flops, times, tiles } of prepared) {
  times.sort((a, b) => a - b);
  const [fast, median, slow] = [1, 2, 3].map((quarter) => times[Math.floor((quarter * times.length) / 4)]!);
  const rate = (time: number) => (flops / time / 1e6).toFixed(1);
  const milliseconds = median!.toFixed(3).padStart(9);
  const figures = `${milliseconds} ms ${rate(median!).padStart(6)} (${rate(slow!)} to ${rate(fast!)})`;
  console.log(`${name.padEnd(72)} ${figures} GFLOP/s  ${tiles} tiles`);
}
