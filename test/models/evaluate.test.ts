import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { createRuntime } from "../../lib/index.ts";
import type { Network } from "../../lib/network.ts";
import type { Weights } from "../../lib/weights.ts";
import { type Dataset, evaluate, forward, initialise, predict } from "../../models/index.ts";
import { smallData, smallNetwork } from "./small.ts";

const runtime = await createRuntime({ device: "reference" });
const network = smallNetwork();
const weights = initialise(network, 1);
const data = smallData(50);

/** A network whose outputs are its pixels: what it says of an image can be read off the image. */
const mirror: Network = {
  name: "mirror",
  input: { height: 1, width: 1, channels: 3, scale: 1, offset: 0 },
  layers: [{ type: "flatten" }, { type: "dense", name: "d", units: 3, bias: true, activation: "none" }],
  classes: ["a", "b", "c"],
};
const mirrorWeights: Weights = [
  { name: "d.weight", shape: [3, 3], values: Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1) },
  { name: "d.bias", shape: [3], values: new Float32Array(3) },
];

function pixels(rows: readonly (readonly number[])[], labels: readonly number[]): Dataset {
  const shape = { count: rows.length, height: 1, width: 1, channels: 3, classes: mirror.classes };
  return { ...shape, images: Uint8Array.from(rows.flat()), labels: Uint8Array.from(labels) };
}

suite("evaluate", () => {
  test("counts as a plain loop over single images does", async () => {
    let errors = 0;
    let loss = 0;
    for (let i = 0; i < data.count; i++) {
      const image = Float32Array.from(data.images.subarray(i * 36, (i + 1) * 36), (p) => (p - 10) / 255);
      const logits = runtime
        .step(() =>
          forward(
            network,
            weights.map(({ values, shape }) => runtime.tensor(values, shape)),
            runtime.tensor(image, [1, 6, 6, 1]),
          ),
        )
        .readSync();
      const label = data.labels[i]!;
      if (logits.indexOf(Math.max(...logits)) !== label) errors += 1;
      let total = 0;
      for (const x of logits) total += Math.exp(x);
      loss -= Math.log(Math.exp(logits[label]!) / total);
    }
    const result = await evaluate({ runtime, network, weights, data });
    assert.ok(errors > 0 && errors < 50, "untrained, it is right at times");
    assert.equal(result.errors, errors);
    assert.equal(result.count, 50);
    assert.equal(result.notFinite, 0);
    assert.equal(result.accuracy, (50 - errors) / 50);
    assert.ok(Math.abs(result.loss - loss / 50) < 1e-6, `${result.loss}, not ${loss / 50}`);
  });

  test("does not depend on how many images run at a time, dropout is off", async () => {
    const whole = await evaluate({ runtime, network, weights, data });
    for (const batchSize of [1, 7, 50, 1000]) {
      assert.deepEqual(await evaluate({ runtime, network, weights, data, batchSize }), whole);
    }
  });

  test("of equal outputs the first counts", async () => {
    const ties = pixels([[5, 5, 0], [5, 5, 0], [0, 0, 0], [1, 2, 2]], [0, 1, 2, 1]);
    const { errors } = await evaluate({ runtime, network: mirror, weights: mirrorWeights, data: ties });
    assert.equal(errors, 2);
    const { classes, logits } = await predict({ runtime, network: mirror, weights: mirrorWeights, data: ties });
    assert.deepEqual([...classes], [0, 0, 0, 1]);
    assert.deepEqual([...logits.subarray(9)], [1, 2, 2]);
  });

  test("an output that is not finite is an error and is counted apart", async () => {
    // 3e38 is finite; three times it is not. The first image has no such pixel.
    const huge = mirrorWeights.map((tensor, i) =>
      i === 0 ? { ...tensor, values: tensor.values.map((value) => value * 3e38) } : tensor,
    );
    const images = pixels([[1, 0, 0], [3, 0, 0], [0, 3, 0]], [0, 0, 0]);
    const result = await evaluate({ runtime, network: mirror, weights: huge, data: images });
    assert.deepEqual([result.errors, result.notFinite, result.count], [2, 2, 3]);
    assert.ok(Number.isNaN(result.loss));
    const { classes } = await predict({ runtime, network: mirror, weights: huge, data: images });
    assert.deepEqual([...classes], [0, -1, -1]);
  });

  test("refuses what does not go together", async () => {
    const refuses = async (options: object, message: RegExp): Promise<void> => {
      await assert.rejects(evaluate({ runtime, network, weights, data, ...options }), { message });
    };
    const bad = weights.map((tensor, i) => (i === 3 ? { ...tensor, values: tensor.values.map(() => NaN) } : tensor));
    await refuses({ weights: bad }, /d2\.weight: value 0 is NaN/);
    await refuses({ weights: weights.slice(1) }, /has 5 tensors, got weights of 4/);
    await refuses({ weights: [...weights].reverse() }, /tensor 1 is c1\.weight \[3, 3, 1, 3\], got d2\.bias \[3\]/);
    const short = { ...weights[0]!, values: new Float32Array(2) };
    await refuses({ weights: [short, ...weights.slice(1)] }, /needs 27 values, got 2/);
    await refuses({ data: { ...data, count: 0 } }, /empty/);
    await refuses({ data: { ...data, height: 4, width: 9 } }, /takes images \[6, 6, 1\], the data has \[4, 9, 1\]/);
    const wide = { ...data, classes: ["a", "b", "c", "d"], labels: data.labels.map((_, i) => (i === 4 ? 3 : 0)) };
    await refuses({ data: wide }, /has 3 classes, image 4 has label 3/);
    await refuses({ batchSize: 0 }, /batch size must be a whole number from 1 to 65536, got 0/);
  });

  test("stops when told to", async () => {
    const reason = new Error("enough");
    await assert.rejects(evaluate({ runtime, network, weights, data, signal: AbortSignal.abort(reason) }), reason);
  });
});
