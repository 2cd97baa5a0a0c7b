// What gpu.js makes of our kernels, in WGSL (on Dawn's null adapter, which needs no driver) and in WebAssembly: it cuts
// a loop that it cannot count without a word, and takes for a float what it is not told to be an integer.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import {
  adam, add, concat, conv2d, crossEntropy, exp, gather, gatherBytes, grad, logSoftmax, matmul, max, maxPool2d, multiply,
  normal, packBytes, pad, quadraticOfNormals, round, scatterAdd, sgd, slice, softmax, sum, type Tensor, transpose,
  uniform,
} from "../../../../lib/index.ts";
import { GpuBackend } from "../../../../lib/backends/gpu/backend.ts";
import { type GpuDevice, kernelOf } from "../../../../lib/backends/gpu/device.ts";
import { type Gpu, type Kernel, loadGpuJs } from "../../../../lib/backends/gpu/gpujs.ts";
import { HostDevice } from "../../../../lib/backends/gpu/hostDevice.ts";
import {
  convolve, convolvePooled, filterGradient, inputGradient, pooledGradients,
} from "../../../../lib/backends/gpu/kernels/convolution.ts";
import { gatherRows } from "../../../../lib/backends/gpu/kernels/gather.ts";
import { gatherPacked } from "../../../../lib/backends/gpu/kernels/gatherBytes.ts";
import { pool, unpool } from "../../../../lib/backends/gpu/kernels/maxPool.ts";
import { maxAxes } from "../../../../lib/backends/gpu/kernels/reduce.ts";
import { crossEntropyRows } from "../../../../lib/backends/gpu/kernels/softmax.ts";
import type { Pass } from "../../../../lib/backends/gpu/plan.ts";
import { WebGpuDevice } from "../../../../lib/backends/gpu/webGpuDevice.ts";
import { geometry } from "../../../../lib/ops/convolution.ts";
import { DeviceError } from "../../../../lib/errors.ts";
import { Runtime } from "../../../../lib/runtime.ts";
import { type Shape, sizeOf } from "../../../../lib/shape.ts";
import { skip as skipGpuJs } from "./modes.ts";

const dawn = await import("webgpu").catch(() => null);
const skip = skipGpuJs !== false ? skipGpuJs : dawn === null ? "the package webgpu does not load here" : false;
/** Kept: with it go its devices, which gpu.js keeps for the whole process. */
const gpu = dawn?.create(["backend=null"]);

/** Every operation that has kernels, by the name that its errors say. */
const operations = readdirSync("lib/ops").flatMap((file) =>
  [...readFileSync(`lib/ops/${file}`, "utf8").matchAll(/^ +name: "(\w+)",\n +outputs/gm)].map(([, name]) => name!),
);

/** Calls every operation, with long sums, and asks for every gradient. */
function everything(runtime: Runtime): void {
  const filled = (...shape: number[]): Tensor =>
    runtime.tensor(Float32Array.from({ length: sizeOf(shape) }, (_, i) => (i % 7) - 3), shape);
  const ints = (...values: number[]): Tensor => runtime.tensor(Int32Array.from(values));
  const draws = { key: [1, 2], stream: 3, block: 4 } as const;
  const slopes = (y: Tensor, ...of: Tensor[]): void => void grad(sum(multiply(y, y)), of);
  runtime.step(() => {
    const [a, b, bias] = [filled(3, 1500), filled(1500, 2), filled(2)];
    slopes(matmul(a, b, { bias, activation: "relu" }), a, b, bias);
    slopes(matmul(filled(4, 3), a), a);
    slopes(transpose(a), a);
    slopes(concat([slice(a, [1, 2], [2, 3]), pad(filled(1, 1), [[0, 1], [1, 1]])], 0), a);
    for (const apply of [softmax, logSoftmax]) slopes(apply(a), a);
    slopes(max(a, { axes: [1] }), a);
    slopes(sum(a, { axes: [0] }), a);
    slopes(crossEntropy(a, ints(1, 0, 1499)), a);
    slopes(crossEntropy(a, softmax(a)), a);
    slopes(gather(a, ints(0, 2, 1, 1)), a);
    slopes(scatterAdd(a, ints(0, 2, 2), 4), a);
    slopes(round(exp(add(multiply(a, filled(3, 1)), 0.5)), { straightThrough: true }), a);
    for (const stride of [1, 2]) {
      const [x, w, w2] = [filled(2, 7, 9, 3), filled(3, 2, 3, 4), filled(4)];
      slopes(maxPool2d(conv2d(x, w, { stride, padding: "same", bias: w2 }), 2, stride), x, w, w2);
      slopes(conv2d(x, w, { maxPool: 2, bias: w2, activation: "relu" }), x, w, w2);
    }
    void [uniform(runtime, [33], draws), normal(runtime, [33], draws)];
    quadraticOfNormals(filled(5), filled(5), 9, { ...draws, start: 7 });
    const bytes = runtime.tensor(packBytes(Uint8Array.from({ length: 12 }), 4), [3, 2]);
    gatherBytes([bytes], ints(2, 0), filled(256), 4);
    const variables = [runtime.variable([1, 2], [2]), runtime.variable([1], [1])];
    for (const optimizer of [sgd(variables, { momentum: 0.9 }), adam(variables)]) {
      optimizer.update([filled(2), filled(1)], 0.1);
    }
    variables[0]!.assign(filled(2));
  });
}

interface Text {
  readonly names: Set<string>;
  readonly pass: Pass;
  readonly source: string;
}

/** Runs everything, and remembers each kernel's pass and who asked for it. */
function kernelsOf(device: GpuDevice): Text[] {
  const found = new Map<Pass, Text>();
  const { launch } = device;
  device.launch = (name, pass, arrays, given) => {
    const text = found.get(pass) ?? { names: new Set(), pass, source: kernelOf(pass, given)[0] };
    text.names.add(name);
    found.set(pass, text);
    return launch.call(device, name, pass, arrays, given);
  };
  everything(new Runtime(new GpuBackend(device)));
  return [...found.values()];
}

const boundsIn = (text: string): string[] => [...text.matchAll(/\bfor ?\(([^{]*)\)\s*\{/g)].map(([, head]) => head!);

/** `p from 0 to 2500` of each loop, in order; what is written in another way is given as it is. */
const loopsOf = (source: string): string[] =>
  boundsIn(source).map((head) => head.replace(/^let (\w+) = (\d+); \1 < (\d+); \1\+\+$/, "$1 from $2 to $3"));
const loopsOfWgsl = (text: string): string[] =>
  boundsIn(text).map((head) =>
    head.replace(/^var user_(\w+) : i32 = (\d+);\s*\(user_\1<(\d+)\);\s*user_\1\+\+$/, "$1 from $2 to $3"),
  );

test("WGSL: no loop is cut, limits are the literals, 7 arrays at most, addresses of integers", { skip }, async () => {
  if (globalThis.navigator === undefined) Object.assign(globalThis, { navigator: { gpu } });
  else Object.defineProperty(globalThis.navigator, "gpu", { value: gpu, configurable: true });
  const gpujs = await loadGpuJs();
  const compiled = new Map<string, string>();
  class Spy extends gpujs.GPU {
    override createKernel(...from: Parameters<Gpu["createKernel"]>): Kernel {
      const made = super.createKernel(...from);
      const { kernel } = made as unknown as { kernel: { assembleWGSL(): string } };
      const assemble = kernel.assembleWGSL.bind(kernel);
      kernel.assembleWGSL = () => {
        const text = assemble();
        compiled.set(from[0], text);
        return text;
      };
      return made;
    }
  }
  const device = await WebGpuDevice.open({ ...gpujs, GPU: Spy });
  const texts = kernelsOf(device);
  const asked = new Set(texts.flatMap(({ names }) => [...names]));
  assert.deepEqual(operations.filter((name) => !asked.has(name)), [], "an operation that this test does not call");

  let [loops, helpers] = [0, 0];
  const byFloats = new Set<string>();
  for (const { names, pass, source } of texts) {
    const who = `${[...names].join()}:\n${source}\n`;
    const text = compiled.get(source);
    assert.ok(text !== undefined, who);
    assert.doesNotMatch(text, /LOOP_MAX|\bwhile\b|\bloop\b/, who);
    const own = loopsOf(source);
    loops += own.length;
    for (const loop of own) assert.match(loop, /^\w+ from \d+ to \d+$/, who);
    assert.deepEqual(loopsOfWgsl(text), own, who);

    const arrays = Object.keys(pass.reads);
    assert.ok(arrays.length <= 7, who);
    assert.equal([...text.matchAll(/var<storage/g)].length, arrays.length + 1, who);
    for (const [, parameters, result] of text.matchAll(/fn fn_\w+\(([^)]*)\) -> (\w+)/g)) {
      assert.match(`${parameters!}, result : ${result!}`, /^(\w+ : i32(, |$))+$/, who);
      helpers += 1;
    }
    // An address of threads, counters and literals is one of integers; a variable in it is a float.
    const variables = [...text.matchAll(/\b(?:var|let) (user_\w+) : f32/g)].map(([, name]) => name!);
    for (const at of addressesIn(text)) {
      const isFloat = /\d\.\d|\bfloor\(|get_user|f32\(/.test(at);
      if (!isFloat && !variables.some((name) => new RegExp(`\\b${name}\\b`).test(at))) continue;
      for (const name of names) byFloats.add(name);
    }
  }
  assert.ok(loops > 40 && helpers > 40, `${loops} loops, ${helpers} functions of integers`);
  assert.deepEqual([...byFloats].sort(), Object.keys(tooLarge).sort(), "addresses that are floats");
  await device.close();
});

/** What is inside of every `get_user_a(0, 0, ...)`. */
function addressesIn(text: string): string[] {
  const main = text.slice(text.indexOf("@compute"));
  return [...main.matchAll(/get_user_\w+\(0, 0, /g)].map(({ 0: { length }, index }) => {
    let end = index + length;
    for (let depth = 1; depth > 0; end++) depth += main[end] === "(" ? 1 : main[end] === ")" ? -1 : 0;
    return main.slice(index + length, end - 1);
  });
}

const large: Shape = [2 ** 14, 2 ** 11];
const call = (shapes: readonly Shape[], outputs: readonly Shape[], attributes: object): never =>
  ({
    inputs: shapes.map((shape) => ({ shape, type: "float" })),
    outputs: outputs.map((shape) => ({ shape, type: "float" })),
    attributes,
  }) as never;
const image: Shape = [2, 1, 2 ** 13, 2 ** 11];
const halved: Shape = [2, 1, 2 ** 12, 2 ** 11];
const doubled: Shape = [2, 2, 2 ** 14, 2 ** 11];
const wide = geometry("conv2d", image, [1, 1, 2 ** 11, 1], { stride: [1, 1], padding: "valid" });
const twos = { size: 2, stride: 2 };
/** Operations some of whose addresses are floats, which are whole to 2^24: what they say of larger arrays. */
const tooLarge: Readonly<Record<string, () => unknown>> = {
  conv2d: () => convolve(wide, "none", false),
  conv2dFilterGradient: () => filterGradient(wide),
  conv2dInputGradient: () => inputGradient(wide),
  conv2dPooled: () => convolvePooled(wide, halved, "none", false),
  conv2dPooledGradients: () => pooledGradients(wide, halved, false, true),
  crossEntropy: () => crossEntropyRows(call([large, [2 ** 14]], [[2 ** 14], large], {})),
  gather: () => gatherRows(call([large, [3]], [[3, 2 ** 11]], {})),
  gatherBytes: () => gatherPacked(call([[3], [256], large], [[3, 3 * 2 ** 11]], { bytes: 3 * 2 ** 11 })),
  max: () => maxAxes(call([large], [[2 ** 14]], { axes: [1] })),
  maxPool2d: () => pool(call([image], [halved], twos)),
  maxPool2dGradient: () => unpool(call([image], [doubled], { ...twos, shape: doubled })),
};

test("addresses that are floats are refused where floats have gaps", { skip }, () => {
  const refusal = /^gpu: \w+ takes tensors of up to 2\^24 elements there, got \d+$/;
  for (const [name, make] of Object.entries(tooLarge)) {
    assert.throws(make, (error) => error instanceof DeviceError && refusal.test(error.message), name);
  }
});

test("WebAssembly: no loop has a counter that ends it", { skip }, async () => {
  const binaries: Uint8Array[] = [];
  const { Module } = WebAssembly;
  WebAssembly.Module = class extends Module {
    constructor(bytes: Uint8Array) {
      super(bytes as Uint8Array<ArrayBuffer>);
      binaries.push(bytes);
    }
  } as typeof Module;
  try {
    const device = new HostDevice(await loadGpuJs(), "webasm");
    const texts = kernelsOf(device);
    assert.ok(binaries.length >= texts.length, `${binaries.length} modules for ${texts.length} kernels`);
    await device.close();
  } finally {
    WebAssembly.Module = Module;
  }
  // The cap of a loop that gpu.js cannot count is a constant of the module: 10^9 in LEB128.
  const cap = [0x41, 0x80, 0x94, 0xeb, 0xdc, 0x03];
  const holds = (bytes: Uint8Array): boolean => bytes.some((_, at) => cap.every((byte, i) => bytes[at + i] === byte));
  assert.equal(binaries.filter(holds).length, 0);
});
