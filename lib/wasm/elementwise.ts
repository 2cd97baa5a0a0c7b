// One loop for a scalar expression over stretched inputs.

import { arity, type Expression, topological } from "../expression.ts";
import { broadcastLoops, type Shape, sizeOf } from "../shape.ts";
import { f32x4, i32, v128 } from "./assembler.ts";
import type { FunctionBuilder, Local, V128 } from "./assembler.ts";
import { emitRun, type Kernel, type Target, wordOffset } from "./kernel.ts";
import { exp, log, type VectorFunction } from "./math.ts";
import { constant4, eachVector, lesser, storeLanes } from "./vectors.ts";

export interface ElementwiseKernel {
  readonly kernel: Kernel;
  /** How many scalars it reads. */
  readonly scalars: number;
  /** The words that follow the addresses and scalars: sizes, strides and the cut into tiles. */
  readonly geometry: readonly number[];
}

/** Expressions up to this weight are emitted four times side by side, which saves the loop's own work. */
const UNROLLED = 12;

/** A tile should take some microseconds: so many elements, divided by the weight of one. */
const TILE = 65536;

const weights: Partial<Record<Expression["kind"], number>> = {
  constant: 0,
  scalar: 0,
  exp: 10,
  log: 14,
  divide: 3,
  squareRoot: 3,
};

/** Words: output, inputs, scalars, then `geometry`. The output must not overlap an input. */
export function elementwiseKernel(
  expression: Expression,
  shape: Shape,
  inputShapes: readonly Shape[],
): ElementwiseKernel {
  const loops = broadcastLoops(shape, inputShapes);
  const nodes = topological(expression);
  const outer = loops.sizes.length - 1;
  const columns = loops.sizes[outer]!;
  const rows = sizeOf(loops.sizes.slice(0, outer));
  const weight = nodes.reduce((sum, { kind }) => sum + (weights[kind] ?? 1), 1);
  const target = Math.ceil(TILE / weight / 16) * 16;
  const rowsPerTile = Math.min(rows, Math.max(1, Math.floor(target / columns)));
  const columnsPerTile = Math.min(columns, target);
  const columnBlocks = Math.ceil(columns / columnsPerTile);
  const tiles = Math.ceil(rows / rowsPerTile) * columnBlocks;

  const byteStrides = loops.strides.flatMap((strides) => strides.slice(0, outer).map((stride) => 4 * stride));
  const sizes = loops.sizes.slice(1, outer);
  const geometry = [rows, columns, rowsPerTile, columnsPerTile, columnBlocks, ...sizes, ...byteStrides];
  const walks = loops.strides.map((strides) => strides[outer] === 1);
  const { scalars } = arity(expression);
  const words = wordsOf(walks.length, scalars, outer);
  const kernel = {
    key: `elementwise ${expression.id} ${outer} ${walks.map(Number).join("")}`,
    arguments: words,
    tiles,
    emit: (to: Target) => emit(to, nodes, words, outer, walks, weight <= UNROLLED),
  };
  return { kernel, scalars, geometry };
}

function wordsOf(inputs: number, scalars: number, outer: number): string[] {
  const numbered = (name: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${name} ${i}`);
  return [
    "output",
    ...numbered("input", inputs),
    ...numbered("scalar", scalars),
    ...["rows", "columns", "rowsPerTile", "columnsPerTile", "columnBlocks"],
    ...numbered("size", Math.max(0, outer - 1)),
    ...numbered("input", inputs).flatMap((input) => numbered(`${input} stride`, outer)),
  ];
}

/** `walks[i]`: whether input `i` moves along the innermost loop, by one element, or stays. */
function emit(
  target: Target,
  nodes: readonly Expression[],
  words: readonly string[],
  outer: number,
  walks: readonly boolean[],
  unrolled: boolean,
): Uint8Array<ArrayBuffer> {
  return emitRun(target, (f, args, tile) => {
    const word = (name: string): Local<"i32"> => f.let(i32.load(args, wordOffset(words, name)));
    const [rows, columns, rowsPerTile] = [word("rows"), word("columns"), word("rowsPerTile")];
    const [columnsPerTile, columnBlocks] = [word("columnsPerTile"), word("columnBlocks")];
    const output = word("output");
    const bases = walks.map((_, i) => word(`input ${i}`));
    const vector = expressionEmitter(f, target, nodes, (index) =>
      v128.load32_splat(args, wordOffset(words, `scalar ${index}`)),
    );

    const rowBlock = f.let(i32.div_u(tile, columnBlocks));
    const firstRow = f.let(i32.mul(rowBlock, rowsPerTile));
    const lastRow = f.let(lesser(i32.add(firstRow, rowsPerTile), rows));
    const from = f.let(i32.mul(i32.sub(tile, i32.mul(rowBlock, columnBlocks)), columnsPerTile));
    const count = f.let(lesser(columnsPerTile, i32.sub(columns, from)));
    const skipped = f.let(i32.mul(from, 4));

    f.loop(firstRow, lastRow, 1, (row) => {
      const to = f.let(i32.add(output, i32.mul(i32.add(i32.mul(row, columns), from), 4)));
      const starts = bases.map((base, i) => f.let(walks[i] ? i32.add(base, skipped) : base));
      const rest = f.let(row);
      for (let level = outer - 1; level >= 0; level--) {
        const index = f.let(rest);
        if (level > 0) {
          const size = i32.load(args, wordOffset(words, `size ${level - 1}`));
          f.set(rest, i32.div_u(rest, size));
          f.set(index, i32.sub(index, i32.mul(rest, size)));
        }
        starts.forEach((start, i) => {
          const stride = i32.load(args, wordOffset(words, `input ${i} stride ${level}`));
          f.increment(start, i32.mul(index, stride));
        });
      }
      const still = starts.map((start, i) => (walks[i] ? null : f.let(v128.load32_splat(start))));
      const at = (i: number, offset: number): V128 => still[i] ?? v128.load(starts[i]!, offset);
      const advance = (bytes: number): void => {
        starts.forEach((start, i) => walks[i] && f.increment(start, bytes));
        f.increment(to, bytes);
      };
      if (unrolled) {
        f.loop(0, i32.sub(count, 15), 16, () => {
          for (const offset of [0, 16, 32, 48]) f.do(v128.store(to, vector((i) => at(i, offset)), offset));
          advance(64);
        });
      }
      eachVector(f, unrolled ? i32.and(count, 15) : count, (_, lanes) => {
        storeLanes(f, to, vector((i) => at(i, 0)), lanes);
        advance(16);
      });
    });
  });
}

type ReadInput = (index: number) => V128;
type Read = (node: Expression) => V128;

/** Emits constants, scalars and the functions' constants now; gives what emits the expression for one vector. */
function expressionEmitter(
  f: FunctionBuilder,
  target: Target,
  nodes: readonly Expression[],
  readScalar: (index: number) => V128,
): (read: ReadInput) => V128 {
  const has = (kind: Expression["kind"]): boolean => nodes.some((node) => node.kind === kind);
  const functions: { exp?: VectorFunction; log?: VectorFunction } = {};
  if (has("exp")) functions.exp = exp(f, target);
  if (has("log")) functions.log = log(f, target);
  const zero = constant4(f, 0);
  const one = constant4(f, 1);
  const fixed = new Map<number, V128>();
  const uses = new Map<number, number>();
  for (const node of nodes) {
    if (node.kind === "constant") fixed.set(node.id, constant4(f, node.value));
    if (node.kind === "scalar") fixed.set(node.id, f.let(readScalar(node.index)));
    if ("operands" in node) for (const { id } of node.operands) uses.set(id, (uses.get(id) ?? 0) + 1);
  }
  const root = nodes.at(-1)!;

  return (readInput) => {
    const values = new Map(fixed);
    const masks = new Map<number, V128>();
    /** Products that are added to something, where one rounding is allowed. */
    const products = new Map<number, [V128, V128]>();
    const value: Read = (node) => values.get(node.id)!;
    const condition: Read = (node) => masks.get(node.id) ?? f32x4.ne(value(node), zero);

    const emitted = (node: Expression, shared: boolean): V128 => {
      switch (node.kind) {
        case "input":
          return readInput(node.index);
        case "constant":
        case "scalar":
          return value(node);
        case "exp":
        case "log":
          return functions[node.kind]!(value(node.operands[0]));
        case "squareRoot":
          return f32x4.sqrt(value(node.operands[0]));
        case "round":
          return f32x4.nearest(value(node.operands[0]));
        case "select":
          return choose(node.operands, condition(node.operands[0]), value);
        case "minimum":
        case "maximum":
          return extreme(f, node.kind, node.operands, value, zero);
        case "add":
          return sum(target, node.operands, value, products);
        case "subtract":
          return f32x4.sub(value(node.operands[0]), value(node.operands[1]));
        case "multiply":
          if (!shared) products.set(node.id, [value(node.operands[0]), value(node.operands[1])]);
          return f32x4.mul(value(node.operands[0]), value(node.operands[1]));
        case "divide":
          return f32x4.div(value(node.operands[0]), value(node.operands[1]));
        default: {
          const mask = compare[node.kind](value(node.operands[0]), value(node.operands[1]));
          masks.set(node.id, shared ? f.let(mask) : mask);
          return v128.and(masks.get(node.id)!, one);
        }
      }
    };
    for (const node of nodes) {
      if (values.has(node.id)) continue;
      const shared = (uses.get(node.id) ?? 0) > 1;
      const vector = emitted(node, shared);
      values.set(node.id, shared && !masks.has(node.id) ? f.let(vector) : vector);
    }
    return value(root);
  };
}

const compare = { less: f32x4.lt, lessOrEqual: f32x4.le, equal: f32x4.eq };

function isZero(node: Expression): boolean {
  return node.kind === "constant" && Object.is(Math.fround(node.value), 0);
}

function choose([, yes, no]: readonly [Expression, Expression, Expression], mask: V128, value: Read): V128 {
  if (isZero(no)) return v128.and(value(yes), mask);
  if (isZero(yes)) return v128.andnot(value(no), mask);
  return v128.bitselect(value(yes), value(no), mask);
}

/**
 * Beside a constant, one or two instructions do what min and max take nine for (they order zeros and pass on NaN):
 * pmin and pmax give their first operand for NaN, and beside zero a mask clears what lies on the other side.
 */
function extreme(
  f: FunctionBuilder,
  kind: "minimum" | "maximum",
  [x, y]: readonly [Expression, Expression],
  value: Read,
  zero: V128,
): V128 {
  const least = kind === "minimum";
  const [fixed, other] = x.kind === "constant" ? [x, y] : [y, x];
  const beside = fixed.kind === "constant" ? Math.fround(fixed.value) : NaN;
  if (Number.isNaN(beside) || Object.is(beside, -0)) return (least ? f32x4.min : f32x4.max)(value(x), value(y));
  if (beside !== 0) return (least ? f32x4.pmin : f32x4.pmax)(value(other), value(fixed));
  const v = f.let(value(other));
  return v128.andnot(v, (least ? f32x4.gt : f32x4.le)(v, zero));
}

function sum(
  target: Target,
  [x, y]: readonly [Expression, Expression],
  value: Read,
  products: ReadonlyMap<number, [V128, V128]>,
): V128 {
  if (target.relaxed) {
    const [left, right] = [products.get(x.id), products.get(y.id)];
    if (left !== undefined) return f32x4.relaxed_madd(...left, value(y));
    if (right !== undefined) return f32x4.relaxed_madd(...right, value(x));
  }
  return f32x4.add(value(x), value(y));
}
