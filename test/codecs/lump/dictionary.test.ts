import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { lumpDictionary, readDictionary, runDictionary } from "../../../codecs/lump/dictionary.ts";
import type { NeuronDictionary } from "../../../codecs/lump/dictionary.ts";
import { publishedText } from "../../../codecs/lump/publishedText.ts";
import { numbers } from "./planted.ts";

/** The published example. */
const toy: NeuronDictionary = {
  k: 4,
  S: [[0, 1], [2, 3], [4, 5], [6]],
  W: {
    1: { "0,2": 0.1, "1,3": 0.2, "0,3": 0.3, "1,2": 0.4 },
    2: { "2,4": 0.5, "3,4": 0.6, "2,5": 1, "3,5": 1.2 },
    3: { "4,6": 0.7, "5,6": 0.8 },
  },
  b: { 1: { 2: 0.1, 3: 0.2 }, 2: { 4: 0.3, 5: 0.6 }, 3: { 6: 0.4 } },
  A: { 1: { 2: "ReLU", 3: "ReLU" }, 2: { 4: "ReLU", 5: "ReLU" }, 3: { 6: "ReLU" } },
};
const inputs = [[1, 1], [0.3, -0.2], [2, 5], [-3, 1]];
const near = (found: readonly number[], wanted: readonly number[]): void =>
  found.forEach((value, i) => assert.ok(Math.abs(value - wanted[i]!) < 1e-12, `${value} is not ${wanted[i]}`));

suite("lumpDictionary", () => {
  test("the published example: the same classes, 2.3 instead of 1.1, and the function stays", () => {
    const lumped = lumpDictionary(toy);
    assert.deepEqual(lumped.S, [[0, 1], [2, 3], [4], [6]]);
    assert.deepEqual(lumped.layers.map(({ classes }) => classes), [[], [{ units: [4, 5], factors: [1, 2] }], []]);
    assert.deepEqual(lumped.W[2], { "2,4": 0.5, "3,4": 0.6 });
    near([lumped.W[3]!["4,6"]!], [2.3]);
    assert.deepEqual([lumped.k, lumped.b[2], lumped.A[3]], [4, { 4: 0.3 }, { 6: "ReLU" }]);
    const outputs = [2.746, 1.4925, 6.219, 1.32];
    near(inputs.flatMap((x) => runDictionary(toy, x)), outputs);
    near(inputs.flatMap((x) => runDictionary(lumped, x)), outputs);
    // What the published weight would give.
    const faulty = { ...lumped, W: { ...lumped.W, 3: { "4,6": 1.1 } } };
    near(inputs.flatMap((x) => runDictionary(faulty, x)), [1.522, 0.9225, 3.183, 0.84]);
  });

  test("the published text, its faults included", () => {
    assert.equal(
      publishedText(toy),
      [
        "4",
        "{0: {0: [0], 1: [1]}, 1: {(2,): [2], (3,): [3]}, 2: {(4, 5): [4, 5]}, 5: 0.5, 3: {(6,): [6]}}",
        "{1: {(0, (2,)): 0.1, (1, (2,)): 0.4, (0, (3,)): 0.3, (1, (3,)): 0.2}, " +
          "2: {((2,), (4,)): 0.5, ((3,), (4,)): 0.6}, 3: {((4, 5), (6,)): 1.1}}",
        "{1: {(2,): 0.1, (3,): 0.2}, 2: {(4,): 0.3}, 3: {(6,): 0.4}}",
        "{1: {(2,): 'ReLU', (3,): 'ReLU'}, 2: {(4,): 'ReLU'}, 3: {(6,): 'ReLU'}}",
      ].join("\n"),
    );
    const unbiased = { ...toy, b: { ...toy.b, 1: { 2: 0, 3: 0 } } };
    assert.throws(() => publishedText(unbiased), /divides by the bias of neuron 3, 0/);
  });

  test("activations that differ keep neurons apart, and names may be written in several ways", () => {
    const mixed = (name: string) => lumpDictionary({ ...toy, A: { ...toy.A, 2: { 4: "ReLU", 5: name } } }).S[2];
    assert.deepEqual(mixed("relu"), [4]);
    assert.deepEqual(mixed("tanh"), [4, 5]);
    assert.deepEqual(mixed("leaky_relu"), [4, 5]);
    assert.deepEqual(readDictionary({ ...toy, A: { ...toy.A, 3: { 6: "Linear" } } }).A[3], { 6: "Linear" });
  });

  test("what comes out can go in, and goes in as it came out of Python", () => {
    const text = JSON.stringify(toy).replace(/"(\d+),(\d+)"/g, '"($1, $2)"');
    assert.deepEqual(readDictionary(JSON.parse(text)), readDictionary(toy));
    const lumped = JSON.parse(JSON.stringify(lumpDictionary(toy))) as NeuronDictionary;
    assert.deepEqual(lumpDictionary(lumped).W, lumped.W);
  });

  test("keeps outputs within 1e-12 and finds planted multiples, whatever their activations", () => {
    const names = fc.constantFrom("ReLU", "tanh", "linear", "sigmoid", "LeakyReLU");
    const units = fc.array(fc.record({ name: names, copies: fc.nat(2) }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(units, fc.nat(1e6), (neurons, seed) => {
        const next = numbers(seed);
        const hidden = neurons.flatMap(({ name, copies }, group) => new Array(copies + 1).fill({ name, group }));
        const rows = neurons.map(() => [next(), next(), next()]);
        const isFree = (name: string): boolean => name !== "tanh" && name !== "sigmoid";
        const ids = hidden.map((_, i) => 10 + i);
        const factors = hidden.map(({ name }) => (isFree(name) ? 0.25 + Math.abs(next()) : 1));
        const of = <T>(value: (i: number) => T) => Object.fromEntries(ids.map((id, i) => [id, value(i)]));
        const row = (i: number): number[] => rows[hidden[i]!.group]!.map((value) => factors[i]! * value);
        const dictionary = readDictionary({
          k: 3,
          S: [[0, 1], ids, [99]],
          W: {
            1: Object.fromEntries(ids.flatMap((id, i) => [[`0,${id}`, row(i)[0]], [`1,${id}`, row(i)[1]]])),
            2: Object.fromEntries(ids.map((id) => [`${id},99`, next()])),
          },
          b: { 1: of((i) => row(i)[2]), 2: { 99: next() } },
          A: { 1: of((i) => hidden[i]!.name as string), 2: { 99: "linear" } },
        });
        const lumped = lumpDictionary(dictionary);
        assert.ok(lumped.S[1]!.length <= neurons.length, `${lumped.S[1]!.length} of ${neurons.length}`);
        for (let n = 0; n < 5; n++) {
          const x = [next() / 3, next() / 3];
          const [before, after] = [runDictionary(dictionary, x)[0]!, runDictionary(lumped, x)[0]!];
          assert.ok(Math.abs(before - after) <= 1e-12 * (1 + Math.abs(before)) + lumped.bound, `${before}, ${after}`);
          assert.ok(Math.abs(before - after) <= 1e-10, `${before}, ${after}`);
        }
      }),
    );
  });

  test("what is no dictionary is refused, and the message says where", () => {
    const refused: readonly (readonly [what: unknown, message: RegExp])[] = [
      [null, /dictionary must be an object, got null/],
      [[toy], /dictionary must be an object/],
      [{ ...toy, S: [[0, 1]] }, /S must be a list of two layers or more/],
      [{ ...toy, k: 3 }, /k must count the layers of S, the inputs too: 4, got 3/],
      [{ ...toy, S: [[0, 1], [2, 3], [4, 5], []] }, /S\[3\] must be a list of at least one neuron/],
      [{ ...toy, S: [[0, 1], [2, "3"], [4, 5], [6]] }, /S\[1\] must hold whole numbers from 0 up, got "3"/],
      [{ ...toy, S: [[0, 1], [2, 3], [4, 3], [6]] }, /neuron 3 is in layers 1 and 2/],
      [{ ...toy, W: { ...toy.W, 4: {} } }, /W has an entry "4", layers go from 1 to 3/],
      [{ ...toy, W: { 1: toy.W[1], 2: toy.W[2] } }, /W\[3\] must be an object, got nothing/],
      [{ ...toy, W: { ...toy.W, 3: { "4,6": 1, "5,7": 1 } } }, /W\[3\]: there is no neuron 7, in edge 5,7/],
      [{ ...toy, W: { ...toy.W, 3: { "4,6": 1 } } }, /W\[3\]: the weight of edge 5,6 is missing/],
      [{ ...toy, W: { ...toy.W, 3: { "4,6": 1, "2,6": 1 } } }, /edge 2,6 leads from layer 1 to 3; edges that skip/],
      [{ ...toy, W: { ...toy.W, 3: { "4,6": 1, "(4, 6)": 1 } } }, /the edge from 4 to 6 is there twice/],
      [{ ...toy, W: { ...toy.W, 3: { "4-6": 1 } } }, /has a key "4-6", which is not from,to/],
      [{ ...toy, W: { ...toy.W, 3: { "4,6": "1", "5,6": 1 } } }, /W\[3\]\[4,6\] must be a finite number, got "1"/],
      [{ ...toy, b: { ...toy.b, 2: { 4: 0.3 } } }, /b\[2\] has no entry for neuron 5/],
      [{ ...toy, b: { ...toy.b, 2: { 4: 0.3, 6: 1 } } }, /b\[2\] is about neuron 6, which is not in layer 2/],
      [{ ...toy, b: { ...toy.b, 3: { 6: null } } }, /b\[3\]\[6\] must be a finite number, got null/],
      [{ ...toy, A: { ...toy.A, 3: { 6: "softplus" } } }, /A\[3\]\[6\] must be one of none, .* got "softplus"/],
      [{ ...toy, A: { ...toy.A, 3: { 6: "constructor" } } }, /A\[3\]\[6\] must be one of/],
    ];
    for (const [value, message] of refused) {
      assert.throws(
        () => readDictionary(value),
        (error) => error instanceof RangeError && message.test(error.message),
        String(message),
      );
    }
    assert.throws(() => lumpDictionary(toy, { tolerance: 1 }), RangeError);
    assert.throws(() => runDictionary(toy, [1]), /it has 2 inputs, got 1/);
  });
});
