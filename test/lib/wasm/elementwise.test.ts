import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import * as scalar from "../../../lib/expression.ts";
import { arity, type Expression, input, topological } from "../../../lib/expression.ts";
import { broadcastLoops, type Shape, sizeOf } from "../../../lib/shape.ts";
import { v128 } from "../../../lib/wasm/assembler.ts";
import { elementwiseKernel } from "../../../lib/wasm/elementwise.ts";
import { emitRun, hasRelaxedSimd } from "../../../lib/wasm/kernel.ts";
import { floatBits } from "../../../lib/wasm/launch.ts";
import * as math from "../../../lib/wasm/math.ts";
import { numbers, Workbench } from "./workbench.ts";

/** exp and log of one float as the kernels compute them, which `math.test.ts` holds to their bounds. */
const functions = Object.fromEntries(
  (["exp", "log"] as const).map((name) => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const target = { shared: false, relaxed: false };
    const bytes = emitRun(target, (f) => f.do(v128.store(0, math[name](f, target)(v128.load32_splat(0)))));
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
    const run = instance.exports["run"] as () => void;
    const floats = new Float32Array(memory.buffer);
    return [name, (x: number) => ((floats[0] = x), run(), floats[0]!)];
  }),
) as Record<"exp" | "log", (x: number) => number>;

/** The meaning of an expression, node by node, every step rounded to a float. */
function evaluate(root: Expression, inputs: readonly number[], scalars: readonly number[]): number {
  const values = new Map<number, number>();
  for (const node of topological(root)) {
    const [x, y, z] = "operands" in node ? node.operands.map(({ id }) => values.get(id)!) : [];
    values.set(node.id, Math.fround(one(node, x!, y!, z!)));
  }
  return values.get(root.id)!;

  function one(node: Expression, x: number, y: number, z: number): number {
    switch (node.kind) {
      case "input": return inputs[node.index]!;
      case "scalar": return scalars[node.index]!;
      case "constant": return node.value;
      case "exp": return functions.exp(x);
      case "log": return functions.log(x);
      case "squareRoot": return Math.sqrt(x);
      case "round": return nearestEven(x);
      case "add": return x + y;
      case "subtract": return x - y;
      case "multiply": return x * y;
      case "divide": return x / y;
      case "minimum": return Math.min(x, y);
      case "maximum": return Math.max(x, y);
      case "less": return Number(x < y);
      case "lessOrEqual": return Number(x <= y);
      case "equal": return Number(x === y);
      case "select": return x !== 0 ? y : z;
    }
  }
}

function nearestEven(x: number): number {
  if (!Number.isFinite(x)) return x;
  const below = Math.floor(x);
  const rest = x - below;
  const rounded = rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
  return rounded === 0 && (x < 0 || Object.is(x, -0)) ? -0 : rounded;
}

const awkward = fc.constantFrom(0, -0, 1, -1, 0.5, Infinity, -Infinity, NaN, 1e-60);
const grid = fc.integer({ min: -300, max: 300 }).map((n) => n / 100);

/** Expressions of up to four inputs and three scalars, subexpressions shared at will. */
const expressions = fc
  .array(
    fc.record({
      kind: fc.constantFrom(
        "add", "subtract", "multiply", "divide", "minimum", "maximum", "less", "lessOrEqual", "equal", "select",
        "exp", "log", "squareRoot", "round", "constant", "constant",
      ),
      operands: fc.tuple(fc.nat(1000), fc.nat(1000), fc.nat(1000)),
      value: fc.oneof(awkward, grid),
    }),
    { minLength: 1, maxLength: 14 },
  )
  .map((steps) => {
    const nodes: Expression[] = [0, 1, 2, 3].map(input).concat([0, 1, 2].map(scalar.scalar));
    for (const { kind, operands, value } of steps) {
      // Late nodes are picked more often, so that expressions grow deep.
      const pick = (n: number): Expression => nodes[nodes.length - 1 - (n % (1 + (n % nodes.length)))]!;
      const [x, y, z] = [pick(operands[0]), pick(operands[1]), pick(operands[2])];
      if (kind === "constant") nodes.push(scalar.constant(value));
      else if (kind === "select") nodes.push(scalar.select(x, y, z));
      else if (scalar[kind].length === 1) nodes.push((scalar[kind] as (x: Expression) => Expression)(x));
      else nodes.push((scalar[kind] as (x: Expression, y: Expression) => Expression)(x, y));
    }
    return nodes.at(-1)!;
  });

const shapes = fc.array(fc.constantFrom(1, 2, 3, 4, 5, 7, 8, 13, 17, 33), { maxLength: 4 });

/** Shapes that stretch to `shape`: some leading axes left away, some axes 1. */
function stretching(shape: Shape): fc.Arbitrary<Shape> {
  return fc
    .tuple(fc.nat(shape.length), fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }))
    .map(([skip, ones]) => shape.map((axis, i) => (ones[i] ? 1 : axis)).slice(skip));
}

const cases = fc
  .tuple(expressions, shapes)
  .chain(([expression, shape]) =>
    fc.tuple(
      fc.constant(expression),
      fc.constant(shape),
      fc.array(fc.oneof(fc.constant(shape), stretching(shape)), { minLength: 4, maxLength: 4 }),
      fc.array(grid, { minLength: 3, maxLength: 3 }),
      fc.nat(1000),
    ),
  );

const special = [0, -0, Infinity, -Infinity, NaN, 1e-42, 0.5, -1.5, 2.5];

function check(
  expression: Expression,
  shape: Shape,
  inputShapes: readonly Shape[],
  scalars: readonly number[],
  seed: number,
  expected: (inputs: readonly number[]) => number = (inputs) => evaluate(expression, inputs, scalars.map(Math.fround)),
  agree: (got: number, right: number) => boolean = Object.is,
  relaxed = false,
): void {
  const used = inputShapes.slice(0, arity(expression).inputs);
  const bench = new Workbench();
  const values = used.map((own, i) => {
    const list = numbers(sizeOf(own), seed + i);
    for (let j = seed % 5; j < list.length; j += 4) list[j] = special[(j + seed) % special.length]!;
    return list;
  });
  const { kernel, geometry } = elementwiseKernel(expression, shape, used);
  const output = new Float32Array(sizeOf(shape));
  const addresses = [bench.output(output), ...values.map((list) => bench.input(list))];
  const list = [...addresses, ...scalars.slice(0, arity(expression).scalars).map(floatBits), ...geometry];
  assert.equal(list.length, kernel.arguments.length);
  const words = Object.fromEntries(kernel.arguments.map((word, i) => [word, list[i]!]));
  const got = bench.run({ phases: [kernel], scratchBytes: 0 }, words, "output", output, { relaxed });

  const { sizes, strides } = broadcastLoops(shape, used);
  got.forEach((value, i) => {
    const offsets = used.map(() => 0);
    let rest = i;
    for (let loop = sizes.length - 1; loop >= 0; loop--) {
      const at = rest % sizes[loop]!;
      rest = (rest - at) / sizes[loop]!;
      strides.forEach((stride, j) => (offsets[j]! += at * stride[loop]!));
    }
    const right = expected(offsets.map((offset, j) => values[j]![offset]!));
    assert.ok(agree(value, right), `element ${i} is ${value}, not ${right}`);
  });
}

test("an expression over stretched inputs gives, bit for bit, what its nodes give one by one", () => {
  fc.assert(
    fc.property(cases, ([expression, shape, inputs, scalars, seed]) => check(expression, shape, inputs, scalars, seed)),
    { numRuns: 150 },
  );
});

test("beside constants, where fewer instructions do, zeros and NaN come out the same", () => {
  const x = input(0);
  for (const value of [0, -0, 1, -1, Infinity, -Infinity, NaN, 1e-60]) {
    const c = scalar.constant(value);
    for (const kind of ["minimum", "maximum"] as const) {
      for (const expression of [scalar[kind](x, c), scalar[kind](c, x)]) check(expression, [37], [[37]], [], 1);
    }
    for (const condition of [x, scalar.less(x, scalar.constant(0.5)), scalar.equal(x, x)]) {
      check(scalar.select(condition, c, x), [37], [[37]], [], 1);
      check(scalar.select(condition, x, c), [37], [[37]], [], 1);
    }
  }
});

test("long loops and many rows are cut into tiles", () => {
  const [x, y, z] = [input(0), input(1), input(2)];
  const light = scalar.add(scalar.multiply(x, y), scalar.maximum(z, scalar.scalar(0)));
  const heavy = scalar.divide(scalar.exp(scalar.exp(x)), scalar.add(y, scalar.log(z)));
  for (const expression of [light, heavy]) {
    check(expression, [40001], [[40001], [], [40001]], [0.25], 1);
    check(expression, [2, 20011], [[2, 20011], [20011], [2, 1]], [0.25], 2);
    check(expression, [701, 3, 11], [[701, 3, 11], [3, 1], [701, 1, 1]], [0.25], 3);
    check(expression, [13, 5, 7, 97], [[13, 1, 7, 1], [5, 7, 97], [13, 5, 1, 97]], [0.25], 4);
  }
});

const unrelaxed = hasRelaxedSimd() ? false : "this engine has no relaxed SIMD";

test("with relaxed SIMD a product may be added unrounded", { skip: unrelaxed }, () => {
  const expression = scalar.add(scalar.multiply(input(0), input(1)), input(2));
  const near = (got: number, right: number): boolean => Object.is(got, right) || Math.abs(got - right) <= 1e-6;
  check(expression, [1001], [[1001], [1001], [1001]], [], 5, ([x, y, z]) => Math.fround(x! * y! + z!), near, true);
});

test("a kernel is shared by all sizes of one pattern", () => {
  const expression = scalar.add(input(0), input(1));
  const key = (shape: Shape, ...inputs: Shape[]): string => elementwiseKernel(expression, shape, inputs).kernel.key;
  assert.equal(key([3, 5], [3, 5], [5]), key([64, 10], [64, 10], [10]));
  assert.notEqual(key([3, 5], [3, 5], [5]), key([3, 5], [3, 5], [3, 1]));
  assert.notEqual(key([3, 5], [3, 5], [3, 5]), key([3, 5], [3, 5], []));
});
