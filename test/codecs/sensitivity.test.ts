import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { pack, sectionsOf } from "../../codecs/index.ts";
import { countKept, prune } from "../../codecs/prune.ts";
import { sensitivity, type SensitivityPoint } from "../../codecs/sensitivity.ts";
import { chooseWithin, probe, type Probe } from "../../codecs/sensitivity/budget.ts";
import { lenet300 } from "../../lib/architectures.ts";
import type { Weights } from "../../lib/weights.ts";
import { smallWeights } from "./arbitraries.ts";
import { drawWeights, numbers } from "./lump/planted.ts";

const sum = (weights: Weights): number =>
  weights.reduce((all, { values }) => values.reduce((part, value) => part + Math.abs(value), all), 0);

suite("sensitivity", () => {
  test("measures each tensor pruned alone, and the rest as it was", async () => {
    await fc.assert(
      fc.asyncProperty(smallWeights, async (weights) => {
        const shares = [1, 0.5, 0];
        const points = await sensitivity(weights, { accuracy: sum, shares });
        assert.equal(points.length, 6);
        for (const { tensor, share, kept, accuracy } of points) {
          const masks = prune(weights, { [tensor]: { share } });
          assert.equal(kept, countKept(masks.filter(({ name }) => name === tensor)));
          const others = sum(weights.filter(({ name }) => name !== tensor));
          const own = weights.filter(({ name }) => name === tensor)[0]!.values;
          const left = Array.from(own, Math.abs).sort((a, b) => b - a).slice(0, kept);
          const expected = others + left.reduce((all, value) => all + value, 0);
          assert.ok(Math.abs(accuracy - expected) < 1e-3, `${tensor} ${share}: ${accuracy}, not ${expected}`);
        }
      }),
      { numRuns: 30 },
    );
  });

  test("goes on from the points it is given, and stops when it is told", async () => {
    const weights = drawWeights(lenet300, numbers(1));
    const seen: SensitivityPoint[] = [];
    const controller = new AbortController();
    const options = { accuracy: sum, shares: [0.5, 0.1], tensors: ["fc3.weight", "fc2.weight"] };
    const stopped = sensitivity(weights, {
      ...options,
      signal: controller.signal,
      onPoint: (point, done, total) => {
        seen.push(point);
        assert.deepEqual([done, total], [seen.length, 4]);
        if (done === 3) controller.abort(new Error("stop"));
      },
    });
    await assert.rejects(stopped, /stop/);
    assert.equal(seen.length, 3);
    let measured = 0;
    const count = (some: Weights): number => ((measured += 1), sum(some));
    const resumed = await sensitivity(weights, { ...options, accuracy: count, known: seen });
    assert.equal(measured, 1);
    assert.deepEqual(resumed, await sensitivity(weights, options));
  });

  test("refuses shares that are none and tensors that are not there, before anything is measured", async () => {
    const weights = drawWeights(lenet300, numbers(1));
    const accuracy = (): number => assert.fail("nothing is to be measured");
    for (const share of [-0.1, 1.1, NaN]) {
      await assert.rejects(sensitivity(weights, { accuracy, shares: [share] }), /shares must be from 0 to 1/);
    }
    await assert.rejects(sensitivity(weights, { accuracy, tensors: ["conv1.weight"] }), /no tensor "conv1.weight"/);
    await assert.rejects(sensitivity([], { accuracy }), /needs a tensor called <layer>.weight/);
  });
});

suite("a budget in bytes", () => {
  const someProbes = fc
    .array(fc.array(fc.tuple(fc.nat(20), fc.integer({ min: -20, max: 100 })), { minLength: 1, maxLength: 5 }), {
      minLength: 1,
      maxLength: 4,
    })
    .map((groups) =>
      groups.flatMap((own, g) =>
        own.map(([bytes, loss], i): Probe => ({ group: `g${g}`, share: 1, bits: i, bytes, loss: loss / 10 })),
      ),
    );

  /** Every way to take one probe of each group. */
  function waysOf(probes: readonly Probe[]): Probe[][] {
    const groups = [...new Set(probes.map(({ group }) => group))];
    return groups.reduce<Probe[][]>(
      (ways, group) => ways.flatMap((way) => probes.filter((p) => p.group === group).map((p) => [...way, p])),
      [[]],
    );
  }
  const bytesOf = (way: readonly Probe[]): number => way.reduce((all, { bytes }) => all + bytes, 0);
  const lossOf = (way: readonly Probe[]): number => way.reduce((all, { loss }) => all + loss, 0);

  test("is kept with the least loss of all ways, or not at all", () => {
    fc.assert(
      fc.property(someProbes, fc.nat(60), (probes, budget) => {
        const chosen = chooseWithin(probes, budget);
        const fitting = waysOf(probes).filter((way) => bytesOf(way) <= budget);
        if (fitting.length === 0) return assert.equal(chosen, undefined);
        assert.ok(chosen !== undefined && bytesOf(chosen) <= budget);
        assert.equal(new Set(chosen.map(({ group }) => group)).size, chosen.length);
        assert.ok(lossOf(chosen) <= Math.min(...fitting.map(lossOf)) + 1e-9);
      }),
    );
  });

  test("of megabytes is kept too, and what has no finite loss is the last choice", () => {
    const of = (group: string, bytes: number, loss: number): Probe => ({ group, share: 1, bits: 1, bytes, loss });
    const probes = [of("a", 3e6, 0), of("a", 1e6, 1), of("b", 3e6, NaN), of("b", 1e6, 5)];
    assert.deepEqual(chooseWithin(probes, 4.1e6), [probes[0], probes[3]]);
    assert.deepEqual(chooseWithin(probes, 2.1e6), [probes[1], probes[3]]);
    assert.equal(chooseWithin(probes, 1.9e6), undefined);
    assert.throws(() => chooseWithin(probes, NaN), RangeError);
  });

  test("is probed group by group: bytes are those of the section, loss that of the treated weights", async () => {
    const weights = drawWeights(lenet300, numbers(3));
    const groups = [
      { name: "fc3.weight", tensors: ["fc3.weight"], shares: [0.5, 0.1], bits: [2] },
      { name: "biases", tensors: ["fc1.bias", "fc2.bias", "fc3.bias"], shares: [1], bits: [1, 3] },
    ];
    let last: Weights = [];
    const seen: Probe[] = [];
    const probes = await probe(weights, {
      groups,
      loss: (treated) => {
        last = treated;
        return sum(treated);
      },
      onProbe: (found, done, total) => {
        seen.push(found);
        assert.deepEqual([done, total], [seen.length, 4]);
        const { tensors } = groups.find(({ name }) => name === found.group)!;
        for (const [i, tensor] of last.entries()) {
          if (!tensors.includes(tensor.name)) assert.deepEqual(tensor, weights[i], "the others are as they were");
        }
        const own = last.filter(({ name }) => tensors.includes(name));
        const distinct = new Set(own.flatMap(({ values }) => [...values]).filter((value) => value !== 0));
        assert.ok(distinct.size <= 2 ** found.bits);
        // The file of zeros, with this group in it: the section takes what the probe says, and its head a byte or two.
        const zeros = last.map((tensor) => ({ ...tensor, values: tensor.values.map(() => 0) }));
        const file = last.map((tensor, k) => (tensors.includes(tensor.name) ? tensor : zeros[k]!));
        const sections = sectionsOf(file).filter((section) => section.tensors[0] === tensors[0]);
        const all = pack({ network: lenet300, sections: sectionsOf(file) }).length;
        const none = pack({ network: lenet300, sections: sectionsOf(zeros) }).length;
        assert.equal(sections.length, 1);
        assert.ok(Math.abs(all - none - found.bytes) <= 6, `${all} - ${none} is not ${found.bytes}`);
      },
    });
    assert.deepEqual(probes, seen);
    const again = await probe(weights, { groups, known: probes, loss: () => assert.fail("all is known") });
    assert.deepEqual(again, probes);
  });
});
