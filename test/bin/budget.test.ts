import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type BudgetState, compressWithin, noBudgetState } from "../../bin/budget.ts";
import { pruneAndRetrain } from "../../bin/chain.ts";
import { countKept, pack, type Section, toWeights } from "../../codecs/index.ts";
import { createRuntime, parametersOf, type Weights } from "../../lib/index.ts";
import { evaluate, initialise } from "../../models/index.ts";
import { smallData, smallNetwork } from "../models/small.ts";

const runtime = await createRuntime({ device: "reference" });
const network = smallNetwork();
const training = smallData(40);
const weights = initialise(network, 1);
const sizeOf = (sections: readonly Section[]): number => pack({ network, sections }).length;
const lossOf = async (some: Weights): Promise<number> =>
  (await evaluate({ runtime, network, weights: some, data: training })).loss;
const common = { runtime, network, training, seed: 1, batchSize: 20, rate: 0.01, rounds: 2, epochs: 1, tuning: 1 };

suite("a file within a budget", () => {
  test("has at most so many bytes and all the network's tensors", async () => {
    for (const bytes of [112, 250]) {
      const sections = await compressWithin(weights, { ...common, bytes, sizeOf, lossOf });
      assert.ok(sizeOf(sections) <= bytes, `${sizeOf(sections)} of ${bytes}`);
      assert.deepEqual(
        toWeights({ network, sections }).map(({ name, shape }) => ({ name, shape })),
        parametersOf(network),
      );
    }
  });

  test("can be stopped after any step and goes on to the same file", async () => {
    const states: BudgetState[] = [];
    const options = { ...common, bytes: 112, sizeOf, lossOf };
    const whole = await compressWithin(weights, {
      ...options,
      save: (state) => Promise.resolve(void states.push(structuredClone(state))),
    });
    const searched = states.filter(({ shares }) => shares === null).length;
    assert.ok(searched > 20 && states.length >= searched + 3, `${searched} of ${states.length}`);
    for (const state of [noBudgetState, states[7]!, states[searched]!, states[searched + 1]!, states.at(-1)!]) {
      let probes = 0;
      const resumed = await compressWithin(weights, { ...options, state, onProbe: () => (probes += 1) });
      assert.deepEqual(resumed, whole);
      if (state.shares !== null) assert.ok(probes < searched, "what was searched is not searched again");
    }
  });

  test("that nothing fits into is refused with what would fit", async () => {
    const refused = compressWithin(weights, { ...common, bytes: 40, sizeOf, lossOf });
    await assert.rejects(refused, /compress: 40 bytes are too few, the least is about \d+/);
  });
});

suite("pruning in rounds", () => {
  test("goes on from the round it got to, to the same weights", async () => {
    const rules = { "d1.weight": { share: 0.3 } };
    const seen: Parameters<NonNullable<Parameters<typeof pruneAndRetrain>[1]["onRound"]>>[0][] = [];
    const options = { ...common, rules, rounds: 3 };
    const whole = await pruneAndRetrain(weights, { ...options, onRound: (state) => void seen.push(state) });
    assert.deepEqual(seen.map(({ round }) => round), [1, 2, 3]);
    for (const from of seen) assert.deepEqual(await pruneAndRetrain(weights, { ...options, from }), whole);
    const kept = seen.map(({ masks }) => countKept(masks));
    assert.ok(kept[0]! > kept[1]! && kept[1]! > kept[2]!, kept.join(" "));
  });

  test("by deviations ends with about what one round keeps, as those before the first count", async () => {
    const rules = { "d1.weight": { deviations: 1 } };
    const keptAfter = async (rounds: number): Promise<number> => {
      const kept: number[] = [];
      // A rate at which weights hardly move.
      const options = { ...common, rate: 1e-6, rules, rounds };
      await pruneAndRetrain(weights, { ...options, onRound: ({ masks }) => void kept.push(countKept(masks)) });
      assert.ok(kept.every((count, i) => i === 0 || count <= kept[i - 1]!), kept.join(" "));
      assert.ok(rounds === 1 || kept[0]! > kept.at(-1)!, kept.join(" "));
      return kept.at(-1)!;
    };
    const [one, four] = [await keptAfter(1), await keptAfter(4)];
    assert.ok(Math.abs(one - four) <= 1, `${one} and ${four}`);
  });

  test("with one share for all keeps the largest wherever they are, and what was pruned stays so", async () => {
    const together = await pruneAndRetrain(weights, { ...common, together: 0.25, rounds: 2 });
    const matrices = together.filter(({ name }) => name.endsWith(".weight"));
    const count = matrices.reduce((sum, { values }) => sum + values.length, 0);
    const left = matrices.reduce((sum, { values }) => sum + values.filter((value) => value !== 0).length, 0);
    assert.equal(left, Math.round(0.25 * count));
    const masks = weights.map(({ name, shape, values }) => ({
      name,
      shape,
      values: Uint8Array.from(values, (_, i) => (name === "d2.weight" && i === 4 ? 0 : 1)),
    }));
    const retrained = await pruneAndRetrain(weights, { ...common, rounds: 1, masks });
    const held = retrained.find(({ name }) => name === "d2.weight");
    assert.equal(held!.values[4], 0);
    assert.equal(held!.values.filter((value) => value === 0).length, 1);
  });
});
