// The laws of the operations that have a gpu.js kernel, on both modes that need no GPU. Every shape is a kernel to
// compile (milliseconds): fewer of them are tried than on other devices.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  adam, adamW, add, broadcastTo, clip, crossEntropy, divide, elementwise, exp, gather, grad, less, log, logSoftmax,
  matmul, max, maximum, mean, minimum, multiply, relu, round, type Runtime, scatterAdd, sgd, sigmoid, softmax, sqrt,
  subtract, sum, tanh, type Tensor, type Variable, where,
} from "../../../../lib/index.ts";
import { constant, maximum as larger } from "../../../../lib/expression.ts";
import { type Shape, sizeOf } from "../../../../lib/shape.ts";
import { dim, distinct, edges, gridNumber, list, shapes, stretching } from "../../arbitraries.ts";
import { assertClose } from "../../laws.ts";
import { runtimeOf } from "../../runtimes.ts";
import { agrees, type Case, exact, filled, ints } from "./agreement.ts";
import { gpuDevices, hostDevices, skip } from "./modes.ts";

const products = fc.tuple(dim, dim, dim, fc.boolean(), fc.boolean(), fc.boolean(), fc.boolean());
agrees(
  "matmul",
  products.chain(([m, k, n, transposeA, transposeB, hasBias, rectifies]) =>
    fc
      .tuple(
        filled(transposeA ? [k, m] : [m, k]),
        filled(transposeB ? [n, k] : [k, n]),
        // Far from the rectifier's kink: a sum that is 0 but for rounding has either slope.
        filled([n], rectifies ? fc.constantFrom(-900, 900) : gridNumber),
      )
      .map(([a, b, bias]): Case => {
        const options = { transposeA, transposeB, activation: rectifies && hasBias ? "relu" : "none" } as const;
        if (!hasBias) return { tensors: [a, b], apply: (x, y) => matmul(x!, y!, options) };
        return { tensors: [a, b, bias], apply: (x, y, z) => matmul(x!, y!, { ...options, bias: z! }) };
      }),
  ),
  16,
);

type Op = (...tensors: Tensor[]) => Tensor;
/** Operations on three numbers: smooth, or with kinks that numbers on an odd grid do not meet. */
const chains: readonly Op[] = [
  (x, y, z) => add(multiply(x!, y!), divide(z!, 3)),
  (x, y, z) => subtract(sigmoid(x!), multiply(tanh(y!), exp(multiply(z!, 0.5)))),
  (x, y, z) => where(less(x!, y!), maximum(x!, z!), minimum(y!, z!)),
  (x, y, z) => add(log(add(multiply(x!, x!), 1)), sqrt(add(multiply(y!, y!), relu(z!)))),
  (x, y, z) => add(round(multiply(x!, 1.7), { straightThrough: true }), clip(multiply(y!, z!), -2.001, 2.001)),
];
const apart = [0.0013, 0.0029, 0.0047];
agrees(
  "elementwise chains",
  fc.tuple(stretching(3), fc.constantFrom(...chains)).chain(([three, apply]) =>
    fc
      .tuple(...three.map((shape, i) => filled(shape, gridNumber.map((x) => x + apart[i]!))))
      .map((tensors): Case => ({ tensors, apply })),
  ),
  16,
  1,
);
agrees(
  "stretching along every other of six axes",
  fc.tuple(filled([2, 1, 3, 1, 2, 1]), filled([1, 2, 1, 3, 1, 5])).map((tensors) => ({
    tensors,
    apply: (x: Tensor, y: Tensor) => multiply(broadcastTo(x, [2, 2, 3, 3, 2, 5]), y),
  }) as Case),
  1,
);

const reductions = shapes().chain((shape) =>
  fc.tuple(fc.subarray(shape.map((_, axis) => axis)), fc.boolean()).map(([axes, keep]) => ({ shape, axes, keep })),
);
agrees(
  "sum and mean",
  fc.tuple(reductions, fc.constantFrom(sum, mean)).chain(([{ shape, axes, keep }, reduce]) =>
    filled(shape).map((x): Case => ({ tensors: [x], apply: (own) => reduce(own!, { axes, keep }) })),
  ),
  20,
);
agrees(
  "max",
  reductions.chain(({ shape, axes, keep }) =>
    fc
      .noShrink(distinct(sizeOf(shape)))
      .map((values): Case => ({ tensors: [{ shape, values }], apply: (own) => max(own!, { axes, keep }) })),
  ),
  20,
);

const tables = fc.tuple(dim, shapes({ maxRank: 2 }), shapes({ maxRank: 2 }));
agrees(
  "gather",
  tables.chain(([size, row, places]) =>
    fc
      .tuple(filled([size, ...row]), ints(places, size))
      .map((tensors): Case => ({ tensors, apply: (table, at) => gather(table!, at!) })),
  ),
);
agrees(
  "scatterAdd",
  tables.chain(([size, row, places]) =>
    fc
      .tuple(filled([...places, ...row]), ints(places, size))
      .map((tensors): Case => ({ tensors, apply: (updates, at) => scatterAdd(updates!, at!, size) })),
  ),
);

agrees(
  "softmax and its logarithm",
  fc.tuple(shapes({ minRank: 1 }), fc.constantFrom(softmax, logSoftmax)).chain(([shape, apply]) =>
    filled(shape).map((x): Case => ({ tensors: [x], apply: apply as Op })),
  ),
);
agrees(
  "cross entropy",
  fc.tuple(dim, dim, fc.boolean()).chain(([n, classes, isHard]) =>
    fc
      // Large logits, whose exponentials overflow.
      .tuple(filled([n, classes], gridNumber.map((x) => 100 * x)), isHard ? ints([n], classes) : filled([n, classes]))
      .map((tensors): Case => {
        const apply: Case["apply"] = (logits, labels) => crossEntropy(logits!, labels!);
        // A loss of soft labels, of either sign here, is a sum of each label times the distance from the largest.
        const [{ values: x }, { values: labels }] = tensors;
        const [distance, label] = [x, labels].map((values) => Math.max(...values.map(Math.abs))) as [number, number];
        return isHard ? { tensors, apply } : { tensors, apply, parts: Math.max(1, 2 * distance * label) };
      }),
  ),
  16,
  1,
);

const updates = fc.record({
  optimizer: fc.constantFrom(
    (variables: Variable[]) => sgd(variables),
    (variables: Variable[]) => sgd(variables, { momentum: 0.9, weightDecay: 0.01 }),
    (variables: Variable[]) => sgd(variables, { momentum: 0.9, nesterov: true }),
    (variables: Variable[]) => adam(variables, { weightDecay: 0.01 }),
    (variables: Variable[]) => adamW(variables, { weightDecay: 0.1 }),
  ),
  start: list(gridNumber, 7),
  slopes: fc.array(list(gridNumber, 7), { minLength: 1, maxLength: 3 }),
  mask: fc.option(list(fc.constantFrom(0, 1), 7)),
});
for (const device of gpuDevices) {
  test(`updates on ${device.name}: steps from the same gradients are within 1e-6`, { skip }, async () => {
    const runtime = await runtimeOf(device);
    await fc.assert(
      fc.asyncProperty(updates, async ({ optimizer, start, slopes, mask }) => {
        const train = async (on: Runtime): Promise<ArrayLike<number>[]> => {
          const variable = on.variable(Float32Array.from(start), [7]);
          const updating = optimizer([variable]);
          if (mask !== null) updating.mask([mask]);
          for (const slope of slopes) on.step(() => updating.update([on.tensor(Float32Array.from(slope))], 0.01));
          return [await variable.read(), ...(await updating.state()).moments.map(({ values }) => values)];
        };
        const want = await train(exact);
        (await train(runtime)).forEach((got, i) => assertClose(got, want[i]!, 1e-6, i === 0 ? "w" : `moment ${i}`));
      }),
      { numRuns: 20 },
    );
  });

  test(`loops on ${device.name}: none is cut, and many inputs are split over kernels`, { skip }, async () => {
    const runtime = await runtimeOf(device);
    const ones = (shape: Shape): Tensor => runtime.tensor(new Float32Array(sizeOf(shape)).fill(1), shape);
    const zeros = runtime.tensor(new Int32Array(2500));
    assert.deepEqual([...(await matmul(ones([2, 2500]), ones([2500, 1])).read())], [2500, 2500]);
    for (const shape of [[1023], [1025], [2500], [2048, 3], [1100, 1100]]) {
      assert.deepEqual([...(await sum(ones(shape)).read())], [sizeOf(shape)]);
    }
    assert.deepEqual([...(await max(ones([2500])).read())], [1]);
    assert.deepEqual([...(await scatterAdd(ones([2500]), zeros, 2).read())], [2500, 0]);
    const loss = crossEntropy(ones([1, 2500]), runtime.tensor(Int32Array.of(2499)));
    assertClose(await loss.read(), [Math.log(2500)], 1e-6, "loss");

    const many = Array.from({ length: 20 }, (_, i) => runtime.tensor([i, -i]));
    const total = runtime.step(() => many.reduce((x, y) => add(x, y)));
    assert.deepEqual([...(await total.read())], [190, -190]);
  });
}

// On a GPU a comparison may take NaN for any number, and kernels cannot tell.
for (const device of hostDevices) {
  test(`edges on ${device.name}: NaN, infinities, zeros and the first of equals`, { skip }, async () => {
    const runtime = await runtimeOf(device);
    const x = runtime.tensor(edges);
    const ask = async (apply: (x: Tensor) => Tensor): Promise<number[]> => [...(await apply(x).read())];
    const wanted = async (apply: (x: Tensor) => Tensor): Promise<Float32Array> =>
      Float32Array.from(await apply(exact.tensor(edges)).read());
    const infinite = elementwise("infinite", 1, ([own]) => larger(own!, constant(-Infinity)));
    for (const apply of [relu, round, exp, log, sqrt, infinite, (own: Tensor) => minimum(own, 0)]) {
      assertClose(await ask(apply), await wanted(apply), 1e-6, "result");
    }
    assert.deepEqual(await ask((own) => sum(own)), [NaN]);
    assert.deepEqual(await ask((own) => max(own)), [NaN]);
    const first = runtime.tensor([1, 3, NaN, 3, 3, 2], [2, 3]);
    const slopes = runtime.step(() => grad(sum(max(first, { axes: [1] })), [first]))[0]!;
    assert.deepEqual([...(await slopes.read())], [0, 0, 1, 1, 0, 0]);
  });
}
