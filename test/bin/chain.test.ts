import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { compressChain, pruneAndRetrain, shareAndTune } from "../../bin/node/index.ts";
import { sizesOf } from "../../bin/rules.ts";
import { pack, toWeights, unpack } from "../../codecs/index.ts";
import { createRuntime, type Weights } from "../../lib/index.ts";
import { initialise } from "../../models/index.ts";
import { smallData, smallNetwork } from "../models/small.ts";

const runtime = await createRuntime({ device: "reference" });
const network = smallNetwork();
const common = { runtime, network, training: smallData(40), seed: 1, batchSize: 20, rate: 0.01 };
const weights = initialise(network, 1);
const valuesOf = (all: Weights, name: string): Float32Array => all.find((tensor) => tensor.name === name)!.values;
const isZero = (value: number): boolean => value === 0;

suite("the chain", () => {
  test("pruning keeps as many as it was told, rounds or not, and what is gone stays gone", async () => {
    const shares = fc.integer({ min: 1, max: 10 }).map((n) => n / 10);
    await fc.assert(
      fc.asyncProperty(shares, fc.integer({ min: 1, max: 3 }), async (share, rounds) => {
        const rules = { "d1.weight": { share } };
        const pruned = await pruneAndRetrain(weights, { ...common, rules, rounds, epochs: 1 });
        const { length } = valuesOf(weights, "d1.weight");
        const zeros = valuesOf(pruned, "d1.weight").filter(isZero).length;
        assert.equal(zeros, length - Math.round(share * length));
        assert.ok(!valuesOf(pruned, "c1.weight").some(isZero), "a tensor without a rule keeps all it has");
      }),
      { numRuns: 10 },
    );
  });

  test("tuning moves the shared values, and neither their number nor the zeros", async () => {
    const rules = { "c1.weight": { share: 0.5 }, "d1.weight": { share: 0.3 } };
    const pruned = await pruneAndRetrain(weights, { ...common, rules, rounds: 1, epochs: 1 });
    const sizes = sizesOf(2, network, {});
    const from = await shareAndTune(pruned, { ...common, sizes, start: "linear", epochs: 0 });
    const to = await shareAndTune(pruned, { ...common, sizes, start: "linear", epochs: 2 });
    const [before, after] = [from, to].map((sections) => toWeights({ network, sections }));
    assert.notDeepEqual(after, before);
    for (const [i, { name, values }] of after!.entries()) {
      if (!name.endsWith(".weight")) continue;
      assert.ok(new Set(values.filter((value) => value !== 0)).size <= 4, name);
      assert.deepEqual(Array.from(values, isZero), Array.from(before![i]!.values, isZero), name);
    }
  });

  test("a network of zeros has a file too", async () => {
    const zeros = weights.map((tensor) => ({ ...tensor, values: tensor.values.map(() => 0) }));
    const sizes = sizesOf(3, network, {});
    const sections = await shareAndTune(zeros, { ...common, sizes, start: "linear", epochs: 1 });
    const read = toWeights(unpack(pack({ network, sections })));
    assert.deepEqual(read, zeros);
  });

  test("the whole of it gives the same bytes every time", async () => {
    const rules = { "d1.weight": { share: 0.4 } };
    const options = { ...common, rules, sizes: sizesOf(3, network, {}), rounds: 2, epochs: 1, tuning: 1 };
    const [one, two] = [await compressChain(weights, options), await compressChain(weights, options)];
    assert.deepEqual(pack({ network, sections: one }), pack({ network, sections: two }));
  });
});
