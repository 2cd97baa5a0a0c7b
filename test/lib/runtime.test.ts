import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createRuntime } from "../../lib/createRuntime.ts";
import { grad } from "../../lib/grad.ts";
import { relu } from "../../lib/ops/activations.ts";
import { add, exp, multiply } from "../../lib/ops/arithmetic.ts";
import { gather } from "../../lib/ops/gather.ts";
import { concat, reshape } from "../../lib/ops/layout.ts";
import { matmul } from "../../lib/ops/matmul.ts";
import { broadcastTo, sum } from "../../lib/ops/sum.ts";
import { sgd } from "../../lib/optimizers/sgd.ts";
import { Runtime } from "../../lib/runtime.ts";
import type { Tensor } from "../../lib/tensor.ts";
import { devices, exactRuntime, runtimeOf, SpyBackend } from "./runtimes.ts";

const ended = /: got a tensor \[2\] of a step that has ended; return it from the step to keep it$/;

for (const device of devices) {
  test(`tensors on ${device.name} hold what they were given, in shape and type`, async () => {
    const runtime = await runtimeOf(device);
    const given = [1, 2, 3, 4, 5, 6];
    const floats = Float32Array.from(given);
    const inStep = <T>(body: () => T): T => runtime.step(body);
    for (const around of [<T>(body: () => T) => body(), inStep]) {
      const { a, b, c, d } = around(() => ({
        a: runtime.tensor(given, [2, 3]),
        b: runtime.tensor(floats),
        c: runtime.tensor(Int32Array.of(-5, 2 ** 31 - 1)),
        d: runtime.tensor(7),
      }));
      assert.deepEqual([a.shape, b.shape, c.shape, d.shape], [[2, 3], [6], [2], []]);
      assert.deepEqual([a.type, b.type, c.type, d.type], ["float", "float", "int", "float"]);
      assert.deepEqual([...(await a.read())], given);
      assert.deepEqual(await c.read(), Int32Array.of(-5, 2 ** 31 - 1));
      assert.deepEqual([...(await d.read())], [7]);
      floats[0] = 99;
      assert.equal((await b.read())[0], 1, "the numbers were copied");
      floats[0] = 1;
      (await b.read()).fill(0);
      assert.equal((await b.read())[0], 1, "and are copied when read");
    }
    assert.throws(() => runtime.tensor([1, 2, 3], [2, 2]), {
      name: "ShapeError",
      message: "tensor: [2, 2] needs 4 values, got 3",
    });
    assert.throws(() => runtime.tensor([]), { name: "ShapeError" });
    assert.throws(() => runtime.variable([1], [2], "w"), { message: "w: [2] needs 2 values, got 1" });
  });

  test(`a step on ${device.name} copies out what it returns: tensors, in lists and plain objects too`, async () => {
    const runtime = await runtimeOf(device);
    const w = runtime.variable([5, 6], [2]);
    const held = runtime.tensor([7]);
    const result = runtime.step(() => {
      const x = runtime.tensor([1, -2]);
      const y = relu(x);
      const deep = { sum: add(x, y), view: reshape(y, [2, 1]) };
      return { y, both: [x, deep], w, held, text: "loss", none: null, n: 3 };
    });
    // Another step writes over the arena.
    runtime.step(() => sum(exp(runtime.tensor(new Float32Array(1000).fill(3)))));
    assert.deepEqual([...(await result.y.read())], [1, 0]);
    const [x, { sum: deep, view }] = result.both as [Tensor, { sum: Tensor; view: Tensor }];
    assert.deepEqual([...(await x.read())], [1, -2]);
    assert.deepEqual([...(await deep.read())], [2, -2]);
    assert.deepEqual([view.shape, [...(await view.read())]], [[2, 1], [1, 0]]);
    assert.equal(result.w, w);
    assert.equal(result.held, held);
    assert.deepEqual([result.text, result.none, result.n], ["loss", null, 3]);
    assert.deepEqual([...(await runtime.step(() => sum(result.y)).read())], [1], "and may be used in another step");
    assert.equal(runtime.step(() => 5), 5);
    assert.equal(runtime.step(() => undefined), undefined);
  });

  test(`a tensor of a step that has ended on ${device.name} is refused, whatever is done with it`, async () => {
    const runtime = await runtimeOf(device);
    const w = runtime.variable([1, 2], [2]);
    const optimizer = sgd([w]);
    let computed!: Tensor;
    let pending!: Tensor;
    runtime.step(() => {
      computed = runtime.tensor([1, 2]);
      pending = add(computed, 1);
    });
    for (const tensor of [computed, pending]) {
      const uses: (() => unknown)[] = [
        () => tensor.readSync(),
        () => add(tensor, 1),
        () => add(w, tensor),
        () => sum(tensor),
        () => reshape(tensor, [2, 1]),
        () => broadcastTo(tensor, [3, 2]),
        () => concat([w, tensor]),
        () => w.assign(tensor),
        () => grad(tensor, [w]),
        () => grad(sum(w), [tensor]),
        () => optimizer.update([tensor], 0.1),
        () => runtime.step(() => tensor),
        () => runtime.step(() => relu(tensor)),
      ];
      for (const use of uses) assert.throws(use, { name: "DeviceError", message: ended }, String(use));
      await assert.rejects(tensor.read(), { name: "DeviceError", message: ended });
    }
    assert.deepEqual([...(await w.read())], [1, 2]);
  });

  test(`variables on ${device.name} outlive steps, also those made inside one`, async () => {
    const runtime = await runtimeOf(device);
    const w = runtime.variable([1, 2], [2]);
    const made = runtime.step(() => {
      w.assign(add(w, 1));
      const inside = runtime.variable([7, 8], [2], "inside");
      inside.assign(add(inside, w));
      return inside;
    });
    runtime.step(() => sum(exp(runtime.tensor(new Float32Array(1000)))));
    assert.deepEqual([...(await w.read())], [2, 3]);
    assert.deepEqual([...(await made.read())], [9, 11]);
    made.assign([4, 5]);
    assert.deepEqual([...(await made.read())], [4, 5]);
    assert.throws(() => made.assign([1, 2, 3]), { name: "ShapeError", message: "inside: [2] needs 2 values, got 3" });
    assert.throws(() => made.assign(runtime.tensor([1])), {
      name: "ShapeError",
      message: "assign: the parameter is [2], got [1] beside it",
    });
    assert.throws(() => made.assign(runtime.tensor(Int32Array.of(1, 2))), {
      name: "ShapeError",
      message: "assign: the variable holds floats, got ints",
    });
  });

  test(`a variable on ${device.name} changes; what was made from it does not`, async () => {
    const runtime = await runtimeOf(device);
    for (const around of [<T>(body: () => T) => body(), <T>(body: () => T) => runtime.step(body)]) {
      const w = runtime.variable([1, 2, 3, 4], [4]);
      const made = around(() => {
        const view = reshape(w, [2, 2]);
        const viewOfView = reshape(view, [4, 1]);
        const used = multiply(view, 10);
        const row = broadcastTo(w, [1, 4]);
        w.assign([5, 6, 7, 8]);
        w.assign(add(w, 1));
        return [view, viewOfView, row, used, reshape(w, [2, 2])];
      });
      const read = await Promise.all(made.map(async (tensor) => [...(await tensor.read())]));
      assert.deepEqual(read, [[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4], [10, 20, 30, 40], [6, 7, 8, 9]]);
    }
    const indices = runtime.variable(Int32Array.of(3, 1), [2]);
    const view = reshape(indices, [1, 2]);
    indices.assign([0, 0]);
    assert.deepEqual(await view.read(), Int32Array.of(3, 1));
  });

  test(`an exception inside a step on ${device.name} leaves the runtime as it was`, async () => {
    const runtime = await runtimeOf(device);
    const w = runtime.variable([1, 2], [2]);
    const fault = new Error("the caller's own");
    const faults: (() => unknown)[] = [
      () => {
        relu(w);
        throw fault;
      },
      () => matmul(w, w),
      () => gather(w, runtime.tensor(Int32Array.of(9))),
      () => grad(w, [w]),
    ];
    for (const body of faults) {
      assert.throws(() => runtime.step(body));
      assert.equal(runtime.stepping, false);
      const y = runtime.step(() => sum(multiply(w, 2)));
      assert.deepEqual([...(await y.read())], [6]);
      assert.deepEqual([...(await grad(sum(multiply(w, w)), [w])[0]!.read())], [2, 4], "and what is done is recorded");
    }
    assert.throws(() => runtime.step(faults[0]!), fault, "the caller's error comes through");
  });

  test(`${device.name} says what runs`, async () => {
    const runtime = await runtimeOf(device);
    const [name, threads] = device.name.split(", ");
    assert.equal(runtime.device, name);
    assert.match(runtime.description, new RegExp(`^${name}\\b.*\\b${threads ?? "1 thread"}`));
  });
}

test("steps do not nest, and a step knows that it runs", () => {
  const runtime = exactRuntime();
  const message = "step: a step is already running, and steps do not nest";
  runtime.step(() => {
    assert.ok(runtime.stepping);
    const x = runtime.tensor([1, 2]);
    assert.throws(() => runtime.step(() => 1), { name: "DeviceError", message });
    assert.deepEqual([...add(x, 1).readSync()], [2, 3], "the outer step goes on");
  });
  assert.ok(!runtime.stepping);
});

test("a step's callback is synchronous: a promise is refused, and its own failure is no second report", async () => {
  const runtime = exactRuntime();
  let later!: () => void;
  const wait = new Promise<void>((resolve) => (later = resolve));
  let after: unknown;
  assert.throws(
    () =>
      runtime.step(async () => {
        const x = runtime.tensor([1, 2]);
        await wait;
        try {
          add(x, 1);
        } catch (error) {
          after = error;
          throw error;
        }
      }),
    { name: "DeviceError", message: "step: the callback must be synchronous, got one that returns a promise" },
  );
  assert.equal(runtime.stepping, false);
  later();
  // An unhandled rejection would end the test run.
  await new Promise((resolve) => setImmediate(resolve));
  assert.match(String(after), ended, "what it does after waiting is outside the step");
});

test("memory settles: from the second step on the arena is one block, and outside a step nothing stays in it", () => {
  const backend = new SpyBackend();
  const runtime = new Runtime(backend);
  const w = runtime.variable(new Float32Array(300 * 100), [300, 100]);
  const train = (): Tensor =>
    runtime.step(() => {
      const x = runtime.tensor(new Float32Array(64 * 300).fill(0.5), [64, 300]);
      const loss = sum(relu(matmul(x, w)));
      const [gradient] = grad(loss, [w]);
      w.assign(add(w, multiply(gradient!, -0.1)));
      return loss;
    });
  train();
  assert.ok(backend.memory.size > 1, "the first step takes what it needs");
  backend.forget();
  train();
  assert.equal(backend.memory.size, 1);
  const [block] = backend.memory;
  for (let i = 0; i < 5; i++) train();
  assert.deepEqual([...backend.memory], [block], "and every step after it reuses that");
  assert.equal(backend.resets, 6, "each step resets the arena once");

  backend.forget();
  const x = runtime.tensor([1, 2]);
  const y = sum(relu(add(x, 1)));
  assert.equal(backend.resets, 3, "outside, every operation is a step of its own");
  const own = (y.storage as unknown as { data: Float64Array }).data.buffer;
  assert.ok(!backend.memory.has(own), "whose result is held outside the arena");
  assert.equal(own.byteLength, 8, "in an array of its size");
});

test("operations run when called: an error's stack leads to the caller", () => {
  const runtime = exactRuntime();
  const careless = (): Tensor => matmul(runtime.tensor([1, 2]), runtime.tensor([1, 2]));
  for (const around of [careless, () => runtime.step(careless)]) {
    assert.throws(around, (error: Error) => /\bcareless\b/.test(error.stack!));
  }
});

test("tensors of two runtimes do not meet", () => {
  const [one, two] = [exactRuntime(), exactRuntime()];
  const [a, b] = [one.tensor([1, 2]), two.tensor([1, 2])];
  const w = one.variable([1, 2], [2]);
  const uses: [string, () => unknown][] = [
    ["add", () => add(a, b)],
    ["matmul", () => matmul(reshape(a, [1, 2]), reshape(b, [2, 1]))],
    ["concat", () => concat([a, b])],
    ["gather", () => gather(a, two.tensor(Int32Array.of(0)))],
    ["assign", () => w.assign(b)],
    ["sgdUpdate", () => sgd([w]).update([b], 1)],
    ["grad", () => grad(sum(a), [b])],
  ];
  for (const [name, use] of uses) {
    assert.throws(use, { name: "DeviceError", message: `${name}: got tensors of two runtimes` });
  }
  const both = one.step(() => [relu(a), two.step(() => relu(b))]);
  const read = both.map((tensor) => [...tensor.readSync()]);
  assert.deepEqual(read, [[1, 2], [1, 2]], "their steps do not disturb each other");
});

/** Lets the collector run, and says whether all of `references` are gone. */
async function collected(references: readonly WeakRef<object>[]): Promise<boolean> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let i = 0; i < 20 && references.some((reference) => reference.deref() !== undefined); i++) {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
  }
  return references.every((reference) => reference.deref() === undefined);
}

test("what a step returns does not keep its tape alive, and what nobody holds outside is collected", async () => {
  const runtime = exactRuntime();
  const w = runtime.variable([1, 2], [2]);
  const gone: WeakRef<object>[] = [];
  const watch = <T extends object>(value: T): T => {
    gone.push(new WeakRef(value));
    return value;
  };
  const kept = runtime.step(() => {
    const x = watch(runtime.tensor([3, 4]));
    const y = watch(multiply(w, x));
    return { y, loss: sum(watch(relu(y))), view: reshape(y, [2, 1]) };
  });
  (() => watch(sum(watch(relu(watch(runtime.tensor([1, 2])))))).readSync())();
  assert.ok(await collected(gone));
  assert.equal(kept.loss.readSync()[0], 11);
});

test("createRuntime says what it can, and swaps nothing", async () => {
  const runtime = await createRuntime({ device: "reference", precision: "float64" });
  assert.match(runtime.description, /float64/);
  assert.deepEqual([...add(runtime.tensor(0.1), 0.2).readSync()], [0.1 + 0.2]);
  assert.match((await createRuntime({ device: "reference" })).description, /float32/);
  await assert.rejects(createRuntime({ device: "tpu" as "reference" }), {
    name: "DeviceError",
    message: /there is no device "tpu"/,
  });
});
