import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parametersOf, seedKey } from "../../lib/index.ts";
import { forward, initialise, lenet5, narrow, withDropout } from "../../models/index.ts";
import { devices, runtimeOf } from "../lib/runtimes.ts";
import { smallData, smallNetwork } from "./small.ts";

const small = smallNetwork("tanh", 1);
const shares = fc.record({ c1: share(), d1: share(), d2: share() }, { requiredKeys: [] });

function share(): fc.Arbitrary<number> {
  return fc.constantFrom(0, 0.1, 0.5, 0.9);
}

test("dropout: a network to train with it has the same tensors, and the same outputs when it is run", async () => {
  const runtime = await runtimeOf(devices[0]!);
  const weights = initialise(small, 3);
  const pixels = Float32Array.from(smallData(4).images, (byte) => byte / 255);
  await fc.assert(
    fc.asyncProperty(shares, async (given) => {
      const dropping = withDropout(small, given);
      assert.deepEqual(parametersOf(dropping), parametersOf(small));
      const outputs = await Promise.all(
        [small, dropping].map((network) =>
          runtime.step(() => {
            const parameters = weights.map(({ values, shape }) => runtime.tensor(values, shape));
            return forward(network, parameters, runtime.tensor(pixels, [4, 6, 6, 1]));
          }).read(),
        ),
      );
      assert.deepEqual(outputs[0], outputs[1]);
    }),
    { numRuns: 20 },
  );
});

test("dropout: in training a layer's inputs are zeroed, and the others are larger by as much", async () => {
  const runtime = await runtimeOf(devices[0]!);
  // Sums what it is given.
  const network = withDropout(
    {
      ...small,
      input: { ...small.input, height: 1, width: 1, channels: 5000 },
      layers: [{ type: "flatten" }, { type: "dense", name: "d1", units: 1, bias: false, activation: "none" }],
    },
    { d1: 0.25 },
  );
  const sum = await runtime
    .step(() => {
      const ones = runtime.tensor(new Float32Array(5000).fill(1), [5000, 1]);
      const image = runtime.tensor(new Float32Array(5000).fill(1), [1, 1, 1, 5000]);
      return forward(network, [ones], image, { training: { key: seedKey(1), step: 2 } });
    })
    .read();
  const kept = sum[0]! * 0.75;
  assert.ok(Math.abs(kept - Math.round(kept)) < 0.01 && Math.abs(kept - 3750) < 150, `${kept} of 5000 were kept`);
});

test("dropout: names that are none and shares out of range are refused", () => {
  assert.throws(() => withDropout(lenet5, { fc3: 0.1 }), /RangeError: dropout: lenet5 has no layer "fc3".* conv1/);
  assert.throws(() => withDropout(lenet5, { toString: 0.1 }), /no layer "toString"/);
  for (const wrong of [1, -0.1, NaN]) assert.throws(() => withDropout(lenet5, { fc1: wrong }), /fc1 must be from 0 up/);
  const few = narrow(lenet5, [2, 3, 4]);
  assert.deepEqual(withDropout(few, { fc1: 0 }), few, "none is no layer");
  assert.equal(withDropout(few, { fc1: 0.1, conv2: 0.2 }).layers.length, few.layers.length + 2);
});
