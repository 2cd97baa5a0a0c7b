import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { applyMasks, prune } from "../../codecs/prune.ts";
import { clearDead, removeDead } from "../../codecs/prune/dead.ts";
import { rescaleDropout } from "../../codecs/prune/dropout.ts";
import { cnn1024, lenet300, parametersOf } from "../../lib/architectures.ts";
import { createRuntime } from "../../lib/index.ts";
import type { Network } from "../../lib/network.ts";
import type { Weights } from "../../lib/weights.ts";
import { forward } from "../../models/index.ts";
import { drawWeights, hiddenNetworks, numbers } from "./lump/planted.ts";

// In float64, so that what is seen is not the order of sums.
const runtime = await createRuntime({ device: "reference", precision: "float64" });

async function outputsOf(network: Network, weights: Weights): Promise<number[]> {
  const { height, width, channels } = network.input;
  const next = numbers(7);
  const images = Float64Array.from({ length: 4 * height * width * channels }, next);
  const outputs = runtime.step(() =>
    forward(
      network,
      weights.map(({ values, shape }) => runtime.tensor(values, shape)),
      runtime.tensor(images, [4, height, width, channels]),
    ),
  );
  return Array.from(await outputs.read());
}

/** Networks of which pruning left little: units without inputs, without outputs, and with neither. */
const sparse = fc
  .record({ network: hiddenNetworks, seed: fc.nat(1000), share: fc.integer({ min: 0, max: 6 }), bias: fc.nat(2) })
  .map(({ network, seed, share, bias }) => {
    const weights = drawWeights(network, numbers(seed));
    const pruned = applyMasks(weights, prune(weights, { share: share / 20 }));
    const cut = (value: number): number => (bias === 0 ? 0 : bias === 1 ? -Math.abs(value) : value);
    return {
      network,
      weights: pruned.map((tensor) =>
        tensor.name.endsWith(".bias") ? { ...tensor, values: tensor.values.map(cut) } : tensor,
      ),
    };
  });

/** How many weights lead into a unit and out of it, by plain loops over the tensors' shapes. */
function linksOf(network: Network, weights: Weights): { layer: string; into: number[]; outOf: number[] }[] {
  const layers = network.layers.filter((layer) => layer.type === "convolution" || layer.type === "dense");
  const tensors = layers.map(({ name }) => weights.find((tensor) => tensor.name === `${name}.weight`)!);
  return layers.slice(0, -1).map(({ name }, i) => {
    const units = tensors[i]!.shape.at(-1)!;
    const into = new Array<number>(units).fill(0);
    const outOf = new Array<number>(units).fill(0);
    tensors[i]!.values.forEach((value, at) => (into[at % units]! += Number(value !== 0)));
    const next = tensors[i + 1]!;
    const after = next.shape.at(-1)!;
    next.values.forEach((value, at) => (outOf[Math.floor(at / after) % units]! += Number(value !== 0)));
    return { layer: name, into, outOf };
  });
}

suite("dead units", () => {
  test("are cleared or removed, and the network says the same", async () => {
    let found = 0;
    await fc.assert(
      fc.asyncProperty(sparse, async ({ network, weights }) => {
        const before = structuredClone(weights);
        const expected = await outputsOf(network, weights);
        const size = expected.reduce((most, y) => Math.max(most, Math.abs(y)), 1);
        const cleared = clearDead(network, weights);
        const removed = removeDead(network, weights);
        assert.deepEqual(weights, before, "the input is left alone");
        for (const [i, y] of (await outputsOf(network, cleared.weights)).entries()) {
          assert.ok(Math.abs(y - expected[i]!) <= 1e-5 * size, `${y} is not ${expected[i]}`);
        }
        assert.deepEqual(await outputsOf(removed.network, removed.weights), await outputsOf(network, cleared.weights));
        assert.deepEqual(
          removed.weights.map(({ name, shape }) => ({ name, shape })),
          parametersOf(removed.network),
        );
        assert.deepEqual(clearDead(network, cleared.weights), cleared, "twice is the same as once");
        for (const { layer, into, outOf } of linksOf(network, cleared.weights)) {
          const { dead } = cleared.dead.find((entry) => entry.layer === layer)!;
          found += dead.length;
          for (const [unit, count] of outOf.entries()) assert.equal(count === 0, dead.includes(unit), layer);
          for (const unit of dead) assert.equal(into[unit], 0, layer);
        }
      }),
      { numRuns: 200 },
    );
    assert.ok(found > 200, `${found} dead units seen`);
  });

  test("whose constant is 0 leave every bit of the others as it was", async () => {
    await fc.assert(
      fc.asyncProperty(sparse, async ({ network, weights }) => {
        const silent: Network = {
          ...network,
          layers: network.layers.map((layer) =>
            "activation" in layer && layer.name !== "out" ? { ...layer, activation: "relu" as const } : layer,
          ),
        };
        const off = weights.map((tensor) =>
          tensor.name.endsWith(".bias") && tensor.name !== "out.bias"
            ? { ...tensor, values: tensor.values.map((value) => -Math.abs(value)) }
            : tensor,
        );
        const { weights: cleared } = clearDead(silent, off);
        assert.deepEqual(await outputsOf(silent, cleared), await outputsOf(silent, off));
        const links = linksOf(silent, cleared);
        for (const { into, outOf } of links) {
          for (const [unit, count] of into.entries()) assert.equal(count === 0, outOf[unit] === 0);
        }
      }),
      { numRuns: 100 },
    );
  });

  test("by hand: one without outputs, one without inputs, and one that only they led to", () => {
    const network: Network = {
      name: "tiny",
      input: { height: 1, width: 1, channels: 2, scale: 1, offset: 0 },
      layers: [
        { type: "flatten" },
        { type: "dense", name: "a", units: 3, bias: true, activation: "relu" },
        { type: "dense", name: "b", units: 2, bias: true, activation: "relu" },
        { type: "dense", name: "c", units: 1, bias: true, activation: "none" },
      ],
      classes: ["0"],
    };
    const tensor = (name: string, shape: number[], ...values: number[]) => ({
      name,
      shape,
      values: Float32Array.from(values),
    });
    // a1 has no outputs, a2 no inputs and says 2; b1 hears a2 alone.
    const weights = [
      tensor("a.weight", [2, 3], 1, 5, 0, 1, 5, 0),
      tensor("a.bias", [3], 0, 1, 2),
      tensor("b.weight", [3, 2], 4, 0, 0, 0, 0.5, 3),
      tensor("b.bias", [2], 1, -1),
      tensor("c.weight", [2, 1], 7, 10),
      tensor("c.bias", [1], 0.25),
    ];
    const { network: smaller, weights: left, dead } = removeDead(network, weights);
    assert.deepEqual(dead, [
      { layer: "a", units: 3, dead: [1, 2] },
      { layer: "b", units: 2, dead: [1] },
    ]);
    assert.equal(smaller.name, "tiny 1-1");
    // b0 gains 0.5 * 2; b1 says relu(-1 + 3 * 2) = 5, of which the output has 50.
    assert.deepEqual(
      left.map(({ name, shape, values }) => [name, shape, [...values]]),
      [
        ["a.weight", [2, 1], [1, 1]],
        ["a.bias", [1], [0]],
        ["b.weight", [1, 1], [4]],
        ["b.bias", [1], [2]],
        ["c.weight", [1, 1], [7]],
        ["c.bias", [1], [50.25]],
      ],
    );
  });

  test("are looked for in weights of the network, which are finite", () => {
    const weights = drawWeights(lenet300, numbers(1));
    assert.throws(() => clearDead(lenet300, weights.slice(1)), /lenet300 needs a tensor "fc1.weight"/);
    weights[0]!.values[3] = NaN;
    assert.throws(() => clearDead(lenet300, weights), /fc1.weight holds NaN at index 3/);
  });
});

suite("dropout after pruning", () => {
  const masksOf = (network: Network, kept: Readonly<Record<string, number>>) =>
    parametersOf(network).map(({ name, shape }) => {
      const size = shape.reduce((product, axis) => product * axis, 1);
      const values = new Uint8Array(size);
      return { name, shape, values: values.fill(1, 0, Math.round(size * (kept[name] ?? 1))) };
    });

  test("is rescaled by the square root of what is left of the connections into the units", () => {
    const network: Network = {
      ...lenet300,
      layers: lenet300.layers.flatMap((layer) =>
        "name" in layer && layer.name !== "fc3" ? [layer, { type: "dropout" as const, keep: 0.5 }] : [layer],
      ),
    };
    const half = masksOf(network, { "fc1.weight": 0.5 });
    const tenth = masksOf(network, { "fc1.weight": 0.1, "fc2.weight": 0 });
    const keeps = ({ layers }: Network) => layers.flatMap((layer) => (layer.type === "dropout" ? [layer.keep] : []));
    const [first, second] = keeps(rescaleDropout(network, masksOf(network, {}), tenth)) as [number, number];
    assert.ok(Math.abs(first - 0.841886) < 5e-7, String(first));
    // Units that nothing leads into are not dropped.
    assert.equal(second, 1);
    // In two steps as in one.
    const [twice] = keeps(rescaleDropout(rescaleDropout(network, masksOf(network, {}), half), half, tenth));
    assert.ok(Math.abs(twice! - first) < 1e-12);
    assert.throws(() => rescaleDropout(network, tenth, half), /fc1 has 117600 connections, and had 23520/);
    assert.throws(() => rescaleDropout(network, [], half), /no mask of "fc1.weight"/);
  });

  test("leaves networks without it as they are", () => {
    const masks = masksOf(lenet300, {});
    assert.deepEqual(rescaleDropout(lenet300, masks, masks), lenet300);
    assert.equal(cnn1024.layers.filter(({ type }) => type === "dropout").length, 1);
  });
});
