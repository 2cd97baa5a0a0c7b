import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { topological } from "../../../lib/expression.ts";
import { grad } from "../../../lib/grad.ts";
import { relu } from "../../../lib/ops/activations.ts";
import { add, exp, less, multiply, square, subtract, where } from "../../../lib/ops/arithmetic.ts";
import { dropout } from "../../../lib/ops/draws.ts";
import { reshape } from "../../../lib/ops/layout.ts";
import { broadcastTo, sum } from "../../../lib/ops/sum.ts";
import { adam } from "../../../lib/optimizers/adam.ts";
import { Runtime } from "../../../lib/runtime.ts";
import { sizeOf } from "../../../lib/shape.ts";
import type { Tensor } from "../../../lib/tensor.ts";
import { programs, runProgram, type Value, variableShapes } from "../programs.ts";
import { devices, runtimeOf, SpyBackend } from "../runtimes.ts";

function spied(fusion?: { inputs: number; cost: number }): { backend: SpyBackend; runtime: Runtime } {
  const backend = new SpyBackend("float64", fusion);
  return { backend, runtime: new Runtime(backend) };
}

/** How often a kind of node is computed in all loops so far. */
function computed(backend: SpyBackend, kind: string): number {
  return backend.loops.flatMap(({ expression }) => topological(expression)).filter((node) => node.kind === kind).length;
}

test("a chain is one loop, run when its numbers are read", () => {
  const { backend, runtime } = spied();
  runtime.step(() => {
    const x = runtime.tensor([1, -2, 3]);
    const y = relu(subtract(multiply(x, 2), 1));
    assert.deepEqual(y.shape, [3], "shapes are known at once");
    assert.equal(backend.loops.length, 0, "numbers come later");
    assert.deepEqual([...y.readSync()], [1, 0, 5]);
    assert.equal(backend.loops.length, 1);
    assert.deepEqual(backend.loops[0]!.scalars, [2, 1]);
    assert.equal(backend.loops[0]!.inputs.length, 1);
    y.readSync();
    assert.equal(backend.loops.length, 1, "and once");
  });
});

test("a structured operation needs the numbers of its inputs", () => {
  const { backend, runtime } = spied();
  runtime.step(() => {
    const y = square(add(runtime.tensor([1, 2]), 1));
    const total = sum(y);
    assert.equal(backend.loops.length, 1);
    assert.deepEqual(backend.operations, ["sum"], "structured operations run at once");
    assert.deepEqual([...total.readSync()], [13]);
  });
});

test("what nobody reads is never computed", () => {
  const { backend, runtime } = spied();
  runtime.step(() => void exp(runtime.tensor([1, 2])));
  assert.equal(backend.loops.length, 0);
});

test("outside a step there is no end to wait for: every operation is computed at once", () => {
  const { backend, runtime } = spied();
  relu(subtract(multiply(runtime.tensor([1, -2, 3]), 2), 1));
  assert.equal(backend.loops.length, 3);
});

test("a second reader has a waiting expression computed, and so do all after it", () => {
  const { backend, runtime } = spied();
  runtime.step(() => {
    const y = exp(runtime.tensor([0, 0]));
    const readers = [1, 2, 3, 4].map((n) => multiply(y, n));
    assert.deepEqual(readers.map((reader) => [...reader.readSync()]), [[1, 1], [2, 2], [3, 3], [4, 4]]);
    y.readSync();
    assert.equal(computed(backend, "exp"), 2, "once for the first reader, once for all others");
  });
});

test("an operand used twice in one expression is in it once", () => {
  const { backend, runtime } = spied();
  runtime.step(() => {
    const x = runtime.tensor([0, 1]);
    const y = exp(x);
    assert.deepEqual([...where(less(x, 1), multiply(y, y), y).readSync()].map(Math.fround), [1, Math.fround(Math.E)]);
    assert.equal(computed(backend, "exp"), 2, "of the three that read it the first has it inline");
  });
  backend.forget();
  runtime.step(() => {
    const x = runtime.tensor([1, 2]);
    const y = exp(multiply(x, 0));
    assert.deepEqual([...add(x, multiply(y, y)).readSync()], [2, 3]);
  });
  assert.equal(backend.loops.length, 1);
  assert.deepEqual([computed(backend, "exp"), computed(backend, "multiply")], [1, 2]);
  assert.deepEqual([backend.loops[0]!.inputs.length, backend.loops[0]!.scalars], [1, [0]]);
});

test("an expression is not taken over by a larger shape: it would be computed again and again", () => {
  const { backend, runtime } = spied();
  runtime.step(() => {
    const row = exp(runtime.tensor([0, 0, 0]));
    add(row, runtime.tensor(new Float32Array(30), [10, 3])).readSync();
    assert.deepEqual(backend.loops.map(({ shape }) => shape), [[3], [10, 3]]);
    backend.forget();
    multiply(broadcastTo(runtime.tensor([1, 2, 3]), [10, 3]), 2).readSync();
    assert.equal(backend.loops.length, 1, "stretching itself costs no loop");
  });
});

test("dropout is one pass", () => {
  const { backend, runtime } = spied();
  runtime.step(() => {
    dropout(runtime.tensor(new Float32Array(10)), 0.5, { key: [1, 2], stream: 2, block: 0 }).readSync();
  });
  assert.deepEqual([backend.loops.length, backend.operations], [1, ["uniform"]]);
});

test("numbers that change from call to call are not part of the expression", () => {
  const { backend, runtime } = spied();
  const x = runtime.tensor([1, 2]);
  for (const rate of [0.1, 0.2]) multiply(x, rate);
  assert.equal(backend.loops[0]!.expression, backend.loops[1]!.expression);
  assert.deepEqual(backend.loops.map(({ scalars }) => scalars), [[0.1], [0.2]]);
});

test("expressions stay within the backend's limits", () => {
  for (const fusion of [{ inputs: 64, cost: 5 }, { inputs: 3, cost: 512 }, { inputs: 3, cost: 1 }]) {
    const { backend, runtime } = spied(fusion);
    runtime.step(() => {
      let y: Tensor = runtime.tensor([0, 0]);
      for (let i = 1; i <= 40; i++) y = add(y, multiply(runtime.tensor([i, 1]), 2));
      assert.deepEqual([...y.readSync()], [1640, 80]);
    });
    assert.ok(backend.loops.length > 8);
    for (const { expression, inputs } of backend.loops) {
      assert.ok(expression.cost <= fusion.cost && inputs.length <= fusion.inputs);
    }
  }
});

for (const device of devices) {
  test(`expressions on ${device.name}: long chains and many inputs`, async () => {
    const runtime = await runtimeOf(device);
    const y = runtime.step(() => {
      let chain: Tensor = runtime.tensor([0, 1]);
      for (let i = 0; i < 700; i++) chain = add(chain, 1);
      let wide: Tensor = runtime.tensor([0, 0]);
      for (let i = 0; i < 100; i++) wide = add(wide, runtime.tensor([1, i]));
      return { chain, wide };
    });
    assert.deepEqual([...(await y.chain.read())], [700, 701]);
    assert.deepEqual([...(await y.wide.read())], [100, 4950]);
  });
}

test("an overwrite first computes every waiting expression that reads the variable, and no other", () => {
  const { backend, runtime } = spied();
  const w = runtime.variable([1, 2], [2]);
  const overwrites: (() => void)[] = [
    () => w.assign([10, 20]),
    () => w.assign(runtime.tensor([10, 20])),
    () => w.assign(multiply(w, 10)),
    () => adam([w]).update([runtime.tensor([1, 1])], 0.1),
  ];
  for (const overwrite of overwrites) {
    w.assign([1, 2]);
    runtime.step(() => {
      const double = multiply(w, 2);
      const chained = add(double, 1);
      const stretched = broadcastTo(w, [2, 2]);
      const flat = add(reshape(w, [1, 2]), 0.5);
      const other = exp(runtime.tensor([0, 0]));
      assert.equal(backend.loops.length, 0);
      overwrite();
      assert.equal(computed(backend, "exp"), 0, "what does not read it goes on waiting");
      assert.deepEqual([...double.readSync()], [2, 4]);
      assert.deepEqual([...chained.readSync()], [3, 5]);
      assert.deepEqual([...stretched.readSync()], [1, 2, 1, 2]);
      assert.deepEqual([...flat.readSync()], [1.5, 2.5]);
      assert.deepEqual([...other.readSync()], [1, 1]);
      assert.notDeepEqual([...add(w, 0).readSync()], [1, 2], "what is made after it reads the new numbers");
    });
    backend.forget();
  }
});

/** Variables with different numbers, in the order of `variableShapes`. */
function start(runtime: Runtime): Value[] {
  return variableShapes.map((shape, k) => {
    const values = Float64Array.from({ length: sizeOf(shape) }, (_, i) => (i - 2 + k) / 4);
    return { tensor: runtime.variable(values, shape), plain: { shape, values } };
  });
}

test("waiting is not seen: random programs give the same bits waiting, at once, and on plain numbers", () => {
  const ways = [
    { ...spied(), inStep: true },
    { ...spied({ inputs: 2, cost: 3 }), inStep: true },
    { ...spied(), inStep: false },
  ];
  fc.assert(
    fc.property(programs(), (lines) => {
      for (const { runtime, inStep } of ways) {
        const values = start(runtime);
        const check = ({ tensor, plain }: Value): void => {
          assert.deepEqual(tensor.shape, plain.shape);
          // `===`, because the zeros that rectifiers and rewrites leave may differ in sign.
          assert.ok(tensor.readSync().every((x, i) => x === plain.values[i]));
        };
        const body = (): void => {
          runProgram(lines, values, check);
          values.forEach(check);
        };
        if (inStep) runtime.step(body);
        else body();
      }
    }),
    { numRuns: 400 },
  );
});

test("gradients of random programs are the same bits in a step and outside", () => {
  const { runtime } = spied();
  const small = spied({ inputs: 2, cost: 3 }).runtime;
  fc.assert(
    fc.property(programs(["assign"]), (lines) => {
      const gradientsOf = (on: Runtime): number[][] => {
        const values = start(on);
        const variables = values.map(({ tensor }) => tensor);
        runProgram(lines, values, () => {});
        const loss = values.map(({ tensor }) => sum(tensor)).reduce((a, b) => add(a, b));
        return grad(loss, variables).map((gradient) => [...gradient.readSync()]);
      };
      const atOnce = gradientsOf(runtime);
      for (const on of [runtime, small]) assert.deepEqual(on.step(() => gradientsOf(on)), atOnce);
    }),
    { numRuns: 200 },
  );
});
