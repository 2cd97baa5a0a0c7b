import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { lumpByActivations } from "../../../codecs/lump/lumpByActivations.ts";
import { createRuntime } from "../../../lib/index.ts";
import type { Network } from "../../../lib/network.ts";
import { sizeOf } from "../../../lib/shape.ts";
import type { Weights } from "../../../lib/weights.ts";
import { forward } from "../../../models/index.ts";
import { drawWeights, Garden, hiddenNetworks, hiddenUnits, numbers } from "./planted.ts";

const runtime = await createRuntime({ device: "reference", precision: "float64" });
const samples = 30;

/** Outputs of the first `layers` layers for the samples, as rows of their last axis. */
async function outputsOf(network: Network, weights: Weights, layers = network.layers.length): Promise<Float64Array> {
  const { height, width, channels } = network.input;
  const next = numbers(7);
  const images = Float64Array.from({ length: samples * height * width * channels }, () => (next() + 3) / 6);
  const cut = network.layers.slice(0, layers);
  const names = cut.flatMap((layer) => ("name" in layer ? [`${layer.name}.weight`, `${layer.name}.bias`] : []));
  const tensors = weights.filter(({ name }) => names.includes(name));
  const outputs = runtime.step(() =>
    forward(
      { ...network, layers: cut },
      tensors.map(({ values, shape }) => runtime.tensor(values, shape)),
      runtime.tensor(images, [samples, height, width, channels]),
    ),
  );
  return Float64Array.from(await outputs.read());
}

/** The activations of hidden layer `l` as the next layer reads them: up to what flattens them or weighs them. */
async function activations(network: Network, weights: Weights, l: number): Promise<Float32Array> {
  let seen = -1;
  let end = 0;
  for (const [i, layer] of network.layers.entries()) {
    if ("name" in layer) seen += 1;
    if (seen === l && layer.type !== "flatten") end = i + 1;
    if (seen > l) break;
  }
  return Float32Array.from(await outputsOf(network, weights, end));
}

suite("lumpByActivations", () => {
  test("with a tolerance, outputs on the samples stay within the bound that it reports", async () => {
    let replaced = 0;
    const tolerances = fc.constantFrom(0.001, 0.1, 0.5);
    await fc.assert(
      fc.asyncProperty(hiddenNetworks, tolerances, fc.nat(1e6), async (network, tolerance, seed) => {
        const weights = drawWeights(network, numbers(seed));
        const before = await outputsOf(network, weights);
        const lumped = await lumpByActivations(network, weights, { activations, tolerance });
        assert.deepEqual(lumped.layers.map(({ after }) => after), hiddenUnits(lumped.network));
        const after = await outputsOf(lumped.network, lumped.weights);
        const off = after.reduce((most, value, i) => Math.max(most, Math.abs(value - before[i]!)), 0);
        const size = before.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
        assert.ok(off <= lumped.sampleBound + 1e-3 * size, `${off}, the bound says ${lumped.sampleBound}`);
        assert.ok(lumped.layers.every(({ missed }) => missed <= tolerance));
        replaced += lumped.layers.reduce((sum, layer) => sum + layer.replaced.length, 0);
      }),
      { numRuns: 60 },
    );
    assert.ok(replaced > 30, `${replaced} units were replaced: too few to say anything`);
  });

  test("finds a unit that is a sum of others, which no factor explains", async () => {
    const network: Network = {
      name: "sums",
      input: { height: 1, width: 3, channels: 1, scale: 1, offset: 0 },
      layers: [
        { type: "flatten" },
        { type: "dense", name: "h", units: 4, bias: true, activation: "none" },
        { type: "dense", name: "out", units: 2, bias: false, activation: "none" },
      ],
      classes: ["a", "b"],
    };
    // Unit 2 is unit 0 plus unit 1 plus 5, unit 3 is something else.
    const values = [[1, 2, 3, 0, 0, 1, 1, 0, 2, -1, 1, 1], [1, 2, 8, 0], [1, 2, 3, 4, 5, 6, 7, 8]];
    const weights = drawWeights(network, () => 0).map((tensor, i) => ({
      ...tensor,
      values: Float32Array.from(values[i]!),
    }));
    assert.equal(sizeOf(weights[0]!.shape), 12);
    const lumped = await lumpByActivations(network, weights, { activations, tolerance: 1e-4 });
    assert.equal(hiddenUnits(lumped.network)[0], 3);
    assert.equal(lumped.layers[0]!.replaced.length, 1);
    const [before, after] = [await outputsOf(network, weights), await outputsOf(lumped.network, lumped.weights)];
    after.forEach((value, i) => assert.ok(Math.abs(value - before[i]!) < 1e-3, `${value}, ${before[i]}`));
    assert.ok(lumped.network.layers.every((layer) => !("bias" in layer) || layer.bias), "the constant needs a bias");
  });

  test("planted multiples go, as with lump", async () => {
    await fc.assert(
      fc.asyncProperty(hiddenNetworks, fc.nat(1e6), async (network, seed) => {
        const next = numbers(seed);
        const garden = new Garden(network, drawWeights(network, next));
        garden.double(0, 0, 1, next);
        const { layers } = await lumpByActivations(garden.network, garden.weights, { activations, tolerance: 1e-4 });
        assert.ok(layers[0]!.after <= hiddenUnits(network)[0]!);
      }),
      { numRuns: 30 },
    );
  });

  test("activations of another layer, and tolerances out of range, are refused", async () => {
    const [network] = fc.sample(hiddenNetworks.filter((found) => hiddenUnits(found)[0]! > 1), { numRuns: 1, seed: 1 });
    const weights = drawWeights(network!, numbers(1));
    const given = (rows: Float32Array, tolerance = 0.1) =>
      lumpByActivations(network!, weights, { activations: () => Promise.resolve(rows), tolerance });
    await assert.rejects(given(new Float32Array(0)), /needs activations \[rows, \d\], got 0 numbers/);
    await assert.rejects(given(new Float32Array(hiddenUnits(network!)[0]! + 1)), RangeError);
    await assert.rejects(given(new Float32Array(hiddenUnits(network!)[0]!).fill(NaN)), /activation 0 of .* is NaN/);
    for (const tolerance of [-1, 1, NaN]) await assert.rejects(given(new Float32Array(0), tolerance), RangeError);
  });
});
