import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createRuntime } from "../../lib/createRuntime.ts";
import { mean } from "../../lib/ops/reduce.ts";
import { crossEntropy } from "../../lib/ops/softmax.ts";
import type { Tensor } from "../../lib/tensor.ts";
import {
  batchesOf,
  evaluate,
  forward,
  initialise,
  keepUnits,
  narrow,
  softmax,
  UnitSearch,
  type UnitSearchOptions,
  type UnitSearchProgress,
  type UnitSearchState,
  weightsOf,
} from "../../models/index.ts";
import type { Network } from "../../lib/network.ts";
import type { Weights } from "../../lib/weights.ts";
import { smallData, smallNetwork } from "./small.ts";

const runtime = await createRuntime({ device: "reference" });
const small = smallNetwork("tanh", 1);
const data = smallData(60);
const batches = batchesOf(data, small.input, { size: 20, seed: 1 });

const loss = (parameters: readonly Tensor[], { network, step }: { network: Network; step: number }): Tensor => {
  const { images, labels } = batches.at(step);
  const logits = forward(network, parameters, runtime.tensor(images, [20, 6, 6, 1]));
  return mean(crossEntropy(logits, runtime.tensor(labels)));
};

function options(change: Partial<UnitSearchOptions> = {}): UnitSearchOptions {
  const start = initialise(small, 1);
  return { ...{ runtime, network: small, start, size: 70, loss, steps: 60, rounds: 3, rate: 0.02 }, ...change };
}

/** Weights of which all but the units of `useful` have no way to the output. */
function planted(useful: readonly (readonly number[])[], seed: number): Weights {
  let layer = -1;
  return initialise(small, seed).map(({ name, shape, values }) => {
    // So that no rectifier is shut for all images.
    if (shape.length === 1) return { name, shape, values: values.map(() => 0.5) };
    layer += 1;
    const before = useful[layer - 1];
    if (before === undefined) return { name, shape, values };
    const [inputs, columns] = [[3, 5][layer - 1]!, shape.at(-1)!];
    return {
      name,
      shape,
      values: values.map((value, i) => (before.includes(Math.floor(i / columns) % inputs) ? value : 0)),
    };
  });
}

const someOf = (count: number): fc.Arbitrary<number[]> =>
  fc.subarray(Array.from({ length: count }, (_, i) => i), { minLength: 1 });

test("units: those that were planted without use go, the others stay", async () => {
  await fc.assert(
    fc.asyncProperty(someOf(3), someOf(5), fc.nat({ max: 100 }), fc.constantFrom(1, 3), async (a, b, seed, rounds) => {
      const useful = [a, b];
      const start = planted(useful, seed);
      const size = weightsOf(small, [a.length, b.length]);
      // The rate is too small to change a weight.
      const search = new UnitSearch(options({ start, size, steps: 8, rounds, rate: 1e-30 }));
      const { live, weights } = await search.run();
      assert.deepEqual(live, [a.length, b.length]);
      assert.deepEqual(weights, keepUnits(small, start, useful));
    }),
    { numRuns: 12 },
  );
});

test("units: what is left has its size, knows its task, and is trained in fewer and fewer units", async () => {
  const looks: UnitSearchProgress[] = [];
  const search = new UnitSearch(options({ steps: 240, onProgress: (look) => void looks.push(look) }));
  const { live, weights } = await search.run();
  const network = narrow(small, live);
  assert.ok(weightsOf(small, live) <= 70 && weightsOf(small, live) > 35, live.join("-"));
  const { accuracy } = await evaluate({ runtime, network, weights, data: smallData(60, 2) });
  assert.ok(accuracy > 0.8, `${accuracy}`);
  const sizes = looks.map(({ live }) => weightsOf(small, live));
  assert.ok(sizes.every((size, i) => i === 0 || size <= sizes[i - 1]!) && new Set(sizes).size >= 3, sizes.join());
  assert.equal(looks.at(-1)!.step, 240);
});

test("units: a layer keeps one, however few weights are wanted", async () => {
  const search = new UnitSearch(options({ size: 1, steps: 4, rounds: 1 }));
  assert.deepEqual((await search.run()).live, [1, 1]);
});

test("units: stopped at every look and gone on, a search ends with the same bits", async () => {
  const whole = await new UnitSearch(options()).run();
  let state: UnitSearchState | undefined;
  for (let stops = 0; ; stops++) {
    let looks = 0;
    const search: UnitSearch = new UnitSearch(options({
      onProgress: async () => {
        looks += 1;
        if (looks > 1) throw new Error("stop");
        // Through text and back, as a checkpoint does it.
        const { arrays, ...rest } = await search.save();
        state = { ...(JSON.parse(JSON.stringify(rest)) as Omit<UnitSearchState, "arrays">), arrays };
      },
    }));
    if (state !== undefined) search.restore(state);
    const result = await search.run().catch((error: Error) => error.message);
    if (typeof result !== "string") {
      assert.deepEqual(result, whole);
      assert.ok(stops > 3, `${stops} stops`);
      return;
    }
    assert.equal(result, "stop");
  }
});

test("units: what makes no sense is a RangeError", async () => {
  const wrong: [Partial<UnitSearchOptions>, RegExp][] = [
    [{ network: softmax, start: initialise(softmax, 1) }, /units: softmax has no hidden units to choose among/],
    [{ size: 0 }, /units: size must be a whole number from 1/],
    [{ rounds: 0 }, /units: rounds must be/],
    [{ steps: 3 }, /units: steps must be a whole number from 4/],
    [{ start: initialise(narrow(small, [2, 2]), 1) }, /these are not the weights of small/],
  ];
  for (const [change, message] of wrong) {
    assert.throws(() => new UnitSearch(options(change)), (error: Error) => {
      return error instanceof RangeError && message.test(error.message);
    });
  }
  await assert.rejects(new UnitSearch(options({ rate: 1e38 })).run(), /units: the loss is .* at step \d+; try a lower/);
});
