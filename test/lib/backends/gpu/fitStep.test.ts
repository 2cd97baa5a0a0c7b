// One step of `fit` from the same weights, on the gpu device and on wasm: for every model of ours. And what training
// says of the device that it runs on.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createRuntime, multiply, type Runtime, sum, type Tensor } from "../../../../lib/index.ts";
import { add } from "../../../../lib/ops/arithmetic.ts";
import { fit, type FitOptions, glyphs, initialise, networks, readCheckpoint } from "../../../../models/index.ts";
import { kilonet } from "../../../bin/cli.ts";
import { runtimeOf } from "../../runtimes.ts";
import { gpuDevices, skip, skipWebGpu } from "./modes.ts";

const data = { train: glyphs({ count: 8, seed: 5 }) };
/** Plain JavaScript and one thread of WebAssembly are slow, and cnn1024 is large. */
const sizes: Readonly<Record<string, number>> = { lenet5: 1, cnn1024: 1 };

/** All that training remembers after one step: weights, moments, totals. */
async function memoryAfter(options: Omit<FitOptions, "steps" | "checkpoint" | "data">) {
  let saved: Uint8Array | undefined;
  const checkpoint = { save: (bytes: Uint8Array) => void (saved = bytes) };
  await fit({ ...options, data, steps: 1, checkpoint });
  return readCheckpoint(saved!).arrays;
}

const largest = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => Math.max(a, Math.abs(b)), 0);

async function assertSame(
  runtimes: readonly [Runtime, Runtime],
  options: Omit<FitOptions, "steps" | "checkpoint" | "runtime" | "data">,
  tolerance: number,
  which: (name: string) => boolean,
): Promise<void> {
  const [want, got] = await Promise.all(runtimes.map((runtime) => memoryAfter({ ...options, runtime })));
  const compared = want!.filter(({ name }) => which(name));
  assert.ok(compared.length > 0);
  for (const { name, values } of compared) {
    const own = got!.find((array) => array.name === name)!.values;
    const allowed = tolerance * largest(values);
    let apart = 0;
    for (let i = 0; i < values.length; i++) apart = Math.max(apart, Math.abs(own[i]! - values[i]!));
    assert.ok(apart <= allowed, `${name} differs by ${apart}, allowed are ${allowed}`);
  }
}

/** Those with few weights are tried everywhere; training.test.ts has other steps of both LeNets. */
const slow = (name: string): string | false =>
  skipWebGpu === false || ["softmax", "linear"].includes(name) ? skip : "takes long; npm run test:gpu has it";

for (const device of gpuDevices) {
  for (const network of networks) {
    const title = `a step of fit of ${network.name} on ${device.name}: where wasm's goes`;
    test(title, { skip: slow(network.name) }, async () => {
      const runtimes = [await createRuntime({ device: "wasm", threads: 1 }), await runtimeOf(device)] as const;
      const common = { network, batchSize: sizes[network.name] ?? 4, weights: initialise(network, 3) };
      // After one step from rest the velocity is the gradient.
      const sgd = { name: "sgd", momentum: 0.9 } as const;
      await assertSame(runtimes, { ...common, optimizer: sgd }, 1e-5, (name) => name.endsWith(".velocity"));
      // The gradient of sum(w g) is g: the same to the bit on both.
      const loss = {
        name: "given slopes",
        of: ({ trained }: { readonly trained: readonly Tensor[] }): Tensor =>
          trained.map((w) => sum(multiply(w, 0.01))).reduce((all, one) => add(all, one)),
      };
      const isOwn = (name: string): boolean => !name.startsWith("total.");
      await assertSame(runtimes, { ...common, loss, optimizer: { name: "adam" } }, 1e-6, isOwn);
      await runtimes[0].close();
    });
  }
}

const said = [
  { mode: "webasm", skip, backend: /^gpu: gpu\.js in mode webasm \(WebAssembly on the processor/ },
  { mode: "webgpu", skip: skipWebGpu, backend: /^gpu: gpu\.js in mode webgpu \(adapter .+/ },
] as const;
for (const { mode, skip: reason, backend } of said) {
  test(`train on gpu, ${mode}: its log names backend, adapter and driver`, { skip: reason }, async () => {
    const output = join(tmpdir(), `kilonet-${process.pid}-${mode}.knet`);
    const runtime = await createRuntime({ device: "gpu", mode });
    const { description } = runtime;
    await runtime.close();
    assert.match(description, backend);
    const line = ["train", "--model", "softmax", "--epochs", "1", "--batch", "4096", "--no-test", "-o", output];
    const run = (...more: string[]) => kilonet(...line, "--device", "gpu", "--mode", mode, ...more);
    const [text, json] = [await run(), await run("--json")];
    assert.deepEqual([text.status, json.status], [0, 0], text.stderr + json.stderr);
    assert.ok(text.stdout.includes(description), text.stdout);
    const [start, ...rest] = json.stdout.trim().split("\n").map((own) => JSON.parse(own) as Record<string, unknown>);
    assert.deepEqual([start!.event, start!.backend], ["start", description]);
    assert.equal(rest.at(-1)!.backend, description);
    rmSync(output, { force: true });
  });
}
