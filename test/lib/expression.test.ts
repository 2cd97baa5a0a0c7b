import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ReferenceBackend } from "../../lib/backends/reference/backend.ts";
import * as e from "../../lib/expression.ts";
import type { Expression } from "../../lib/expression.ts";
import { exp, log } from "../../lib/math.ts";
import { edges, gridNumber, list } from "./arbitraries.ts";
import { assertClose } from "./laws.ts";

const backend = new ReferenceBackend("float64");

/** The value of an expression at one point, by the reference loop. */
function valueAt(expression: Expression, inputs: readonly number[], scalars: readonly number[] = []): number {
  const shape: number[] = [];
  const output = backend.allocate("float", 1);
  backend.elementwise({
    expression,
    shape,
    inputs: inputs.map((x) => backend.hold("float", [x])),
    inputShapes: inputs.map(() => shape),
    scalars,
    output,
  });
  const [value] = backend.readSync(output);
  backend.reset();
  return value!;
}

/** The same by recursion: a second reading of what each node means. */
function meaning(node: Expression, inputs: readonly number[], scalars: readonly number[]): number {
  const of = (operand: Expression): number => meaning(operand, inputs, scalars);
  switch (node.kind) {
    case "input":
      return inputs[node.index]!;
    case "scalar":
      return scalars[node.index]!;
    case "constant":
      return node.value;
    case "select":
      return of(node.operands[0]) !== 0 ? of(node.operands[1]) : of(node.operands[2]);
    case "exp":
      return exp(of(node.operands[0]));
    case "log":
      return log(of(node.operands[0]));
    case "squareRoot":
      return Math.sqrt(of(node.operands[0]));
    case "round": {
      const x = of(node.operands[0]);
      const up = Math.round(x);
      return up - x === 0.5 && up % 2 !== 0 ? up - 1 : up;
    }
    default: {
      const [x, y] = [of(node.operands[0]), of(node.operands[1])];
      return {
        add: () => x + y,
        subtract: () => x - y,
        multiply: () => x * y,
        divide: () => x / y,
        minimum: () => Math.min(x, y),
        maximum: () => Math.max(x, y),
        less: () => Number(x < y),
        lessOrEqual: () => Number(x <= y),
        equal: () => Number(x === y),
      }[node.kind]();
    }
  }
}

const binaries = [e.add, e.subtract, e.multiply, e.divide, e.minimum, e.maximum];
const comparisons = [e.less, e.lessOrEqual, e.equal];
const unaries = [e.exp, e.log, e.squareRoot, e.round, e.negate];

/** Expressions of three inputs and two scalars. */
const expressions: fc.Arbitrary<Expression> = fc.letrec<{ node: Expression; leaf: Expression }>((tie) => ({
  leaf: fc.oneof(
    fc.nat(2).map(e.input),
    fc.nat(1).map(e.scalar),
    fc.constantFrom(0, -0, 1, -1, 0.5, 3).map(e.constant),
  ),
  node: fc.oneof(
    { depthSize: "medium" },
    tie("leaf"),
    fc.tuple(fc.constantFrom(...unaries), tie("node")).map(([make, x]) => make(x)),
    fc.tuple(fc.constantFrom(...binaries, ...comparisons), tie("node"), tie("node")).map(([make, x, y]) => make(x, y)),
    fc.tuple(tie("node"), tie("node"), tie("node")).map(([c, x, y]) => e.select(c, x, y)),
  ),
})).node;

const three = fc.tuple(gridNumber, gridNumber, gridNumber);
const two = fc.tuple(gridNumber, gridNumber);

test("the reference loop computes what every node means", () => {
  fc.assert(
    fc.property(expressions, three, two, (expression, inputs, scalars) => {
      assert.ok(Object.is(valueAt(expression, inputs, scalars), meaning(expression, inputs, scalars)));
    }),
    { numRuns: 500 },
  );
});

/** Smooth expressions, bounded wherever one looks, so that differences are exact enough to judge by. */
const smooth: fc.Arbitrary<Expression> = fc.letrec<{ node: Expression; leaf: Expression }>((tie) => {
  const one = e.constant(1);
  const inside = (x: Expression): Expression => e.divide(x, e.add(one, e.multiply(x, x)));
  return {
    leaf: fc.oneof(
      { weight: 4, arbitrary: fc.nat(2).map(e.input) },
      fc.nat(1).map(e.scalar),
      fc.constant(e.constant(0.5)),
    ),
    node: fc.oneof(
      { depthSize: "medium" },
      tie("leaf"),
      fc
        .tuple(
          fc.constantFrom<(x: Expression) => Expression>(
            (x) => e.exp(inside(x)),
            (x) => e.log(e.add(one, e.multiply(x, x))),
            (x) => e.squareRoot(e.add(one, e.multiply(x, x))),
            e.negate,
            inside,
          ),
          tie("node"),
        )
        .map(([make, x]) => make(x)),
      fc
        .tuple(
          fc.constantFrom<(x: Expression, y: Expression) => Expression>(
            e.add,
            e.subtract,
            (x, y) => e.multiply(inside(x), inside(y)),
            (x, y) => e.divide(inside(x), e.add(one, e.multiply(inside(y), inside(y)))),
          ),
          tie("node"),
          tie("node"),
        )
        .map(([make, x, y]) => make(x, y)),
    ),
  };
}).node;

test("the chain rule gives the slopes of random expressions", () => {
  const h = 2 ** -14;
  fc.assert(
    fc.property(smooth, three, two, gridNumber, (expression, inputs, scalars, dy) => {
      const slopes = e.differentiate(expression, 3, e.input(3));
      assert.equal(slopes.length, 3);
      slopes.forEach((slope, k) => {
        const at = (move: number): number => {
          const moved = inputs.map((x, i) => (i === k ? x + move : x));
          return valueAt(expression, moved, scalars);
        };
        const want = (dy * (at(h) - at(-h))) / (2 * h);
        const got = slope === null ? 0 : valueAt(slope, [...inputs, dy], scalars);
        assertClose([got], [want], 1e-5, `slope ${k}`);
      });
    }),
    { numRuns: 300 },
  );
});

test("the chain rule at choices: the chosen side gets the slope, a tie gives it to the left", () => {
  const [x, y, z, dy] = [e.input(0), e.input(1), e.input(2), e.input(3)];
  const at = (expression: Expression, ...point: number[]): (number | null)[] =>
    e.differentiate(expression, 3, dy).map((slope) => slope && valueAt(slope, [...point, 7]));
  assert.deepEqual(at(e.minimum(x, y), 1, 2, 0), [7, 0, null]);
  assert.deepEqual(at(e.minimum(x, y), 2, 1, 0), [0, 7, null]);
  assert.deepEqual(at(e.minimum(x, y), 2, 2, 0), [7, 0, null]);
  assert.deepEqual(at(e.maximum(x, y), 1, 2, 0), [0, 7, null]);
  assert.deepEqual(at(e.maximum(x, y), 2, 1, 0), [7, 0, null]);
  assert.deepEqual(at(e.maximum(x, y), 2, 2, 0), [7, 0, null]);
  assert.deepEqual(at(e.select(x, y, z), 1, 0, 0), [null, 7, 0]);
  assert.deepEqual(at(e.select(x, y, z), 0, 0, 0), [null, 0, 7]);
  for (const flat of [e.less(x, y), e.lessOrEqual(x, y), e.equal(x, y), e.round(x), e.constant(3), e.scalar(0)]) {
    assert.deepEqual(e.differentiate(flat, 2, dy), [null, null]);
  }
  assert.deepEqual(e.differentiate(x, 2, dy), [dy, null]);
});

test("substitution is composition", () => {
  fc.assert(
    fc.property(expressions, list(expressions, 5), three, two, (outer, inner, x, s) => {
      const composed = e.substitute(outer, (i) => inner[i]!, (i) => inner[3 + i]!);
      const inside = inner.map((own) => valueAt(own, x, s));
      assert.ok(Object.is(valueAt(composed, x, s), valueAt(outer, inside.slice(0, 3), inside.slice(3))));
    }),
    { numRuns: 300 },
  );
});

test("the same expression is the same object", () => {
  const make = (): Expression => e.add(e.multiply(e.input(0), e.scalar(1)), e.exp(e.constant(2)));
  assert.equal(make(), make());
  assert.equal(e.substitute(make(), e.input, e.scalar), make());
  assert.notEqual(e.add(e.input(0), e.input(1)), e.add(e.input(1), e.input(0)));
  assert.notEqual(e.constant(0), e.constant(-0));
  assert.equal(e.constant(NaN), e.constant(NaN));
  const all = [make(), e.input(0), e.scalar(0), e.constant(0), e.constant(-0), e.less(e.input(0), e.input(1))];
  assert.equal(new Set(all.map(({ id }) => id)).size, all.length, "ids differ");
});

test("the rewrites keep every value but the sign of a zero", () => {
  const x = e.input(0);
  const [zero, minusZero, one] = [e.constant(0), e.constant(-0), e.constant(1)];
  for (const same of [
    e.add(x, zero), e.add(zero, x), e.add(x, minusZero), e.subtract(x, zero), e.subtract(x, minusZero),
    e.multiply(x, one), e.multiply(one, x), e.divide(x, one),
  ]) {
    assert.equal(same, x);
  }
  for (const value of edges) {
    // What IEEE 754 says of the arithmetic that is left out.
    for (const kept of [value - 0, value * 1, value / 1, value + -0]) assert.ok(Object.is(kept, value));
    assert.ok(value + 0 === value || Number.isNaN(value));
  }
  // These are not the same for every value, so they stay.
  const kept = [e.multiply(x, zero), e.subtract(zero, x), e.divide(zero, x), e.divide(one, x), e.subtract(x, x)];
  for (const other of kept) {
    assert.notEqual(other, x);
    assert.ok("operands" in other);
  }
  assert.ok(Number.isNaN(valueAt(e.multiply(x, zero), [Infinity])));
  assert.ok(Number.isNaN(valueAt(e.subtract(x, x), [NaN])));
});

test("topological order puts every operand before its use, each node once; arity counts inputs and scalars", () => {
  fc.assert(
    fc.property(expressions, (expression) => {
      const order = e.topological(expression);
      assert.equal(order.at(-1), expression);
      assert.equal(new Set(order).size, order.length);
      const place = new Map(order.map((node, i) => [node, i]));
      for (const node of order) {
        if ("operands" in node) for (const operand of node.operands) assert.ok(place.get(operand)! < place.get(node)!);
      }
      const indicesOf = (kind: "input" | "scalar"): number[] =>
        order.flatMap((node) => (node.kind === kind ? [node.index + 1] : []));
      assert.deepEqual(e.arity(expression), {
        inputs: Math.max(0, ...indicesOf("input")),
        scalars: Math.max(0, ...indicesOf("scalar")),
      });
    }),
  );
});

test("the cost of an expression counts an operation at each of its uses", () => {
  const x = e.exp(e.input(0));
  assert.equal(x.cost, 1);
  assert.equal(e.multiply(x, x).cost, 3);
  assert.equal(e.select(x, x, e.constant(1)).cost, 3);
  assert.equal(e.input(0).cost + e.scalar(0).cost + e.constant(3).cost, 0);
});
