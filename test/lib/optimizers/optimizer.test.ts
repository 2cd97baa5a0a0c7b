import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { grad } from "../../../lib/grad.ts";
import { multiply, subtract } from "../../../lib/ops/arithmetic.ts";
import { sum } from "../../../lib/ops/sum.ts";
import { adam, adamW, type AdamOptions } from "../../../lib/optimizers/adam.ts";
import type { Optimizer, OptimizerState } from "../../../lib/optimizers/optimizer.ts";
import { sgd, type SgdOptions } from "../../../lib/optimizers/sgd.ts";
import type { Runtime } from "../../../lib/runtime.ts";
import type { Variable } from "../../../lib/tensor.ts";
import { gridNumber, list } from "../arbitraries.ts";
import { assertClose } from "../laws.ts";
import { devices, exactRuntime, runtimeOf } from "../runtimes.ts";

/** One number's updates by the formula: takes the gradient and the rate, gives the number. */
type Scalar = (gradient: number, rate: number) => number;

/** g ← g + λ w; v ← m v + g; w ← w - η v, or with Nesterov w ← w - η (g + m v). */
function scalarSgd(w: number, { momentum = 0, nesterov = false, weightDecay = 0 }: SgdOptions): Scalar {
  let v = 0;
  return (gradient, rate) => {
    const g = gradient + weightDecay * w;
    v = momentum * v + g;
    w = nesterov ? w - rate * (g + momentum * v) : w - rate * v;
    return w;
  };
}

/** Algorithm 1 of Kingma & Ba, and algorithm 2 of Loshchilov & Hutter (schedule multiplier in the rate). */
function scalarAdam(w: number, options: AdamOptions, decoupled: boolean): Scalar {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0 } = options;
  let [m, v, t] = [0, 0, 0];
  return (gradient, rate) => {
    t += 1;
    const g = decoupled ? gradient : gradient + weightDecay * w;
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g ** 2;
    const step = m / (1 - beta1 ** t) / (Math.sqrt(v / (1 - beta2 ** t)) + epsilon);
    w = w - rate * step - (decoupled ? rate * weightDecay * w : 0);
    return w;
  };
}

interface Kind {
  readonly name: string;
  readonly make: (parameters: readonly Variable[]) => Optimizer;
  readonly scalar: (start: number) => Scalar;
}

const sgdKind = (name: string, options: SgdOptions): Kind => ({
  name,
  make: (parameters) => sgd(parameters, options),
  scalar: (start) => scalarSgd(start, options),
});
const adamKind = (name: string, options: AdamOptions, decoupled: boolean): Kind => ({
  name,
  make: (parameters) => (decoupled ? adamW : adam)(parameters, options),
  scalar: (start) => scalarAdam(start, options, decoupled),
});
const kinds: readonly Kind[] = [
  sgdKind("sgd", {}),
  sgdKind("sgd with momentum and decay", { momentum: 0.9, weightDecay: 0.1 }),
  sgdKind("sgd with Nesterov's momentum", { momentum: 0.8, nesterov: true, weightDecay: 0.05 }),
  adamKind("adam", {}, false),
  adamKind("adam with decay", { weightDecay: 0.1, beta1: 0.8, beta2: 0.95, epsilon: 1e-4 }, false),
  adamKind("adamW", { weightDecay: 0.1 }, true),
];

const rate = fc.integer({ min: 0, max: 50 }).map((n) => n / 100);

/** Eight updates of a parameter of five numbers: gradients and rates. */
const courses = fc.record({
  start: list(gridNumber, 5),
  steps: list(fc.record({ gradient: list(gridNumber, 5), rate }), 8),
});

/** Larger than any SIMD register, so that the tail of a kernel is in it too. */
function spread(values: readonly number[]): Float32Array {
  return Float32Array.from({ length: 35 }, (_, i) => values[i % values.length]!);
}

for (const kind of kinds) {
  test(`${kind.name} is its formula, number by number`, () => {
    const runtime = exactRuntime();
    fc.assert(
      fc.property(courses, ({ start, steps }) => {
        const w = runtime.variable(Float64Array.from(start), [5], "w");
        const optimizer = kind.make([w]);
        const scalars = start.map((value) => kind.scalar(value));
        for (const { gradient, rate } of steps) {
          runtime.step(() => optimizer.update([runtime.tensor(gradient)], rate));
          assertClose(w.readSync(), gradient.map((g, i) => scalars[i]!(g, rate)), 1e-12, "parameter");
        }
        assert.equal(optimizer.steps, steps.length);
      }),
      { numRuns: 40 },
    );
  });

  for (const device of devices) {
    test(`${kind.name} on ${device.name}: agrees with the oracle, in a step and outside`, async () => {
      const exact = exactRuntime();
      const runtime = await runtimeOf(device);
      await fc.assert(
        fc.asyncProperty(courses, fc.boolean(), async ({ start, steps }, masked) => {
          const train = async (on: Runtime, around: (body: () => void) => void): Promise<ArrayLike<number>[]> => {
            const w = on.variable(spread(start), [7, 5], "w");
            const optimizer = kind.make([w]);
            if (masked) optimizer.mask([spread(start.map((value) => Number(value > 0)))]);
            for (const { gradient, rate } of steps) {
              around(() => optimizer.update([on.tensor(spread(gradient), [7, 5])], rate));
            }
            return [await w.read(), ...(await optimizer.state()).moments.map(({ values }) => values)];
          };
          const want = await train(exact, (body) => body());
          for (const around of [(body: () => void) => runtime.step(body), (body: () => void) => body()]) {
            // Eight roundings of float32 of numbers up to 30; Adam divides by a root that may be small, and where a
            // gradient and the decay nearly cancel, what is left of their rounding is divided too.
            (await train(runtime, around)).forEach((got, i) => assertClose(got, want[i]!, 1e-4, `array ${i}`));
          }
        }),
        { numRuns: 25 },
      );
    });

    test(`${kind.name} on ${device.name}: a mask holds weights and moments at zero, from at once on`, async () => {
      const runtime = await runtimeOf(device);
      const [w, free] = [runtime.variable(spread([1, -2, 3]), [35], "w"), runtime.variable([1, 2], [2], "free")];
      const optimizer = kind.make([w, free]);
      const update = (): void =>
        runtime.step(() => {
          const pulls = runtime.tensor(Float32Array.from({ length: 35 }, (_, i) => (i % 7 === 0 ? NaN : i)));
          optimizer.update([pulls, runtime.tensor([1, 1])], 0.1);
        });
      update();
      // It masks the places whose gradient is not a number, among others.
      const mask = Float32Array.from({ length: 35 }, (_, i) => Number(i % 7 !== 0 && i % 2 === 0));
      optimizer.mask([mask, null]);
      for (let round = 0; round < 3; round++) {
        const moments = (await optimizer.state()).moments.filter(({ name }) => name.startsWith("w."));
        const arrays = [await w.read(), ...moments.map(({ values }) => values)];
        assert.ok(arrays.length >= 2);
        for (const values of arrays) {
          mask.forEach((kept, i) => {
            if (kept === 0) assert.ok(values[i] === 0, `round ${round}: element ${i} is ${values[i]}`);
            else assert.ok(Number.isFinite(values[i]) && values[i] !== 0, `round ${round}: element ${i} moves`);
          });
        }
        update();
      }
      assert.notDeepEqual([...(await free.read())], [1, 2]);
      optimizer.mask([null, Float32Array.of(0, 1)]);
      assert.equal((await free.read())[0], 0);
    });

    test(`${kind.name} on ${device.name}: restored, it goes on bit for bit, also through plain data`, async () => {
      const runtime = await runtimeOf(device);
      const start = spread([0.3, -1, 2, 0.7]);
      const target = runtime.tensor(spread([1, 0.5, -0.25]));
      const advance = (w: Variable, optimizer: Optimizer): void =>
        runtime.step(() => {
          const miss = subtract(w, target);
          optimizer.update(grad(sum(multiply(miss, miss)), [w]), 0.05);
        });
      const straight = runtime.variable(start, [35], "w");
      const optimizer = kind.make([straight]);
      for (let i = 0; i < 5; i++) advance(straight, optimizer);
      const state: OptimizerState = structuredClone(await optimizer.state());
      const weights = Float32Array.from(await straight.read());
      for (let i = 0; i < 5; i++) advance(straight, optimizer);

      const resumed = runtime.variable(weights, [35], "w");
      const second = kind.make([resumed]);
      second.restore(state);
      assert.equal(second.steps, 5);
      for (let i = 0; i < 5; i++) advance(resumed, second);
      assert.deepStrictEqual(await resumed.read(), await straight.read());
      assert.deepStrictEqual(await second.state(), await optimizer.state());
    });
  }
}

const runtime = exactRuntime();

test("an update wants as many gradients as parameters, of their shapes, and a finite rate", () => {
  const [a, b] = [runtime.variable([1, 2], [2], "a"), runtime.variable([3], [1], "b")];
  const optimizer = sgd([a, b]);
  const [g, h] = [runtime.tensor([1, 1]), runtime.tensor([1])];
  assert.throws(() => optimizer.update([g], 0.1), {
    name: "ShapeError",
    message: "optimizer: 2 parameters need as many gradients, got 1",
  });
  assert.throws(() => optimizer.update([g, g], 0.1), {
    name: "ShapeError",
    message: "optimizer: the gradient of b must be [1], got [2]",
  });
  for (const rate of [NaN, Infinity]) {
    assert.throws(() => optimizer.update([g, h], rate), {
      name: "RangeError",
      message: `optimizer: the learning rate must be finite, got ${rate}`,
    });
  }
  assert.equal(optimizer.steps, 0);
  assert.deepEqual([...a.readSync(), ...b.readSync()], [1, 2, 3], "what is refused changes nothing");
  assert.throws(() => sgd([]), { name: "ShapeError", message: "optimizer: needs at least one parameter, got none" });
});

test("ints are not trained", () => {
  const whole = runtime.variable(Int32Array.of(1, 2), [2], "whole");
  assert.throws(() => adam([whole]), { name: "ShapeError", message: "optimizer: needs floats, got an int tensor [2]" });
});

test("masks are ones and zeros, as many as there are weights", () => {
  const optimizer = sgd([runtime.variable([1, 2], [2], "w")]);
  assert.throws(() => optimizer.mask([]), {
    name: "ShapeError",
    message: "mask: 1 parameters need as many masks, got 0",
  });
  assert.throws(() => optimizer.mask([[0.5, 1]]), {
    name: "RangeError",
    message: "mask: w needs a mask of ones and zeros",
  });
  assert.throws(() => optimizer.mask([[1]]), { name: "ShapeError" });
});

test("a state is refused that belongs to another optimizer", async () => {
  const of = (name: string): Optimizer => adam([runtime.variable([1, 2], [2], name)]);
  const state = await of("w").state();
  assert.throws(() => of("v").restore(state), {
    name: "ShapeError",
    message: "optimizer: the state must hold v.first [2], v.second [2]; got w.first [2], w.second [2]",
  });
  assert.throws(() => sgd([runtime.variable([1, 2], [2], "w")]).restore(state), { name: "ShapeError" });
  assert.throws(() => adam([runtime.variable([1, 2, 3], [3], "w")]).restore(state), { name: "ShapeError" });
  for (const steps of [-1, 0.5, NaN]) assert.throws(() => of("w").restore({ ...state, steps }), { name: "RangeError" });
});

test("options outside their range are refused", () => {
  const w = [runtime.variable([1], [1])];
  const cases: [() => unknown, string][] = [
    [() => sgd(w, { momentum: 1 }), "sgd: momentum must be from 0 to below 1, got 1"],
    [() => sgd(w, { momentum: -0.1 }), "sgd: momentum must be from 0 to below 1, got -0.1"],
    [() => sgd(w, { weightDecay: -1 }), "sgd: weightDecay must be from 0 up, got -1"],
    [() => adam(w, { beta1: 1 }), "adam: beta1 must be from 0 to below 1, got 1"],
    [() => adam(w, { beta2: NaN }), "adam: beta2 must be from 0 to below 1, got NaN"],
    [() => adam(w, { epsilon: 0 }), "adam: epsilon must be above 0, got 0"],
    [() => adamW(w, { weightDecay: Infinity }), "adamW: weightDecay must be from 0 up, got Infinity"],
  ];
  for (const [make, message] of cases) assert.throws(make, { name: "RangeError", message });
});
