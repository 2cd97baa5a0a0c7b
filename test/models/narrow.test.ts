import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parametersOf } from "../../lib/architectures.ts";
import { sizeOf } from "../../lib/shape.ts";
import { permutation, seedKey, word } from "../../lib/random.ts";
import { placesOf, scalarsOf } from "../../codecs/scalars.ts";
import { evaluate, initialise, lenet300, lenet5, narrow, predict, softmax, strongest } from "../../models/index.ts";
import { devices, runtimeOf } from "../lib/runtimes.ts";
import { smallData, smallNetwork } from "./small.ts";

const small = smallNetwork("tanh");
const counts = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 5 }));

test("narrow: the live units of the whole network compute what the narrow one does", async () => {
  const runtime = await runtimeOf(devices[0]!);
  const data = smallData(6);
  const shapes = parametersOf(small).map(({ shape }) => shape);
  await fc.assert(
    fc.asyncProperty(counts, fc.nat({ max: 1000 }), async (live, seed) => {
      const few = narrow(small, live);
      const weights = initialise(few, seed).map(({ name, shape, values }) => ({
        name,
        shape,
        values: values.map((value, i) => value || ((word(seedKey(seed), 0, 0, i) % 100) - 50) / 100),
      }));
      const tensors = scalarsOf(shapes, { live });
      const whole = parametersOf(small).map(({ name, shape }, t) => {
        assert.equal(tensors[t]!.weights, weights[t]!.values.length, name);
        const values = new Float32Array(sizeOf(shape));
        placesOf(tensors[t]!).forEach((place, i) => (values[place] = weights[t]!.values[i]!));
        return { name, shape, values };
      });
      const [own, placed] = [
        await predict({ runtime, network: few, weights, data }),
        await predict({ runtime, network: small, weights: whole, data }),
      ];
      own.logits.forEach((logit, i) => assert.ok(Math.abs(logit - placed.logits[i]!) < 1e-5));
    }),
    { numRuns: 20 },
  );
});

test("narrow: known networks have the tensors that a file says are live", () => {
  for (const [network, live] of [[lenet5, [5, 10, 16]], [lenet300, [40, 12]], [softmax, []]] as const) {
    const few = parametersOf(narrow(network, live)).map(({ shape }) => sizeOf(shape));
    const tensors = scalarsOf(parametersOf(network).map(({ shape }) => shape), { live });
    assert.deepEqual(few, tensors.map(({ weights }) => weights), network.name);
  }
  assert.equal(narrow(lenet5, [5, 10, 16]).name, "lenet5 5-10-16");
  assert.deepEqual(narrow(lenet5, [20, 50, 500]).layers, lenet5.layers, "all of it is the network as it was");
});

test("narrow: the last layer keeps its classes, and the network is left alone", async () => {
  const before = JSON.stringify(lenet5);
  const few = narrow(lenet5, [1, 1, 1]);
  assert.equal(JSON.stringify(lenet5), before);
  assert.deepEqual(few.classes, lenet5.classes);
  const data = smallData(3);
  const network = narrow(small, [1, 1]);
  const { accuracy } = await evaluate({
    ...{ runtime: await runtimeOf(devices[0]!), network, weights: initialise(network, 1), data },
  });
  assert.ok(accuracy >= 0 && accuracy <= 1);
});

test("narrow: counts that the layers do not have", () => {
  const wrong: [readonly number[], RegExp][] = [
    [[5, 10], /narrow: lenet5 takes 3 live counts, got 2/],
    [[5, 10, 16, 10], /takes 3 live counts, got 4/],
    [[0, 10, 16], /narrow: conv1 has from 1 to 20 live units, got 0/],
    [[5, 51, 16], /narrow: conv2 has from 1 to 50 live units, got 51/],
    [[5, 10, 1.5], /narrow: fc1 has from 1 to 500 live units, got 1.5/],
  ];
  for (const [live, message] of wrong) {
    assert.throws(() => narrow(lenet5, live), (error: Error) => {
      return error instanceof RangeError && message.test(error.message);
    });
  }
  assert.throws(() => narrow(softmax, [3]), /softmax takes 0 live counts, got 1/);
});

test("strongest: units that were spread among dead ones are found, and go in order", () => {
  fc.assert(
    fc.property(counts, fc.nat({ max: 1000 }), (live, seed) => {
      const few = narrow(small, live);
      const weights = initialise(few, seed).map(({ name, shape, values }) => ({
        name,
        shape,
        values: values.map((_, i) => 0.1 + (word(seedKey(seed), 0, 0, i) % 100) / 100),
      }));
      // Live units move from the front to anywhere: unit u of a layer to place order[u].
      const whole = parametersOf(small);
      const matrices = whole.filter(({ shape }) => shape.length > 1);
      const orders = matrices.map(({ shape }, layer) => {
        const all = Array.from(permutation(shape.at(-1)!, seedKey(seed), { stream: 200, block: layer }));
        return layer < live.length ? all.slice(0, live[layer]).sort((a, b) => a - b) : [...all].sort((a, b) => a - b);
      });
      let layer = -1;
      const spread = whole.map(({ name, shape }, t) => {
        if (shape.length > 1) layer += 1;
        const values = new Float32Array(sizeOf(shape));
        const columns = shape.at(-1)!;
        const { shape: from, values: given } = weights[t]!;
        const before = shape.length > 1 && layer > 0 ? orders[layer - 1]! : undefined;
        const outputsBefore = layer > 0 ? matrices[layer - 1]!.shape.at(-1)! : 1;
        const narrowColumns = from.at(-1)!;
        for (let i = 0; i < given.length; i++) {
          const [row, column] = [Math.floor(i / narrowColumns), i % narrowColumns];
          const channels = before?.length ?? 1;
          const pixel = Math.floor(row / channels);
          const place = before === undefined ? row : pixel * outputsBefore + before[row % channels]!;
          values[place * columns + orders[layer]![column]!] = given[i]!;
        }
        return { name, shape, values };
      });
      assert.deepEqual(strongest(small, spread, live), weights);
    }),
    { numRuns: 50 },
  );
});

test("strongest: weights of another network are a RangeError", () => {
  const weights = initialise(lenet300, 1);
  assert.throws(() => strongest(lenet5, weights, [5, 10, 16]), /these are not the weights of lenet5/);
  assert.throws(() => strongest(lenet300, weights, [301, 2]), RangeError);
});
