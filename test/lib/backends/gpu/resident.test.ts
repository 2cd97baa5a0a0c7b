// A training step stays on the device: what travels is counted, in the steps of `fit` themselves.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openCheckpoint } from "../../../../bin/checkpoint.ts";
import { exitCode } from "../../../../bin/errors.ts";
import { reportTo } from "../../../../bin/report.ts";
import { createRuntime } from "../../../../lib/index.ts";
import { GpuBackend } from "../../../../lib/backends/gpu/backend.ts";
import { loadGpuJs } from "../../../../lib/backends/gpu/gpujs.ts";
import { WebGpuDevice } from "../../../../lib/backends/gpu/webGpuDevice.ts";
import { DeviceError } from "../../../../lib/errors.ts";
import { Runtime } from "../../../../lib/runtime.ts";
import { fit, type FitOptions } from "../../../../models/index.ts";
import { smallData, smallNetwork } from "../../../models/small.ts";
import { skip as skipGpuJs, skipWebGpu } from "./modes.ts";

const dawn = await import("webgpu").catch(() => null);
const skip = skipGpuJs !== false ? skipGpuJs : dawn === null ? "the package webgpu does not load here" : false;

/** Dawn's null adapter, which needs no driver: calls are checked, nothing is computed. */
async function nullRuntime(): Promise<Runtime> {
  const gpu = dawn!.create(["backend=null"]);
  if (globalThis.navigator === undefined) Object.assign(globalThis, { navigator: { gpu } });
  else Object.defineProperty(globalThis.navigator, "gpu", { value: gpu, configurable: true });
  const device = await WebGpuDevice.open(await loadGpuJs());
  const read = device.read.bind(device);
  // What it reads back is whatever lay there.
  device.read = async (numbers) => (await read(numbers)).fill(0);
  return new Runtime(new GpuBackend(device));
}

const network = smallNetwork();
const size = 2;

interface Seen {
  readonly step: number;
  readonly uploads: number;
  readonly numbers: number;
  readonly reads: number;
  readonly held: readonly number[];
}

/** What had travelled at every pause of a training, none of which ends an epoch. The clock stands still. */
async function watch(runtime: Runtime, steps: number, change: Partial<FitOptions> = {}): Promise<Seen[]> {
  const backend = runtime.backend as GpuBackend;
  const seen: Seen[] = [];
  await fit({
    runtime,
    network,
    data: { train: smallData(size * (steps + 1)) },
    steps,
    batchSize: size,
    clock: () => 0,
    onProgress: ({ step }) =>
      void seen.push({ step, ...backend.traffic, held: [backend.buffers, backend.compiled] }),
    ...change,
  });
  return seen;
}

function assertResident(seen: readonly Seen[], steps: number): void {
  assert.deepEqual(seen.slice(0, 4).map(({ step }) => step), [4, 12, 28, 60]);
  assert.equal(seen.at(-1)!.step, steps);
  seen.slice(1).forEach((now, i) => {
    const before = seen[i]!;
    const done = now.step - before.step;
    assert.ok(done >= 4, "a reading every few steps at most");
    assert.equal(now.uploads - before.uploads, done, "a step sends one array");
    assert.equal(now.numbers - before.numbers, done * size, "the numbers of its pictures");
    assert.equal(now.reads - before.reads, 1, "loss and hits are one reading");
  });
}

test("fit on gpu, webasm: a step sends the numbers of its pictures alone", { skip }, async () => {
  const runtime = await createRuntime({ device: "gpu", mode: "webasm" });
  assertResident(await watch(runtime, 60), 60);
  const augmentation = { copies: 2, original: 0.5 };
  assertResident(await watch(runtime, 60, { augmentation }), 60);
  await runtime.close();
});

/** As many as there is time for: all of them under `npm run test:gpu`. */
const steps = skipWebGpu === false ? 5000 : 600;

test(`fit on gpu, webgpu: ${steps} steps, and as many buffers and kernels as before`, { skip }, async () => {
  const runtime = await nullRuntime();
  const seen = await watch(runtime, steps);
  assertResident(seen, steps);
  // The first steps queue up while their kernels are compiled.
  for (const { held } of seen.slice(4)) assert.deepEqual(held, seen[3]!.held);
  await runtime.close();
});

test("fit on gpu: more pictures than a device is to hold are refused before any work", { skip }, async () => {
  const runtime = await createRuntime({ device: "gpu", mode: "webasm" });
  const { traffic } = runtime.backend as GpuBackend;
  const before = { ...traffic };
  const augmentation = { copies: 2 ** 20 - 1 };
  const asked = "^fit: gatherBytes is asked for 1006632960 bytes, 20971520 pictures, and takes ";
  const message = new RegExp(`${asked}.* 16777216 pictures at most on gpu: gpu\\.js in mode webasm`);
  const refused = (error: unknown): boolean => error instanceof DeviceError && message.test(error.message);
  await assert.rejects(
    fit({ runtime, network, data: { train: smallData(20) }, steps: 1, augmentation }),
    refused,
  );
  assert.deepEqual(traffic, before);
  await runtime.close();
});

// The last one: the device is shared by all runtimes of the process.
test("fit on gpu, webgpu: a lost device leaves the checkpoint, says so, and wasm goes on", { skip }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "kilonet-"));
  try {
    const runtime = await nullRuntime();
    const gpujs = await loadGpuJs();
    const file = await openCheckpoint({ output: join(folder, "small.knet") }, reportTo({ json: true }));
    const data = { train: smallData(40) };
    const options = { network, data, steps: 100, batchSize: size, clock: () => 0 } as const;
    const lost = file.keeping(
      fit({
        ...options,
        runtime,
        checkpoint: { every: 10, save: (bytes) => file.save(bytes) },
        onProgress: ({ step }) => {
          if (step >= 40) void gpujs.WebGPUContext.destroy();
        },
      }),
    );
    const left = "ckpt holds the training; the same command with --resume goes on, on another --device too";
    const message = new RegExp(`^gpu: the device was lost \\(mode webgpu, .*${left}$`);
    await assert.rejects(lost, (error: unknown) => {
      assert.ok(error instanceof DeviceError);
      assert.match(error.message, message);
      assert.equal(exitCode(error), 1);
      return true;
    });
    await runtime.close();
    const resume = new Uint8Array(await readFile(file.path));
    const wasm = await createRuntime({ device: "wasm", threads: 1 });
    const { steps, history } = await fit({ ...options, runtime: wasm, resume });
    assert.equal(steps, 100);
    assert.ok(history.length === 5 && history.every(({ loss }) => Number.isFinite(loss)));
    await wasm.close();
  } finally {
    await rm(folder, { recursive: true });
  }
});
