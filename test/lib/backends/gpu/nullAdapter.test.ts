// The mode `webgpu` on Dawn's null adapter, which needs no GPU and no driver: calls are checked, nothing is computed.

import assert from "node:assert/strict";
import { test } from "node:test";
import { adam, crossEntropy, grad, matmul, mean, type Variable } from "../../../../lib/index.ts";
import { GpuBackend } from "../../../../lib/backends/gpu/backend.ts";
import { type Gpu, type Kernel, loadGpuJs } from "../../../../lib/backends/gpu/gpujs.ts";
import { WebGpuDevice } from "../../../../lib/backends/gpu/webGpuDevice.ts";
import { provideWebGpu } from "../../../../lib/backends/gpu/webgpu.ts";
import { DeviceError } from "../../../../lib/errors.ts";
import { Runtime } from "../../../../lib/runtime.ts";
import { skip as skipGpuJs } from "./modes.ts";

const dawn = await import("webgpu").catch(() => null);
/** Kept: with it go its devices, which gpu.js keeps for the whole process. */
const gpu = dawn?.create(["backend=null"]);
const skip = skipGpuJs !== false ? skipGpuJs : dawn === null ? "the package webgpu does not load here" : false;

const isDeviceError = (pattern: RegExp) => (error: unknown): boolean =>
  error instanceof DeviceError && pattern.test(error.message);

test("webgpu: without navigator.gpu the error names the package", { skip }, async () => {
  const missing = Object.assign(new Error("no such package"), { code: "ERR_MODULE_NOT_FOUND" });
  const load = (error: Error): Promise<void> => provideWebGpu(() => Promise.reject(error));
  const names = /needs navigator\.gpu or the package webgpu, which is not installed$/;
  await assert.rejects(load(missing), isDeviceError(names));
  await assert.rejects(load(new Error("broken")), isDeviceError(/the package webgpu, which does not load$/));
});

test("webgpu: without an adapter the error says so", { skip }, async () => {
  const none = { create: () => ({ requestAdapter: () => Promise.resolve(null) }), globals: {} };
  await provideWebGpu(() => Promise.resolve(none));
  const gpujs = await loadGpuJs();
  await assert.rejects(WebGpuDevice.open(gpujs), isDeviceError(/^gpu: mode webgpu finds no adapter/));
});

test("webgpu: what gpu.js keeps to itself is looked at; without it every kernel is sent alone", { skip }, async () => {
  useNullAdapter();
  const gpujs = await loadGpuJs();
  const ways: readonly ((built: Record<string, unknown>) => void)[] = [
    (built) => void (built.computePipeline = {}),
    (built) => void (built._computeDispatch = undefined),
    (built) => void (built.paramsMirror = new ArrayBuffer(48)),
  ];
  for (const [number, spoil] of [() => {}, ...ways].entries()) {
    class Other extends gpujs.GPU {
      override createKernel(...from: Parameters<Gpu["createKernel"]>): Kernel {
        const made = super.createKernel(...from);
        type Built = Record<string, unknown> & { run(...values: unknown[]): unknown };
        const { kernel } = made as unknown as { kernel: Built };
        const run = kernel.run.bind(kernel);
        // Once the trial ran in gpu.js's way.
        kernel.run = (...values) => [run(...values), spoil(kernel)];
        return made;
      }
    }
    const device = await WebGpuDevice.open({ ...gpujs, GPU: Other });
    assert.equal(/every kernel sent alone/.test(device.description), number > 0, `way ${number}`);
    await device.close();
  }
});

test("webgpu: 5,000 steps leave the number of buffers and of kernels as it was", { skip }, async () => {
  useNullAdapter();
  const backend = new GpuBackend(await WebGpuDevice.open(await loadGpuJs()));
  assert.match(backend.description, /^gpu: gpu\.js in mode webgpu \(adapter .*Null/i);
  const runtime = new Runtime(backend);
  const weights: Variable[] = [runtime.variable(new Float32Array(12), [4, 3]), runtime.variable([1, 2, 3], [3])];
  const optimizer = adam(weights);
  const step = (number: number): void =>
    runtime.step(() => {
      const x = runtime.tensor(Float32Array.from({ length: 8 }, (_, i) => i + number), [2, 4]);
      const logits = matmul(x, weights[0]!, { bias: weights[1]! });
      const loss = mean(crossEntropy(logits, runtime.tensor(Int32Array.of(number % 3, 1))));
      optimizer.update(grad(loss, weights), 0.01);
    });
  for (let number = 0; number < 10; number++) step(number);
  assert.equal((await weights[1]!.read()).length, 3);
  const [buffers, compiled] = [backend.buffers, backend.compiled];
  assert.ok(buffers > 10 && compiled > 5, `${buffers} buffers, ${compiled} kernels`);
  for (let number = 10; number < 5000; number++) {
    step(number);
    if (number % 500 === 0) await weights[0]!.read();
  }
  assert.deepEqual([backend.buffers, backend.compiled], [buffers, compiled]);
  assert.doesNotMatch(backend.description, /alone/);

  const tooMuch =
    /^gpu: mode webgpu cannot do huge: 1125899906842624 numbers take \d+ bytes, and the adapter takes \d+ at a time$/;
  assert.throws(() => runtime.run(own("huge", "return 1;", 2 ** 50), [], { attributes: {} }), isDeviceError(tooMuch));
  await assert.rejects(async () => weights[0]!.readSync(), isDeviceError(/cannot read at once: await read\(\)/));
  await runtime.close();
  assert.equal(backend.buffers, 0);
  await assert.rejects(weights[0]!.read(), isDeviceError(/^gpu: the device is closed$/));
});

function useNullAdapter(): void {
  if (globalThis.navigator === undefined) Object.assign(globalThis, { navigator: { gpu } });
  else Object.defineProperty(globalThis.navigator, "gpu", { value: gpu, configurable: true });
}

/** An operation of one kernel. */
function own(name: string, body: string, length = 2): Parameters<Runtime["run"]>[0] {
  const pass = { threads: [length], reads: {}, body };
  return {
    name,
    outputs: () => [{ shape: [1], type: "float" }],
    gradient: null,
    gpu: () => ({ passes: [pass], results: [0] }),
  } as unknown as Parameters<Runtime["run"]>[0];
}

test("webgpu: what the mode cannot do, and what the device refuses, is said", { skip }, async (t) => {
  useNullAdapter();
  const gpujs = await loadGpuJs();
  const open = async (): Promise<Runtime> => new Runtime(new GpuBackend(await WebGpuDevice.open(gpujs)));
  const run = (runtime: Runtime, name: string, body: string): void =>
    void runtime.step(() => void runtime.run(own(name, body), [], { attributes: {} }));
  const isFailure = (pattern: RegExp, runtime: Runtime): Promise<void> =>
    assert.rejects(async () => runtime.variable([1], [1]).read(), isDeviceError(pattern));
  // gpu.js says the same on the console.
  t.mock.method(console, "error", () => {});

  const first = await open();
  assert.throws(() => run(first, "nonsense", "return (;"), isDeviceError(/^gpu: mode webgpu cannot do nonsense: /));
  // Passes gpu.js, and is no WGSL.
  run(first, "halves", "let s = 0; for (let i = 0.5; i < 2; i++) { s += i; } return s;");
  await isFailure(/^gpu: mode webgpu cannot do halves: Error: Error compiling WGSL/, first);
  await first.close();

  const second = await open();
  const { device } = await gpujs.WebGPUContext.acquire();
  device.createBuffer({ size: 4, usage: 0xfffff });
  await new Promise((resolve) => setTimeout(resolve, 100));
  await isFailure(/^gpu: mode webgpu stopped: .*BufferUsage/, second);
  await second.close();
});
