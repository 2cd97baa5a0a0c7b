import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  add, createRuntime, gather, grad, matmul, mean, multiply, type RuntimeOptions, sgd,
  sum, type Tensor,
} from "../../../../lib/index.ts";
import { GpuBackend } from "../../../../lib/backends/gpu/backend.ts";
import { check } from "../../../../lib/backends/gpu/device.ts";
import { HostDevice } from "../../../../lib/backends/gpu/hostDevice.ts";
import { type Gpu, type GpuJs, type Kernel, loadGpuJs } from "../../../../lib/backends/gpu/gpujs.ts";
import type { GpuKernel, Pass } from "../../../../lib/backends/gpu/plan.ts";
import { DeviceError } from "../../../../lib/errors.ts";
import type { Operation } from "../../../../lib/ops/operation.ts";
import { copyInto } from "../../../../lib/ops/update.ts";
import { Runtime } from "../../../../lib/runtime.ts";
import { edges } from "../../arbitraries.ts";
import { assertClose } from "../../laws.ts";
import { programs, runProgram, type Value, variableShapes } from "../../programs.ts";
import { runtimeOf } from "../../runtimes.ts";
import { hostDevices, skip } from "./modes.ts";

const isDeviceError = (pattern: RegExp) => (error: unknown): boolean =>
  error instanceof DeviceError && pattern.test(error.message);

test("gpu: options that cannot be had are said", { skip }, async () => {
  const refuses = (options: RuntimeOptions, pattern: RegExp): Promise<void> =>
    assert.rejects(createRuntime(options), isDeviceError(pattern));
  await refuses({ device: "gpu" }, /^gpu: the mode must be one of cpu, webasm, webgpu, webgl2, got undefined$/);
  await refuses({ device: "gpu", mode: "webgl" as "cpu" }, /must be one of cpu, webasm, webgpu, webgl2, got "webgl"$/);
  await refuses({ device: "gpu", mode: "webgl2" }, /^gpu: mode webgl2 needs a browser: there is no WebGL 2 here$/);
  await refuses({ device: "gpu", mode: "cpu", threads: 2 }, /gpu has 1 thread, not 2$/);
  await refuses({ device: "gpu", mode: "cpu", precision: "fast" }, /gpu has the precisions float32, not fast$/);
  await refuses({ device: "reference", mode: "cpu" }, /only gpu has modes, and reference was asked for$/);
});

test("gpu: without the package the error names it", async () => {
  const missing = Object.assign(new Error("no such package"), { code: "ERR_MODULE_NOT_FOUND" });
  const broken = new Error("broken");
  const load = (error: Error): Promise<GpuJs> => loadGpuJs(() => Promise.reject(error));
  const message = /^gpu: the package gpu\.js is not installed; this device needs gpu\.js 2\.24\.1$/;
  await assert.rejects(load(missing), isDeviceError(message));
  await assert.rejects(load(broken), isDeviceError(/^gpu: the package gpu\.js does not load;/));
  await assert.rejects(loadGpuJs(() => Promise.resolve({ GPU: 1 })), isDeviceError(/^gpu: the package gpu\.js does/));
});

test("gpu: the package is found as bundlers and as its build for browsers give it", { skip }, async (t) => {
  const gpujs = await loadGpuJs();
  assert.equal(await loadGpuJs(() => Promise.resolve({ default: gpujs })), gpujs);
  Object.assign(globalThis, { GPU: gpujs });
  t.after(() => Reflect.deleteProperty(globalThis, "GPU"));
  assert.equal(await loadGpuJs(() => Promise.resolve({})), gpujs);
});

test("gpu: a device without the mode, or with another one in its place, is refused", { skip }, async () => {
  const gpujs = await loadGpuJs();
  class Other extends gpujs.GPU {
    constructor() {
      super({ mode: "cpu" });
    }
  }
  await assert.rejects(
    check(new HostDevice({ ...gpujs, GPU: Other }, "webasm")),
    isDeviceError(/^gpu: mode webasm cannot do a trial, cpu took over/),
  );
  class Wavering extends gpujs.GPU {
    #kernels = 0;
    override createKernel(...from: Parameters<Gpu["createKernel"]>): Kernel {
      return this.#kernels++ === 0 ? super.createKernel(...from) : new gpujs.GPU({ mode: "cpu" }).createKernel(...from);
    }
  }
  const wavering = new HostDevice({ ...gpujs, GPU: Wavering }, "webasm");
  await check(wavering);
  assert.throws(
    () => sum(new Runtime(new GpuBackend(wavering)).tensor([1, 2])),
    isDeviceError(/^gpu: mode webasm cannot do sum, cpu took over/),
  );
  assert.throws(
    () => new HostDevice(gpujs, "webgl" as "cpu"),
    isDeviceError(/^gpu: gpu\.js cannot run in mode webgl here$/),
  );
});

/** `assign` with other kernels. */
function altered(name: string, body: string, reads = 1): Operation<Record<never, never>> {
  const pass: Pass = {
    threads: [2],
    reads: Object.fromEntries(Array.from({ length: reads }, (_, i) => [`a${i}`, { input: 1 }])),
    body,
  };
  const gpu: GpuKernel<Record<never, never>> = () => ({ passes: [pass], results: [0] });
  return { ...copyInto, name, gpu };
}

for (const device of hostDevices) {
  const mode = device.name.split(", ")[1]!;
  const run = (runtime: Runtime, operation: Operation<Record<never, never>>): Tensor => {
    const variable = runtime.variable([0, 0], [2]);
    runtime.run(operation, [variable, runtime.tensor([1, 2])], { attributes: {} });
    return variable;
  };

  test(`${device.name}: the description says what runs`, { skip }, async () => {
    const runtime = await runtimeOf(device);
    assert.equal(runtime.device, "gpu");
    assert.match(runtime.description, new RegExp(`^gpu: gpu\\.js in mode ${mode} \\(.* on the processor, .*\\)$`));
  });

  test(`${device.name}: what it cannot do is an error that names mode and operation`, { skip }, async (t) => {
    const runtime = await runtimeOf(device);
    const cannot = (name: string, why: string): ((error: unknown) => boolean) =>
      isDeviceError(new RegExp(`^gpu: mode ${mode} cannot do ${name}${why}`));
    // gpu.js says on the console that a kernel does not compile.
    t.mock.method(console, "error", () => {});
    const local = altered("locals", "const list = [1, 2]; list[0] = a0[this.thread.x]; return list[0];");
    if (mode === "webasm") assert.throws(() => run(runtime, local), cannot("locals", ": Error: WebAssembly backend"));
    assert.throws(() => run(runtime, altered("nonsense", "return (;")), cannot("nonsense", ": "));
    const copy = "return a0[this.thread.x];";
    assert.throws(() => run(runtime, altered("copy", copy, 8)), isDeviceError(/at most 7 arrays, got 8$/));
    assert.deepEqual([...(await run(runtime, altered("copy", copy, 7)).read())], [1, 2]);
  });

  test(`${device.name}: indices outside, and ints that float32 does not hold, are refused`, { skip }, async () => {
    const runtime = await runtimeOf(device);
    const table = runtime.tensor([1, 2, 3]);
    for (const index of [-1, 3]) {
      assert.throws(
        () => gather(table, runtime.tensor(Int32Array.of(0, index))),
        { name: "RangeError", message: `gather: index ${index} is outside 0 to 2` },
      );
    }
    const whole = runtime.tensor(Int32Array.of(2 ** 24, -(2 ** 24)));
    assert.deepEqual(await whole.read(), Int32Array.of(2 ** 24, -(2 ** 24)));
    const odd = Int32Array.of(2 ** 24 + 1);
    assert.throws(() => runtime.tensor(odd), isDeviceError(/from -2\^24 to 2\^24 there, got 16777217$/));
  });

  test(`${device.name}: numbers come back as they went, and copies are copies`, { skip }, async () => {
    const runtime = await runtimeOf(device);
    const values = Float32Array.from(edges);
    const tensor = runtime.tensor(values);
    const variable = runtime.variable(values, [values.length]);
    values.fill(7);
    (await tensor.read()).fill(8);
    tensor.readSync().fill(8);
    assert.deepStrictEqual(await tensor.read(), Float32Array.from(edges));
    assert.deepStrictEqual(variable.readSync(), Float32Array.from(edges));
  });

  test(`${device.name}: results of the same kernel are different arrays`, { skip }, async () => {
    const runtime = await runtimeOf(device);
    const variable = runtime.variable([1, 2], [2]);
    const { first, second, before } = runtime.step(() => {
      const [x, y] = [runtime.tensor([1, 2], [1, 2]), runtime.tensor([3, 4], [1, 2])];
      const before = multiply(variable, 1);
      const results = [x, y].map((own) => matmul(own, x, { transposeB: true }));
      variable.assign(add(variable, 10));
      variable.assign(add(variable, 10));
      return { first: results[0]!, second: results[1]!, before };
    });
    assert.deepEqual([...(await first.read())], [5]);
    assert.deepEqual([...(await second.read())], [11]);
    assert.deepEqual([...(await before.read())], [1, 2]);
    assert.deepEqual([...(await variable.read())], [21, 22]);
  });

  test(`${device.name}: random programs, overwriting included, give what plain numbers give`, { skip }, async () => {
    const runtime = await runtimeOf(device);
    fc.assert(
      fc.property(programs(["row"]), fc.boolean(), (lines, inStep) => {
        const values: Value[] = variableShapes.map((shape) => {
          const size = shape.reduce((a, b) => a * b, 1);
          const numbers = Array.from({ length: size }, (_, i) => (i % 5) / 2 - 1);
          return { tensor: runtime.variable(numbers, shape), plain: { shape, values: numbers } };
        });
        const check = ({ tensor, plain }: Value): void =>
          assertClose(tensor.readSync(), Array.from(plain.values), 1e-4, "value");
        const body = (): void => {
          runProgram(lines, values, check);
          values.forEach(check);
        };
        if (inStep) runtime.step(body);
        else body();
      }),
      { numRuns: 25 },
    );
  });

  test(`${device.name}: a step compiles nothing after the first, whatever its numbers`, { skip }, async () => {
    const runtime = await device.open();
    const backend = runtime.backend as GpuBackend;
    const w = runtime.variable([0.5, -0.5], [2, 1]);
    const optimizer = sgd([w], { momentum: 0.9 });
    const counts: number[] = [];
    for (let step = 0; step < 4; step++) {
      runtime.step(() => {
        const x = runtime.tensor([step, 1, 1, step], [2, 2]);
        optimizer.update(grad(mean(multiply(matmul(x, w), step + 1)), [w]), 0.1 / (step + 1));
      });
      counts.push(backend.compiled);
    }
    assert.ok(counts[0]! > 3);
    assert.deepEqual(counts, Array(4).fill(counts[0]));
    sum(runtime.tensor([1, 2, 3]));
    assert.ok(backend.compiled > counts[0]!, "another shape is another kernel");
    await runtime.close();
    assert.throws(() => sum(runtime.tensor([1, 2, 3])), isDeviceError(/^gpu: the device is closed$/));
  });
}
