import { after, test } from "node:test";
import assert from "node:assert/strict";
import { createRuntime, type RuntimeOptions } from "../../../../lib/createRuntime.ts";
import { DeviceError } from "../../../../lib/errors.ts";
import { createWasmBackend, WasmBackend, type WasmOptions } from "../../../../lib/backends/wasm/backend.ts";
import { Memory } from "../../../../lib/backends/wasm/memory.ts";
import { controlBytes, Pool } from "../../../../lib/backends/wasm/pool.ts";
import type { Backend } from "../../../../lib/backends/backend.ts";
import { add, input, scalar } from "../../../../lib/expression.ts";
import * as kilonet from "../../../../lib/index.ts";
import { Runtime } from "../../../../lib/runtime.ts";
import { numbers } from "../../wasm/workbench.ts";

const open: { close(): Promise<void> }[] = [];
after(() => Promise.all(open.map((one) => one.close())));

async function runtimeOf(options: RuntimeOptions): Promise<Runtime> {
  const runtime = await createRuntime({ device: "wasm", ...options });
  open.push(runtime);
  return runtime;
}

async function backendOf(options: WasmOptions = { threads: 1 }): Promise<Backend> {
  const backend = await createWasmBackend(options);
  open.push(backend);
  return backend;
}

/** One thread and 8 MiB. */
function smallBackend(): WasmBackend {
  const memory = new Memory({ shared: false, reserved: controlBytes(1) + 8192, largest: 8 << 20 });
  const pool = new Pool(memory, { threads: 1, system: null, relaxed: false });
  return new WasmBackend(memory, pool, Math.ceil(controlBytes(1) / 64) * 64, "small");
}

/** Adds a number to all of `x`, in the arena. */
function plus(backend: Backend, x: ReturnType<Backend["hold"]>, value: number): ReturnType<Backend["hold"]> {
  const output = backend.allocate("float", x.length);
  const [shape, expression] = [[x.length], add(input(0), scalar(0))];
  backend.elementwise({ expression, shape, inputs: [x], inputShapes: [shape], scalars: [value], output });
  return output;
}

test("held numbers, variables and the arena", async () => {
  const backend = await backendOf();
  const given = [1, 2, 3];
  const held = backend.hold("float", given);
  const variable = backend.variable("float", [10, 20, 30]);
  const labels = backend.hold("int", [2 ** 31 - 1, -1]);
  given[0] = 99;
  assert.deepEqual(backend.readSync(held), Float32Array.of(1, 2, 3));
  assert.deepEqual(backend.readSync(labels), Int32Array.of(2 ** 31 - 1, -1));
  for (let step = 0; step < 3; step++) {
    const made = plus(backend, held, 0.5);
    assert.deepEqual(await backend.read(made), Float32Array.of(1.5, 2.5, 3.5));
    // Enough to make the memory grow under what was placed before.
    backend.allocate("float", 1 << (18 + 2 * step));
    assert.deepEqual(backend.readSync(plus(backend, variable, step)), Float32Array.of(10 + step, 20 + step, 30 + step));
    assert.deepEqual(backend.readSync(made), Float32Array.of(1.5, 2.5, 3.5));
    const kept = backend.keep(made);
    backend.reset();
    assert.deepEqual(backend.readSync(kept), Float32Array.of(1.5, 2.5, 3.5));
    assert.throws(() => backend.readSync(made), DeviceError);
  }
  backend.write(variable, [7, 8, 9]);
  backend.variable("float", new Float32Array(3 << 20));
  assert.deepEqual(backend.readSync(variable), Float32Array.of(7, 8, 9));
  assert.throws(() => backend.write(held, [1, 2, 3]), DeviceError);
});

test("an expression takes the scalars it names from those it is given", async () => {
  const backend = await backendOf();
  const [x, y] = [backend.hold("float", [1, 2, 3, 4, 5, 6]), backend.hold("float", [10, 20, 30])];
  const output = backend.allocate("float", 6);
  const expression = add(add(input(0), input(1)), scalar(1));
  const call = { expression, shape: [2, 3], inputs: [x, y], inputShapes: [[2, 3], [3]], output };
  backend.elementwise({ ...call, scalars: [7, 100, 8, 9] });
  assert.deepEqual(backend.readSync(output), Float32Array.of(111, 122, 133, 114, 125, 136));
});

test("scratch memory is there for one operation only", () => {
  const runtime = new Runtime(smallBackend());
  const updates = runtime.variable(numbers(50_000, 1), [50_000]);
  const indices = runtime.variable(new Int32Array(50_000), [50_000]);
  // 150 results of 20,000 bytes each fit; 150 times the scratch memory, of 120,000, would not.
  runtime.step(() => {
    for (let i = 0; i < 150; i++) kilonet.scatterAdd(updates, indices, 5000);
  });
});

test("options that make no sense are refused", async () => {
  for (const threads of [0, 1.5, -1, 65, NaN]) await assert.rejects(createWasmBackend({ threads }), RangeError);
  await assert.rejects(createWasmBackend({ precision: "half" as "fast" }), RangeError);
});

test("the description says what runs", async () => {
  assert.equal((await backendOf({ threads: 1 })).description, "wasm: SIMD, deterministic, 1 thread");
  assert.equal((await backendOf({ threads: 3 })).description, "wasm: SIMD, deterministic, 3 threads");
  assert.match((await backendOf({ threads: 1, precision: "fast" })).description, /relaxed SIMD/);
});

test("too much memory is one clear error, after which smaller tensors still fit", () => {
  const backend = smallBackend();
  const held = backend.hold("float", [1]);
  for (let step = 0; step < 3; step++) {
    assert.throws(() => {
      for (;;) backend.allocate("float", 1 << 18);
    }, /DeviceError: wasm: out of memory, 1.0 MiB more were asked for with \d\.\d MiB in use and 8.0 MiB allowed/);
    backend.reset();
    assert.deepEqual(backend.readSync(plus(backend, held, step)), Float32Array.of(1 + step));
  }
});

/** Some steps of a small network with convolution, pooling, dropout and Adam, large enough for many tiles. */
async function train(options: RuntimeOptions): Promise<Float32Array[]> {
  const { adam, conv2d, crossEntropy, dropout, grad, matmul, maxPool2d, mean, reshape } = kilonet;
  const runtime = await runtimeOf(options);
  const shapes = [[5, 5, 1, 8], [8], [8 * 12 * 12, 100], [100], [100, 10]];
  const parameters = shapes.map((shape, i) => {
    const size = shape.reduce((product, axis) => product * axis, 1);
    return runtime.variable(numbers(size, i).map((value) => value * 0.05), shape, `parameter ${i}`);
  });
  const [filter, offset, first, bias, last] = parameters as [
    kilonet.Variable, kilonet.Variable, kilonet.Variable, kilonet.Variable, kilonet.Variable,
  ];
  const optimizer = adam(parameters);
  const batch = 48;
  const labels = Int32Array.from({ length: batch }, (_, i) => (i * 7) % 10);
  const key = kilonet.seedKey(1);
  for (let step = 0; step < 4; step++) {
    runtime.step(() => {
      const images = runtime.tensor(numbers(batch * 784, step), [batch, 28, 28, 1]);
      const features = maxPool2d(conv2d(images, filter, { bias: offset, activation: "relu" }), 2);
      const hidden = matmul(reshape(features, [batch, -1]), first, { bias, activation: "relu" });
      const kept = dropout(hidden, 0.5, { key, stream: kilonet.STREAMS.dropout, block: step });
      const loss = mean(crossEntropy(matmul(kept, last), runtime.tensor(labels)));
      optimizer.update(grad(loss, parameters), 0.001);
    });
  }
  return parameters.map((parameter) => parameter.readSync() as Float32Array);
}

test("training gives the same bits for 1, 2 and 8 threads", async () => {
  const alone = await train({ threads: 1 });
  assert.ok(alone.every((values) => values.every(Number.isFinite)));
  for (const threads of [2, 8]) assert.deepEqual(await train({ threads }), alone);
});

test("training comes out as on the reference backend", async () => {
  const [fast, slow] = [await train({ threads: 1 }), await train({ device: "reference", precision: "float64" })];
  fast.forEach((values, i) => {
    const worst = values.reduce((most, value, j) => Math.max(most, Math.abs(value - slow[i]![j]!)), 0);
    // Four steps of Adam move a parameter by 0.004 at most.
    assert.ok(worst < 4e-4, `parameter ${i} is off by ${worst}`);
  });
});

test("10,000 small steps grow the process by less than 5 MiB", async () => {
  const { adam, crossEntropy, grad, matmul, mean } = kilonet;
  const runtime = await runtimeOf({ threads: 2 });
  const weight = runtime.variable(numbers(20, 1), [10, 2], "weight");
  const bias = runtime.variable(numbers(2, 2), [2], "bias");
  const optimizer = adam([weight, bias]);
  const [x, labels] = [numbers(20, 3), Int32Array.of(0, 1)];
  const steps = (count: number): void => {
    for (let i = 0; i < count; i++) {
      runtime.step(() => {
        const hidden = matmul(runtime.tensor(x, [2, 10]), weight, { bias, activation: "relu" });
        optimizer.update(grad(mean(crossEntropy(hidden, runtime.tensor(labels))), [weight, bias]), 0.001);
      });
    }
  };
  // The collector takes memory in large strides of its own; what leaks grows in every stretch of steps.
  steps(10_000);
  const grown: number[] = [];
  for (let stretch = 0; stretch < 4 && !(grown.at(-1)! < 5); stretch++) {
    const before = process.memoryUsage().rss;
    steps(10_000);
    grown.push((process.memoryUsage().rss - before) / 2 ** 20);
  }
  assert.ok(grown.at(-1)! < 5, `the process grew by ${grown.map((size) => size.toFixed(1)).join(", ")} MiB`);
});
