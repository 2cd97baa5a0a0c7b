// What the gpu backend takes in the mode webgpu: kernels, training steps, inference and MIRACLE's scoring, beside the
// wasm backend with two threads and, where a Python with torch has a GPU, the same in PyTorch.
//
//   npm run bench:gpu -- [--adapter part of its name] [--null] [--json] [--seconds 1] [part of a work's name]
//
// KILONET_GPU_ADAPTER names the adapter too. Dawn's null adapter (--null, or where there is no other) computes nothing:
// what is left is the cost of asking. Run by itself, a process knows nothing of kernels: its first step is timed.

import { spawnSync } from "node:child_process";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { clock, restore, watch } from "./gpuClock.ts";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    adapter: { type: "string", default: process.env["KILONET_GPU_ADAPTER"] ?? "" },
    null: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    seconds: { type: "string", default: "1" },
  },
});
const [part = ""] = positionals;
const say = options.json ? console.error : console.log;

const { create, globals } = await import("webgpu");
Object.assign(globalThis, globals);
let door = create(options.null ? ["backend=null"] : options.adapter === "" ? [] : [`adapter=${options.adapter}`]);
let isNull = options.null;
// A name that fits no adapter is an error of Dawn's, which lists those that there are.
const found = await door.requestAdapter().catch((error: unknown) => {
  console.error(`no adapter ${JSON.stringify(options.adapter)}: ${String(error)}`);
  process.exit(1);
});
if (!isNull && found === null) {
  say("There is no GPU here, nor a driver that acts as one: figures of hardware are missing. The costs of asking, on");
  say("Dawn's null adapter, which computes nothing:\n");
  door = create(["backend=null"]);
  isNull = true;
}
if (globalThis.navigator === undefined) Object.assign(globalThis, { navigator: { gpu: door } });
else Object.defineProperty(globalThis.navigator, "gpu", { value: door, configurable: true });

const imported = performance.now();
const kilonet = await import("../lib/index.ts");
const { forward, initialise, lenet300, lenet5 } = await import("../models/index.ts");
const { scores } = await import("../codecs/miracle/score.ts");
const { GpuBackend } = await import("../lib/backends/gpu/backend.ts");
const { check } = await import("../lib/backends/gpu/device.ts");
const { loadGpuJs } = await import("../lib/backends/gpu/gpujs.ts");
const { WebGpuDevice } = await import("../lib/backends/gpu/webGpuDevice.ts");
const { Runtime } = await import("../lib/runtime.ts");
const { adam, add, conv2d, createRuntime, crossEntropy, grad, matmul, mean, multiply, reshape, sum } = kilonet;
type Tensor = InstanceType<typeof kilonet.Tensor>;
type Device = InstanceType<typeof Runtime>;

interface Work {
  readonly name: string;
  /** Its name in bench/peers/torch_gpu.py, if it is there. */
  readonly peer?: string;
  /** Operations on floats, of the plain algorithm. */
  readonly flops?: number;
  /** Asks for it once; a promise, if reading belongs to it. */
  readonly once: () => void | Promise<unknown>;
}

const numbers = (length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => (((i * 2654435761) >>> 8) % 256) / 255 - 0.5);

/** A step adds its loss to `total`, as training does. */
function stepOf(runtime: Device, network: typeof lenet5, batch: number, total = runtime.variable([0], [])): () => void {
  const images = runtime.variable(numbers(batch * 784), [batch, 28, 28, 1]);
  const labels = runtime.variable(Int32Array.from({ length: batch }, (_, i) => i % 10), [batch]);
  const weights = initialise(network, 1).map(({ values, shape, name }) => runtime.variable(values, shape, name));
  const optimizer = adam(weights);
  return () =>
    runtime.step(() => {
      const loss = mean(crossEntropy(forward(network, weights, images), labels));
      optimizer.update(grad(loss, weights), 1e-3);
      total.assign(add(total, loss));
    });
}

/** All works on a runtime; each is prepared when its turn comes. */
function worksOn(runtime: Device): readonly (() => Work)[] {
  const product = (n: number) => (): Work => {
    const [a, b] = [runtime.variable(numbers(n * n), [n, n]), runtime.variable(numbers(n * n), [n, n])];
    return {
      name: `matmul ${n}`,
      peer: `matmul-${n}`,
      flops: 2 * n ** 3,
      once: () => runtime.step(() => void matmul(a, b)),
    };
  };
  const flat = (name: string, length: number, apply: (x: Tensor) => Tensor, flops: number) => (): Work => {
    const x = runtime.variable(numbers(length), [length]);
    // Another shape asks for the numbers.
    const once = (): void => runtime.step(() => void reshape(apply(x), [-1]));
    return { name, flops: flops * length, once };
  };
  const convolution = (withGradients: boolean) => (): Work => {
    const x = runtime.variable(numbers(64 * 12 * 12 * 20), [64, 12, 12, 20]);
    const w = runtime.variable(numbers(5 * 5 * 20 * 50), [5, 5, 20, 50]);
    return {
      name: withGradients ? "LeNet-5's second convolution, batch 64, and its gradients" : "the convolution alone",
      flops: (withGradients ? 3 : 1) * 2 * 64 * 8 * 8 * 50 * 500,
      once: () =>
        runtime.step(() => {
          const y = conv2d(x, w);
          if (withGradients) grad(sum(y), [x, w]);
        }),
    };
  };
  const step = (title: string, key: string, network: typeof lenet5, batch: number) => (): Work => ({
    name: `${title} step, batch ${batch}`,
    peer: `${key}-step-${batch}`,
    once: stepOf(runtime, network, batch),
  });
  const inference = (batch: number) => (): Work => {
    const weights = initialise(lenet5, 1).map(({ values, shape, name }) => runtime.variable(values, shape, name));
    const images = numbers(batch * 784);
    const logits = (): Tensor =>
      runtime.step(() => forward(lenet5, weights, runtime.tensor(images, [batch, 28, 28, 1])));
    const name = `LeNet-5 inference, batch ${batch}`;
    return { name, peer: `lenet5-inference-${batch}`, once: () => logits().read() };
  };
  const scoring = (): Work => {
    const target = {
      means: Float64Array.from(numbers(30)),
      logDeviations: new Float64Array(30).fill(-2),
      scales: new Float64Array(30).fill(0.3),
    };
    return {
      name: "MIRACLE: scores of a block of 16 bits, 30 scalars",
      once: () => scores(runtime, { key: [1, 2], block: 3, bits: 16, target, weighing: "importance" }),
    };
  };
  return [
    step("LeNet-300-100", "lenet300", lenet300, 64),
    step("LeNet-300-100", "lenet300", lenet300, 256),
    step("LeNet-5", "lenet5", lenet5, 64),
    step("LeNet-5", "lenet5", lenet5, 256),
    inference(1),
    inference(256),
    scoring,
    flat("elementwise, 4 million numbers", 2 ** 22, (x) => add(multiply(x, x), 1), 2),
    flat("sum of 4 million numbers", 2 ** 22, (x) => sum(x), 1),
    convolution(false),
    convolution(true),
    product(512),
    product(1024),
    product(2048),
  ];
}

interface Figures {
  /** Wall clock, ms. */
  readonly median: number;
  readonly least: number;
  /** Processor time of the whole process, ms. */
  readonly processor: number;
}

/** Times many runs that are asked for at once, and waits for the last: the rounds take turns with nothing. */
async function measure(runtime: Device, { once }: Work, seconds: number): Promise<Figures> {
  // What is read last comes behind everything else.
  const last = runtime.variable([0], []);

  // Until the engine has optimised what runs often.
  const warm = performance.now() + seconds * 1000;
  let start: number;
  do {
    start = performance.now();
    await once();
    await last.read();
  } while (performance.now() < warm);
  const repeats = Math.max(1, Math.min(200, Math.floor((seconds * 1000) / 7 / (performance.now() - start))));
  const rounds: { wall: number; processor: number }[] = [];
  const end = performance.now() + seconds * 2000;
  while (rounds.length < 7 && (rounds.length < 3 || performance.now() < end)) {
    const [before, from] = [process.cpuUsage(), performance.now()];
    for (let i = 0; i < repeats; i++) {
      const result = once();
      if (result instanceof Promise) await result;
    }
    await last.read();
    const wall = (performance.now() - from) / repeats;
    const { user, system } = process.cpuUsage(before);
    rounds.push({ wall, processor: (user + system) / 1000 / repeats });
  }
  const middle = (of: (round: { wall: number; processor: number }) => number): number =>
    rounds.map(of).sort((a, b) => a - b)[Math.floor(rounds.length / 2)]!;
  return {
    median: middle(({ wall }) => wall),
    least: Math.min(...rounds.map(({ wall }) => wall)),
    processor: middle(({ processor }) => processor),
  };
}

const gpujs = await loadGpuJs();
const context = await gpujs.WebGPUContext.acquire();
watch(gpujs, context.device);

// The first step, with all that it compiles.
clock.start();
const opening = performance.now();
const device = await WebGpuDevice.open(gpujs);
if (!isNull) await check(device);
const runtime = new Runtime(new GpuBackend(device));
const opened = performance.now();
const total = runtime.variable([0], []);
stepOf(runtime, lenet5, 64, total)();
clock.wait();
await total.read();
const first = {
  import: opening - imported,
  open: opened - opening,
  step: performance.now() - opened,
  ...clock.stop(),
  kernels: device.compiled,
};
restore();

const torch = peers();
const wasm = isNull ? null : await createRuntime({ device: "wasm", threads: 2 });
const onWasm = wasm === null ? null : worksOn(wasm);
const results: object[] = [];
const ms = (time: number): string => time.toPrecision(3);
const about = {
  adapter: device.description,
  node: process.version,
  processor: `${cpus().length} x ${cpus()[0]!.model}`,
  peer: typeof torch === "string" ? torch : torch.about,
};
say(`${about.adapter}\nNode ${about.node}, ${about.processor}\nPyTorch: ${about.peer}`);
say(
  `first step of LeNet-5, batch 64: ${ms(first.step)} ms, ${first.kernels} kernels ` +
    `(before: import ${ms(first.import)}, device ${ms(first.open)}; of both: our JavaScript ${ms(first.ours)}, ` +
    `gpu.js ${ms(first.gpujs)}, Dawn ${ms(first.driver)}, waiting ${ms(first.waiting)})\n`,
);
let patience = Number(options.seconds) * 20_000;
for (const [i, prepare] of worksOn(runtime).entries()) {
  const work = prepare();
  const { name, peer, flops } = work;
  if (!name.includes(part) || (isNull && !name.includes("step"))) continue;
  if (patience <= 0) {
    say(`${name}: not run, the works before it took too long here`);
    continue;
  }
  const began = performance.now();
  const figures = await measure(runtime, work, Number(options.seconds));
  patience -= performance.now() - began;

  // Again with clocks around all calls, which cost a little themselves.
  watch(gpujs, context.device);
  const turns = Math.max(1, Math.min(100, Math.floor(500 / figures.median)));
  clock.start();
  for (let turn = 0; turn < turns; turn++) {
    const result = work.once();
    if (!(result instanceof Promise)) continue;
    clock.wait();
    await result;
    clock.resume();
  }
  clock.wait();
  await total.read();
  const { ours, gpujs: theirs, driver, waiting, dispatches } = clock.stop();
  restore();
  const split = { ours: ours / turns, gpujs: theirs / turns, driver: driver / turns, waiting: waiting / turns };
  const kernels = dispatches / turns;
  const other = onWasm === null ? null : await measure(wasm!, onWasm[i]!(), Number(options.seconds) / 2);
  const torched = typeof torch === "string" || peer === undefined ? null : (torch.milliseconds[peer] ?? null);
  const gflops = flops === undefined ? null : flops / figures.median / 1e6;
  results.push({ name, ...figures, kernels, split, gflops, wasm: other, torch: torched });
  say(
    [
      `${name}: ${ms(figures.median)} ms (least ${ms(figures.least)}, processor ${ms(figures.processor)})`,
      ...(gflops === null ? [] : [`${ms(gflops)} GFLOP/s`]),
      `${kernels} kernels, per kernel ${ms((1000 * figures.processor) / kernels)} us of processor`,
      `our JavaScript ${ms(split.ours)}, gpu.js ${ms(split.gpujs)}, Dawn ${ms(split.driver)}`,
      `waiting ${ms(split.waiting)}`,
      ...(other === null ? [] : [`wasm, 2 threads: ${ms(other.median)}`]),
      ...(torched === null ? [] : [`PyTorch: ${ms(torched)}`]),
    ].join("; "),
  );
}
await wasm?.close();
await runtime.close();
if (options.json) console.log(JSON.stringify({ ...about, first, works: results }));

/** What PyTorch takes on its GPU, or why that is not known. */
function peers(): string | { readonly about: string; readonly milliseconds: Readonly<Record<string, number>> } {
  const script = new URL("peers/torch_gpu.py", import.meta.url).pathname;
  const { status, stdout, error } = spawnSync("python3", [script], { encoding: "utf8" });
  if (error !== undefined) return `not here: ${error.message}`;
  const line = stdout.trim().split("\n").pop() ?? "";
  if (status !== 0) return `not here: ${line === "" ? `python3 ends with ${status}` : line}`;
  return JSON.parse(line) as { about: string; milliseconds: Record<string, number> };
}
