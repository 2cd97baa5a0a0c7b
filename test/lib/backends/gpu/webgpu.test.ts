// What is only so on a GPU; the laws of operations and the training steps run there too, by `npm run test:gpu`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { add, createRuntime, matmul, multiply, sum } from "../../../../lib/index.ts";
import type { GpuBackend } from "../../../../lib/backends/gpu/backend.ts";
import { type GpuJs, loadGpuJs } from "../../../../lib/backends/gpu/gpujs.ts";
import { DeviceError } from "../../../../lib/errors.ts";
import { kilonet } from "../../../bin/cli.ts";
import { skipWebGpu as skip } from "./modes.ts";

const webgpu = { device: "gpu", mode: "webgpu" } as const;

test("webgpu: the description names the adapter that really runs", { skip }, async (t) => {
  const runtime = await createRuntime(webgpu);
  const { adapter } = await (await loadGpuJs()).WebGPUContext.acquire();
  const { description, vendor } = adapter.info;
  assert.ok(`${description}${vendor}`.length > 0);
  assert.ok(runtime.description.startsWith("gpu: gpu.js in mode webgpu (adapter "));
  assert.ok(runtime.description.includes(description) && runtime.description.includes(vendor));
  assert.match(runtime.description, /; arrays of up to \d+ MiB\)$/);
  const { stdout } = await kilonet("devices", "--json");
  const { devices } = JSON.parse(stdout) as { devices: { mode: string; description: string }[] };
  assert.equal(devices.find(({ mode }) => mode === "webgpu")!.description, runtime.description);
  t.diagnostic(runtime.description);
  await runtime.close();
});

test("webgpu: what overlaps comes in order, also while kernels are compiled", { skip }, async () => {
  const runtime = await createRuntime(webgpu);
  const variable = runtime.variable([1, 2], [2]);
  const early = multiply(variable, 10);
  const reading = variable.read();
  variable.assign([5, 6]);
  const late = multiply(variable, 10);
  const x = runtime.tensor([1, 2], [1, 2]);
  const squares = [x, add(x, 1)].map((own) => matmul(own, own, { transposeB: true }));
  assert.deepEqual([...(await reading)], [1, 2]);
  assert.deepEqual([...(await early.read())], [10, 20]);
  assert.deepEqual([...(await late.read())], [50, 60]);
  assert.deepEqual([...(await squares[0]!.read()), ...(await squares[1]!.read())], [5, 13]);
  await runtime.close();
  assert.equal((runtime.backend as GpuBackend).buffers, 0);
});

test("webgpu: an upload does not overtake kernels of the list that read the buffer before", { skip }, async () => {
  const runtime = await createRuntime(webgpu);
  const [v, x] = [runtime.variable([1, 2], [1, 2]), runtime.variable([1, 0, 0, 1], [2, 2])];
  for (let round = 0; round < 3; round++) {
    const results = runtime.step(() => {
      v.assign([round, 2]);
      const first = matmul(v, x);
      v.assign([10, 20]);
      // Takes the buffer that the first product reads.
      v.assign([30, 40]);
      return [first, matmul(v, x)];
    });
    const found = await Promise.all(results.map(async (result) => [...(await result.read())]));
    assert.deepEqual(found, [[round, 2], [30, 40]]);
  }
  await runtime.close();
});

test("webgpu: a list longer than there is room for is sent in parts", { skip }, async () => {
  const runtime = await createRuntime(webgpu);
  const identity = runtime.tensor([1, 0, 0, 1], [2, 2]);
  const counted = runtime.step(() => {
    let x = runtime.tensor([1, 2], [1, 2]);
    for (let i = 0; i < 700; i++) x = add(matmul(x, identity), 1);
    return x;
  });
  assert.deepEqual([...(await counted.read())], [701, 702]);
  await runtime.close();
});

test("webgpu: no loop is cut, by its text", { skip }, async () => {
  const gpujs = await loadGpuJs();
  const sources: string[] = [];
  const { createKernel } = gpujs.GPU.prototype as InstanceType<GpuJs["GPU"]>;
  type Settings = Parameters<typeof createKernel>;
  gpujs.GPU.prototype.createKernel = function (this: InstanceType<GpuJs["GPU"]>, ...from: Settings) {
    const made = createKernel.apply(this, from);
    const { kernel } = made as unknown as { kernel: { assembleWGSL(): string } };
    const assemble = kernel.assembleWGSL.bind(kernel);
    kernel.assembleWGSL = () => sources[sources.push(assemble()) - 1]!;
    return made;
  };
  try {
    const runtime = await createRuntime(webgpu);
    const ones = runtime.tensor(new Float32Array(5000).fill(1), [2, 2500]);
    assert.deepEqual([...(await sum(matmul(ones, ones, { transposeB: true })).read())], [10000]);
    await runtime.close();
  } finally {
    gpujs.GPU.prototype.createKernel = createKernel;
  }
  assert.ok(sources.length >= 3 && sources.some((source) => /user_p<2500/.test(source)), sources.join());
  for (const source of sources) assert.doesNotMatch(source, /LOOP_MAX/);
});

// The last one: the device is shared by all runtimes of the process.
test("webgpu: a lost device is said at the next use", { skip }, async () => {
  const runtime = await createRuntime(webgpu);
  const x = runtime.tensor([1, 2]);
  await (await loadGpuJs()).WebGPUContext.destroy();
  await new Promise((resolve) => setTimeout(resolve, 50));
  const isLost = (error: unknown): boolean =>
    error instanceof DeviceError && /^gpu: the device was lost \(/.test(error.message);
  await assert.rejects(x.read(), isLost);
  assert.throws(() => sum(x), isLost);
  await runtime.close();
});
