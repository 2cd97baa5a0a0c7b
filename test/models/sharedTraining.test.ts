import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { createRuntime, type NamedArray } from "../../lib/index.ts";
import { fit, type FitOptions, initialise, type SharedGroup, sharedTraining } from "../../models/index.ts";
import { smallData, smallNetwork } from "./small.ts";

const runtime = await createRuntime({ device: "reference" });
const network = smallNetwork("tanh", 1);
const weights = initialise(network, 1);
const names = weights.map(({ name }) => name);

/** Small weights are zero, the others one negative or positive number in each matrix; both biases share one of two. */
const groups: readonly SharedGroup[] = [
  ...weights
    .filter(({ name }) => name.endsWith(".weight"))
    .map(({ name, shape, values }) => ({
      name: `${name}.book`,
      entries: Float32Array.of(-0.4, 0, 0.4),
      tensors: [{ name, shape, indices: Uint8Array.from(values, (w) => (w < -0.2 ? 0 : w > 0.2 ? 2 : 1)) }],
    })),
  {
    name: "biases",
    entries: Float32Array.of(-0.1, 0.2),
    tensors: weights
      .filter(({ name }) => name.endsWith(".bias"))
      .map(({ name, shape, values }) => ({ name, shape, indices: Array.from(values, (_, i) => i % 2) })),
  },
];

const base: FitOptions = {
  runtime,
  network,
  data: { train: smallData(40), validation: smallData(20, 2) },
  steps: 1,
  batchSize: 40,
  optimizer: { name: "sgd" },
  schedule: { name: "constant", rate: 0.1 },
};

suite("shared training", () => {
  test("an entry moves by the sum of what its members would, and zero stays", async () => {
    const shared = sharedTraining(groups, names);
    const result = await fit({ ...base, ...shared });
    const spread = (entries: readonly Float32Array[]): NamedArray[] =>
      names.map((name) => {
        const at = groups.findIndex(({ tensors }) => tensors.some((tensor) => tensor.name === name));
        const { shape, indices } = groups[at]!.tensors.find((tensor) => tensor.name === name)!;
        return { name, shape, values: Float32Array.from(indices, (index) => entries[at]![index]!) };
      });
    const before = spread(groups.map(({ entries }) => entries));
    const free = await fit({ ...base, weights: before });

    groups.forEach(({ entries, tensors }, g) => {
      const moved = new Float64Array(entries.length);
      for (const { name, indices } of tensors) {
        const t = names.indexOf(name);
        const after = free.weights[t]!.values;
        Array.from(indices).forEach((index, i) => (moved[index]! += after[i]! - before[t]!.values[i]!));
      }
      entries.forEach((entry, k) => {
        const expected = entry === 0 ? 0 : entry + moved[k]!;
        const got = result.trained[g]!.values[k]!;
        assert.ok(Math.abs(got - expected) < 1e-5, `${groups[g]!.name}[${k}] is ${got}, not ${expected}`);
        if (entry === 0) assert.equal(got, 0);
      });
      assert.notDeepEqual(result.trained[g]!.values, entries, `${groups[g]!.name} did not move`);
    });
    assert.deepEqual(result.weights, spread(result.trained.map(({ values }) => values)));
  });

  test("training entries lowers the loss", async () => {
    const { history } = await fit({ ...base, ...sharedTraining(groups, names), steps: 100 });
    assert.ok(history.at(-1)!.loss < 0.9 * history[0]!.loss, `${history[0]!.loss} to ${history.at(-1)!.loss}`);
  });

  test("a checkpoint of another assignment is refused", async () => {
    let saved: Uint8Array | undefined;
    const checkpoint = { every: 1, save: (bytes: Uint8Array) => void (saved ??= bytes) };
    await fit({ ...base, ...sharedTraining(groups, names), steps: 2, checkpoint });
    await fit({ ...base, ...sharedTraining(groups, names), steps: 2, resume: saved! });
    const other = groups.map((group) => ({
      ...group,
      tensors: group.tensors.map((tensor) => ({ ...tensor, indices: Uint8Array.from(tensor.indices, () => 1) })),
    }));
    const resumed = fit({ ...base, ...sharedTraining(other, names), steps: 2, resume: saved! });
    await assert.rejects(resumed, /another (masks|parametrisation)/);
  });

  test("refuses groups that are not the network's", () => {
    assert.throws(() => sharedTraining(groups.slice(1), names), /c1\.weight is in no group/);
    assert.throws(() => sharedTraining(groups, names.slice(1)), /the groups have 5 tensors, the network 4/);
    const [first, ...others] = groups;
    const short = { ...first!, entries: Float32Array.of(1) };
    const beyond = /index \d+ of c1\.weight must be a whole number from 0 to 0, got \d/;
    assert.throws(() => sharedTraining([short, ...others], names), beyond);
  });
});
