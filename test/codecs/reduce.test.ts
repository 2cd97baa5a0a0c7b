import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { FormatError } from "../../codecs/codec.ts";
import { readNeurons, readVectors } from "../../codecs/reduce/csv.ts";
import type { Neuron, Reduced } from "../../codecs/reduce/neuron.ts";
import { reduceByFit, reduceByMultiples, reduceGreedily, reduceToSubset } from "../../codecs/reduce/reduce.ts";

/** A neuron of inputs whose output is y: all weights but one are 0. */
const giving = (y: number, ...inputs: number[]): Neuron => {
  const at = inputs.findIndex((x) => x !== 0);
  return { weights: inputs.map((x, i) => (i === at ? y / x : 0)), inputs: [inputs] };
};
const neuronOf = (csv: string): Neuron => {
  const [{ weights, inputs }] = readNeurons(csv) as [ReturnType<typeof readNeurons>[number]];
  return { weights, inputs: [inputs!] };
};
/** Inputs with their new weights. */
const pairs = ({ inputs: [inputs] }: Neuron, { edges }: Reduced): [number, number][] =>
  edges.map(({ input, weight }) => [inputs![input]!, weight]);
const greedy = (neuron: Neuron): [number, number][] => pairs(neuron, reduceGreedily(neuron));

suite("reduce, as published", () => {
  test("the published rows", () => {
    assert.deepEqual(greedy(neuronOf("1x3,3x3,2x0.3,4x0.1,5x-0.6")), [[5, 2]]);
    assert.deepEqual(greedy(neuronOf("2x1,3x2,4x0.5,,")), [[2, 5]]);
    assert.deepEqual(greedy(giving(10, 3, 7)), [[7, 1], [3, 1]]);
    assert.deepEqual(greedy(giving(10, 1, 3, 2, 4, 5)), [[5, 2]]);
  });

  test("what the published program leaves open", () => {
    const open: readonly (readonly [what: string, neuron: Neuron, edges: readonly (readonly [number, number])[]])[] = [
      ["an output of 0", giving(0, 1, 2), []],
      ["parts that cancel but for rounding", { weights: [0.1, 0.2, -0.3], inputs: [[1, 1, 1]] }, []],
      ["a negative output", giving(-10, 3, 7), [[7, -1], [3, -1]]],
      ["a negative input", giving(10, -5, 3), [[-5, -2]]],
      ["both", giving(-10, -5, 3), [[-5, 2]]],
      ["an input above the output makes no edge", giving(9, 12, 7, 2), [[7, 1], [2, 1]]],
      ["zero inputs", giving(10, 0, 5, 0), [[5, 2]]],
      ["repeated inputs, of which one suffices", giving(10, 5, 5), [[5, 2]]],
      ["fractions", giving(1, 0.3, 0.1), [[0.1, 10]]],
      ["inputs of several digits", giving(120, 12, 7), [[12, 10]]],
    ];
    for (const [what, neuron, edges] of open) assert.deepEqual(greedy(neuron), edges, what);
    // The first of equal inputs is used, and each of them once.
    assert.deepEqual(reduceGreedily(giving(10, 5, 5)).edges.map(({ input }) => input), [0]);
    assert.deepEqual(greedy(giving(11, 4, 4, 3)), [[4, 2], [3, 1]]);
  });

  test("what is left over when inputs run out is an error, as is a choice of too many edges", () => {
    assert.throws(() => reduceGreedily(giving(10, 4)), /2 of 10 is left over, and no input to take it/);
    assert.throws(() => reduceGreedily(giving(10, 0.3)), RangeError);
    assert.throws(() => reduceGreedily({ weights: [1], inputs: [[0]] }, { edges: 0 }), /whole number from 1 up, got 0/);
    assert.throws(() => reduceGreedily(giving(10, 3, 7), { edges: 1 }), /2 edges are needed, at most 1/);
    assert.throws(() => reduceGreedily({ weights: [1, 2], inputs: [[1]] }), /has 1 inputs for 2 weights/);
    assert.throws(() => reduceGreedily({ weights: [1], inputs: [[1], [2]] }), /one activation vector, got 2/);
    assert.throws(() => reduceGreedily({ weights: [NaN], inputs: [[1]] }), /edge 1 is 1 x NaN/);
    assert.throws(() => reduceGreedily({ weights: [1], inputs: [] }), /one activation vector at least/);
    for (const tolerance of [-1, NaN, 0.5]) {
      assert.throws(() => reduceGreedily(giving(1, 1), { tolerance }), /tolerance must be from 0 to below 0.5/);
    }
  });
});

const input = fc.integer({ min: -12, max: 12 });
const edge = fc.tuple(input, fc.integer({ min: -3, max: 3 }));
const neurons = fc.array(edge, { minLength: 1, maxLength: 6 }).map(
  (edges): Neuron => ({ weights: edges.map(([, weight]) => weight), inputs: [edges.map(([x]) => x)] }),
);
const attempt = (reduce: () => Reduced): Reduced | undefined => {
  try {
    return reduce();
  } catch (error) {
    assert.ok(error instanceof RangeError, String(error));
    return undefined;
  }
};

/** The fewest inputs of which positive multiples add up to `target`, by trying all. Infinity if none do. */
function fewestByTrying(amounts: readonly number[], target: number): number {
  if (target === 0) return 0;
  const [first, ...rest] = amounts;
  if (first === undefined || target < 0) return Infinity;
  let best = fewestByTrying(rest, target);
  for (let left = target - first; left >= 0; left -= first) best = Math.min(best, 1 + fewestByTrying(rest, left));
  return best;
}

suite("reduce, exactly", () => {
  test("greedy and exact choices keep the output, with whole weights and each input once", () => {
    fc.assert(
      fc.property(neurons, fc.constantFrom(1, 0.1, 0.25), (neuron, unit) => {
        const scaled = { ...neuron, inputs: neuron.inputs.map((row) => row.map((x) => x * unit)) };
        for (const reduce of [reduceGreedily, reduceByMultiples]) {
          const found = attempt(() => reduce(scaled));
          if (found === undefined) continue;
          assert.ok(found.difference <= 1e-8, `${found.difference}`);
          assert.ok(found.edges.every(({ weight }) => Number.isInteger(weight) && weight !== 0));
          assert.equal(new Set(found.edges.map((one) => one.input)).size, found.edges.length);
          assert.ok(found.edges.every((one) => scaled.inputs[0]![one.input] !== 0));
        }
      }),
      { numRuns: 500 },
    );
  });

  test("multiples are the fewest there are, and never more than the greedy way's", () => {
    fc.assert(
      fc.property(neurons, (neuron) => {
        const [inputs] = neuron.inputs as [number[]];
        const y = inputs.reduce((sum, x, i) => sum + x * neuron.weights[i]!, 0);
        const amounts = inputs.filter((x) => x !== 0).map(Math.abs);
        const best = fewestByTrying(amounts, Math.abs(y));
        const found = attempt(() => reduceByMultiples(neuron));
        assert.equal(found?.edges.length ?? Infinity, best);
        const plain = attempt(() => reduceGreedily(neuron));
        if (plain !== undefined) assert.ok(plain.edges.length >= best);
      }),
      { numRuns: 500 },
    );
  });

  test("a subset keeps its weights, its sum, and is the smallest of all that do", () => {
    fc.assert(
      fc.property(neurons, (neuron) => {
        const [inputs] = neuron.inputs as [number[]];
        const parts = inputs.map((x, i) => x * neuron.weights[i]!);
        const y = parts.reduce((sum, part) => sum + part, 0);
        let best = Infinity;
        for (let subset = 0; subset < 2 ** parts.length; subset++) {
          const taken = parts.filter((_, i) => (subset >> i) & 1);
          if (taken.reduce((sum, part) => sum + part, 0) === y) best = Math.min(best, taken.length);
        }
        const found = reduceToSubset(neuron);
        assert.equal(found.edges.length, best);
        assert.equal(found.difference, 0);
        assert.ok(found.edges.every((one) => neuron.weights[one.input] === one.weight));
      }),
      { numRuns: 500 },
    );
  });

  test("where the greedy way gets stuck, and ties", () => {
    const stuck = giving(11, 5, 3);
    assert.throws(() => reduceGreedily(stuck), RangeError);
    assert.deepEqual(pairs(stuck, reduceByMultiples(stuck)), [[5, 1], [3, 2]]);
    // Several combinations of one edge: the largest input.
    const several = neuronOf("1x3,3x3,2x0.3,4x0.1,5x-0.6");
    assert.deepEqual(pairs(several, reduceByMultiples(several)), [[5, 2]]);
    // 3 + 9 + 0.6 + 0.4 - 3: the first and the last cancel.
    assert.deepEqual(pairs(several, reduceToSubset(several)), [[3, 3], [2, 0.3], [4, 0.1]]);
    assert.throws(() => reduceToSubset(several, { edges: 2 }), /3 edges are needed, at most 2/);
  });

  test("amounts off the grid, and grids too fine, are refused", () => {
    assert.throws(() => reduceByMultiples(giving(1, Math.PI)), /no whole multiples of 0.000001; give the grid/);
    assert.throws(() => reduceByMultiples(giving(10, 3, 7), { grid: 2 }), /no whole multiples of 2/);
    assert.throws(() => reduceByMultiples(giving(10, 3, 7), { grid: 0 }), /grid must be above 0/);
    assert.throws(() => reduceByMultiples(giving(1e6, 1), { grid: 0.001 }), /too many to try/);
    assert.throws(() => reduceByMultiples(giving(10, 4, 6.5)), /no whole multiples of the inputs add up/);
  });
});

suite("reduce, by least squares", () => {
  const samples = fc
    .record({ edges: fc.integer({ min: 1, max: 5 }), rows: fc.integer({ min: 1, max: 8 }) })
    .chain(({ edges, rows }) => {
      const number = fc.integer({ min: -100, max: 100 }).map((n) => n / 10);
      const row = fc.array(number, { minLength: edges, maxLength: edges });
      return fc.record({ weights: row, inputs: fc.array(row, { minLength: rows, maxLength: rows }) });
    });
  const missed = ({ inputs }: Neuron, { edges, outputs }: Reduced): number[] =>
    inputs.map((row, n) => outputs[n]! - edges.reduce((sum, one) => sum + row[one.input]! * one.weight, 0));
  const squares = (numbers: readonly number[]): number => numbers.reduce((sum, x) => sum + x * x, 0);

  test("what is missed is orthogonal to the inputs kept, shrinks with more edges, and is nothing with all", () => {
    fc.assert(
      fc.property(samples, (neuron) => {
        let before = Infinity;
        const size = squares(neuron.inputs.flat()) * squares(neuron.weights);
        for (let edges = 1; edges <= neuron.weights.length; edges++) {
          const found = reduceByFit(neuron, { edges });
          assert.ok(found.edges.length <= edges);
          const left = missed(neuron, found);
          assert.ok(squares(left) <= before + 1e-9 * size);
          before = squares(left);
          for (const one of found.edges) {
            const overlap = left.reduce((sum, value, n) => sum + value * neuron.inputs[n]![one.input]!, 0);
            assert.ok(Math.abs(overlap) <= 1e-6 * (1 + size), `${overlap}`);
          }
        }
        assert.ok(before <= 1e-9 * (1 + size), `${before} is missed by all edges`);
      }),
    );
  });

  test("one edge is the best one edge", () => {
    fc.assert(
      fc.property(samples, (neuron) => {
        const outputs = neuron.inputs.map((row) => row.reduce((sum, x, i) => sum + x * neuron.weights[i]!, 0));
        const alone = neuron.weights.map((_, i) => {
          const x = neuron.inputs.map((row) => row[i]!);
          const part = x.reduce((sum, value, n) => sum + value * outputs[n]!, 0);
          return squares(outputs) - (squares(x) === 0 ? 0 : (part * part) / squares(x));
        });
        const left = squares(missed(neuron, reduceByFit(neuron, { edges: 1 })));
        assert.ok(left <= Math.min(...alone) + 1e-6 * (1 + squares(outputs)), `${left}, ${Math.min(...alone)}`);
      }),
    );
  });

  test("one activation vector needs one edge, and equal inputs share one", () => {
    assert.deepEqual(reduceByFit(neuronOf("2x0.5,3x1"), { edges: 2 }).edges.length, 1);
    const twins = { weights: [1, 2, 5], inputs: [[1, 1, 0], [3, 3, 1], [-2, -2, 4]] };
    const found = reduceByFit(twins, { edges: 3 });
    assert.equal(found.edges.length, 2);
    assert.ok(found.difference < 1e-12);
    assert.deepEqual(found.edges.map(({ weight }) => Math.round(weight * 1e9) / 1e9).sort(), [3, 5]);
  });
});

suite("the CSV form", () => {
  test("a row per neuron; empty cells behind it, blanks and the marks of spreadsheets are passed over", () => {
    const [first, second, ...rest] = readNeurons("\uFEFF1x3, 3x3,2x0.3 ,4x.1,5x-6e-1\r\n\r\n2x1,3x2,4x0.5,,\n");
    assert.deepEqual(first, { inputs: [1, 3, 2, 4, 5], weights: [3, 3, 0.3, 0.1, -0.6] });
    assert.deepEqual(second, { inputs: [2, 3, 4], weights: [1, 2, 0.5] });
    assert.deepEqual(rest, []);
    assert.deepEqual(readNeurons("0.5,-1"), [{ weights: [0.5, -1] }]);
    assert.deepEqual(readNeurons("-12.5x1e3"), [{ inputs: [-12.5], weights: [1000] }]);
    assert.deepEqual(readVectors("1,2\n-3,4.5,\n"), [[1, 2], [-3, 4.5]]);
  });

  test("text in a cell is an error that names it", () => {
    const refused: readonly (readonly [csv: string, message: string, offset: number])[] = [
      ["1x2\n3x4,abc", 'csv: row 2, cell 2 must be <input>x<weight>, got "abc"', 8],
      ["1x2,3", 'csv: row 1, cell 2 must be <input>x<weight>, got "3"', 4],
      ["3,1x2", 'csv: row 1, cell 2 must be a weight, or all be <input>x<weight>, got "1x2"', 2],
      ["1x2,,3x4", 'csv: row 1, cell 2 must be <input>x<weight>, got ""', 4],
      ["1x2x3", 'csv: row 1, cell 1 must be <input>x<weight>, got "1x2x3"', 0],
      ["1x", 'csv: row 1, cell 1 must be <input>x<weight>, got "1x"', 0],
      ["1xNaN", 'csv: row 1, cell 1 must be <input>x<weight>, got "1xNaN"', 0],
      ["1x1e999", 'csv: row 1, cell 1 must be a finite number, got "1x1e999"', 0],
      ["ü,1", 'csv: row 1, cell 1 must be a weight, or all be <input>x<weight>, got "ü"', 0],
      ["", "csv: there is no neuron in it", 0],
      [",,\n\n", "csv: there is no neuron in it", 0],
    ];
    for (const [csv, message, offset] of refused) {
      assert.throws(
        () => readNeurons(csv),
        (error) => error instanceof FormatError && error.offset === offset && error.message.startsWith(`${message} (`),
        csv,
      );
    }
    assert.throws(() => readVectors("1,2\n3,x"), /row 2, cell 2 must be a number, got "x" \(at byte 6\)/);
    assert.throws(() => readVectors("\n"), /no activation vector/);
  });

  test("any text is read or refused", () => {
    const pieces = fc.array(fc.constantFrom("1", "-2.5", "x", ",", "\n", "e", "é", " ", "."), { maxLength: 20 });
    fc.assert(
      fc.property(pieces, (parts) => {
        try {
          for (const { weights, inputs } of readNeurons(parts.join(""))) {
            assert.ok([...weights, ...(inputs ?? [])].every(Number.isFinite));
          }
        } catch (error) {
          assert.ok(error instanceof FormatError, String(error));
        }
      }),
    );
  });
});
