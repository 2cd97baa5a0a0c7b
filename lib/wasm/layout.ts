// Moving numbers: transpose, slice, pad, concat. Floats and ints alike are 32 bits.

import { type Shape, sizeOf, stridesOf } from "../shape.ts";
import { i32, i32x4, memory, v128 } from "./assembler.ts";
import type { FunctionBuilder, I32, Local, V128 } from "./assembler.ts";
import { emitRun, type Kernel, type Plan } from "./kernel.ts";
import type { Launch, WasmKernel } from "./launch.ts";
import { addOffset, axesOf, loadWord, nestValues, nestWords } from "./nest.ts";
import { copyNumbers, lesser, storeUpTo } from "./vectors.ts";

/** A tile moves about so many numbers. */
const TILE = 16384;
/** A transposition goes by squares of this side, which stay in the cache nearest to the core. */
const SQUARE = 32;

/** One loop over two arrays at once, with an element stride for each. */
interface Pair {
  readonly size: number;
  readonly from: number;
  readonly to: number;
}

/** Neighbouring loops that both arrays walk through in one stride become one; loops of length 1 vanish. */
function mergePairs(pairs: readonly Pair[]): Pair[] {
  const merged: Pair[] = [];
  for (const pair of pairs) {
    const last = merged.at(-1);
    if (pair.size === 1) continue;
    if (last?.from === pair.size * pair.from && last.to === pair.size * pair.to) {
      merged[merged.length - 1] = { ...pair, size: last.size * pair.size };
    } else {
      merged.push(pair);
    }
  }
  return merged;
}

/** Names and values of the words of both nests of a list of loops. */
function nests(loops: readonly Pair[]): { words: string[]; values: number[] } {
  return {
    words: [...nestWords("from", loops.length), ...nestWords("to", loops.length)],
    values: [
      ...nestValues(loops.map(({ size, from }) => ({ size, stride: from }))),
      ...nestValues(loops.map(({ size, to }) => ({ size, stride: to }))),
    ],
  };
}

interface Move {
  readonly plan: Plan;
  /** The words after the addresses `from` and `to`. */
  readonly values: readonly number[];
}

/** Moves a block whose innermost loop, one that walks both arrays by single elements, is `row` long. */
function moveRows(outer: readonly Pair[], row: number): Move {
  const rows = outer.reduce((product, { size }) => product * size, 1);
  const perTile = Math.max(1, Math.floor(TILE / row));
  const nested = nests(outer);
  const words = ["from", "to", "rows", "row", "perTile", ...nested.words];
  const kernel: Kernel = {
    key: `move rows ${outer.length}`,
    arguments: words,
    tiles: Math.ceil(rows / perTile),
    emit: (target) =>
      emitRun(target, (f, args, tile) => {
        const word = (name: string): Local<"i32"> => loadWord(f, args, words, name);
        const width = word("row");
        const first = f.let(i32.mul(tile, word("perTile")));
        f.loop(first, lesser(i32.add(first, word("perTile")), word("rows")), 1, (index) => {
          const [from, to] = [word("from"), word("to")];
          addOffset(f, args, words, { name: "from", depth: outer.length }, index, from);
          addOffset(f, args, words, { name: "to", depth: outer.length }, index, to);
          copyNumbers(f, to, from, width);
        });
      }),
  };
  return { plan: { phases: [kernel], scratchBytes: 0 }, values: [rows, row, perTile, ...nested.values] };
}

/**
 * Moves a block in which one loop (`a`) walks the output by single elements and another (`b`) the input: transposes
 * four by four, in squares.
 */
function moveSquares(outer: readonly Pair[], a: Pair, b: Pair): Move {
  const planes = outer.reduce((product, { size }) => product * size, 1);
  const [down, across] = [Math.ceil(a.size / SQUARE), Math.ceil(b.size / SQUARE)];
  const squares = planes * down * across;
  const perTile = Math.max(1, Math.floor(TILE / (Math.min(a.size, SQUARE) * Math.min(b.size, SQUARE))));
  const nested = nests(outer);
  const words = [
    ...["from", "to", "squares", "perTile", "down", "across", "a", "b", "a stride", "b stride"],
    ...nested.words,
  ];
  const kernel: Kernel = {
    key: `move squares ${outer.length}`,
    arguments: words,
    tiles: Math.ceil(squares / perTile),
    emit: (target) =>
      emitRun(target, (f, args, tile) => {
        const word = (name: string): Local<"i32"> => loadWord(f, args, words, name);
        const [height, width, rise, stride] = [word("a"), word("b"), word("a stride"), word("b stride")];
        const first = f.let(i32.mul(tile, word("perTile")));
        f.loop(first, lesser(i32.add(first, word("perTile")), word("squares")), 1, (square) => {
          const line = f.let(i32.div_u(square, word("across")));
          const left = f.let(i32.mul(i32.sub(square, i32.mul(line, word("across"))), SQUARE));
          const plane = f.let(i32.div_u(line, word("down")));
          const top = f.let(i32.mul(i32.sub(line, i32.mul(plane, word("down"))), SQUARE));
          const [from, to] = [word("from"), word("to")];
          addOffset(f, args, words, { name: "from", depth: outer.length }, plane, from);
          addOffset(f, args, words, { name: "to", depth: outer.length }, plane, to);
          const bottom = f.let(lesser(i32.add(top, SQUARE), height));
          const right = f.let(lesser(i32.add(left, SQUARE), width));
          f.loop(top, bottom, 4, (y) =>
            f.loop(left, right, 4, (x) => {
              const source = f.let(i32.add(from, i32.add(i32.mul(y, rise), i32.mul(x, 4))));
              const goal = f.let(i32.add(to, i32.add(i32.mul(x, stride), i32.mul(y, 4))));
              const [rows, columns] = [f.let(i32.sub(bottom, y)), f.let(i32.sub(right, x))];
              transpose4(f, { source, rise, goal, stride, rows, columns });
            }),
          );
        });
      }),
  };
  const values = [squares, perTile, down, across, a.size, b.size, 4 * a.from, 4 * b.to, ...nested.values];
  return { plan: { phases: [kernel], scratchBytes: 0 }, values };
}

/** Four by four numbers, of which `rows` by `columns` exist; rows that do not exist are not read. */
function transpose4(
  f: FunctionBuilder,
  at: { source: Local<"i32">; rise: I32; goal: Local<"i32">; stride: I32; rows: Local<"i32">; columns: Local<"i32"> },
): void {
  const { source, rise, goal, stride, rows, columns } = at;
  const [a, b, c, d] = [0, 1, 2, 3].map((i): V128 => {
    const row = f.let(v128.load(source));
    if (i < 3) f.if(i32.gt_s(rows, i + 1), () => f.increment(source, rise));
    return row;
  }) as [V128, V128, V128, V128];
  const zip = (p: V128, q: V128, first: 0 | 2): V128 =>
    f.let(i32x4.shuffle(p, q, [first, first + 4, first + 1, first + 5]));
  const [low, high] = [[zip(a, b, 0), zip(c, d, 0)] as const, [zip(a, b, 2), zip(c, d, 2)] as const];
  const output = [low, high].flatMap((halves) => [
    i32x4.shuffle(...halves, [0, 1, 4, 5]),
    i32x4.shuffle(...halves, [2, 3, 6, 7]),
  ]);
  f.if(
    i32.and(i32.ge_s(rows, 4), i32.ge_s(columns, 4)),
    () =>
      output.forEach((v) => {
        f.do(v128.store(goal, v));
        f.increment(goal, stride);
      }),
    () =>
      output.forEach((v, i) =>
        f.if(i32.gt_s(columns, i), () => {
          storeUpTo(f, goal, v, rows);
          f.increment(goal, stride);
        }),
      ),
  );
}

/** The fastest way through some loops. */
function move(loops: readonly Pair[]): Move {
  const merged = mergePairs(loops);
  const inner = merged.at(-1);
  if (inner === undefined) return moveRows([], 1);
  if (inner.from === 1 && inner.to === 1) return moveRows(merged.slice(0, -1), inner.size);
  const across = merged.findIndex(({ from }) => from === 1);
  if (inner.to !== 1 || across < 0) return moveRows(merged, 1);
  return moveSquares(merged.filter((pair, i) => pair !== inner && i !== across), inner, merged[across]!);
}

function moveLaunch<A>({ plan, values }: Move, offsets: { from?: number; to?: number } = {}): Launch<A> {
  const [fromOffset, toOffset] = [4 * (offsets.from ?? 0), 4 * (offsets.to ?? 0)];
  return { plan, words: ({ inputs: [from], outputs: [to] }) => [from! + fromOffset, to! + toOffset, ...values] };
}

/** Where element `start` of an array of `strides` lies. */
function offsetOf(start: readonly number[], strides: readonly number[]): number {
  return start.reduce((offset, at, axis) => offset + at * strides[axis]!, 0);
}

export const permuteAxes: WasmKernel<{ readonly order: readonly number[] }> = ({ inputs, outputs, attributes }) => {
  const from = stridesOf(inputs[0]!.shape);
  const to = axesOf(outputs[0]!.shape);
  return moveLaunch(move(to.map(({ size, stride }, i) => ({ size, from: from[attributes.order[i]!]!, to: stride }))));
};

export const sliceBlock: WasmKernel<{ readonly start: readonly number[]; readonly shape: Shape }> = (call) => {
  const { start, shape } = call.attributes;
  const from = stridesOf(call.inputs[0]!.shape);
  return moveLaunch(move(axesOf(shape).map(({ size, stride }, i) => ({ size, from: from[i]!, to: stride }))), {
    from: offsetOf(start, from),
  });
};

/** Zeroes the output, then moves the input to its place in it. */
export const padZeros: WasmKernel<{ readonly before: readonly number[] }> = ({ inputs, outputs, attributes }) => {
  const to = stridesOf(outputs[0]!.shape);
  const from = axesOf(inputs[0]!.shape);
  const { plan, values } = move(from.map(({ size, stride }, i) => ({ size, from: stride, to: to[i]! })));
  const first = 4 * offsetOf(attributes.before, to);
  const size = sizeOf(outputs[0]!.shape);
  // All phases read the same words: those of the zeroing come last.
  const words = [...plan.phases[0]!.arguments, "zeroed", "count"];
  const zero: Kernel = {
    key: `zero ${words.length}`,
    arguments: words,
    tiles: Math.ceil(size / TILE),
    emit: (target) =>
      emitRun(target, (f, args, tile) => {
        const start = f.let(i32.mul(tile, TILE));
        const some = lesser(TILE, i32.sub(loadWord(f, args, words, "count"), start));
        f.do(memory.fill(i32.add(loadWord(f, args, words, "zeroed"), i32.mul(start, 4)), 0, i32.mul(some, 4)));
      }),
  };
  return {
    plan: { phases: [zero, ...plan.phases.map((kernel) => ({ ...kernel, arguments: words }))], scratchBytes: 0 },
    words: (at) => [at.inputs[0]!, at.outputs[0]! + first, ...values, at.outputs[0]!, size],
  };
};

/** Lays the inputs side by side: every line of the output is a piece of each, one after the other. */
export const joinAlong: WasmKernel<{ readonly axis: number }> = ({ inputs, outputs, attributes: { axis } }) => {
  const lines = sizeOf(outputs[0]!.shape.slice(0, axis));
  const pieces = inputs.map(({ shape }) => sizeOf(shape) / lines);
  const line = sizeOf(outputs[0]!.shape) / lines;
  const perTile = Math.max(1, Math.floor(TILE / line));
  const each = (what: string): string[] => pieces.map((_, i) => `${what} ${i}`);
  const words = ["to", "lines", "line", "perTile", ...each("from"), ...each("piece")];
  const kernel: Kernel = {
    key: `join ${pieces.length}`,
    arguments: words,
    tiles: Math.ceil(lines / perTile),
    emit: (target) =>
      emitRun(target, (f, args, tile) => {
        const word = (name: string): Local<"i32"> => loadWord(f, args, words, name);
        const first = f.let(i32.mul(tile, word("perTile")));
        const last = f.let(lesser(i32.add(first, word("perTile")), word("lines")));
        const start = f.let(i32.add(word("to"), i32.mul(i32.mul(first, word("line")), 4)));
        pieces.forEach((_, i) => {
          const piece = word(`piece ${i}`);
          const from = f.let(i32.add(word(`from ${i}`), i32.mul(i32.mul(first, piece), 4)));
          const to = f.let(start);
          f.loop(first, last, 1, () => {
            copyNumbers(f, f.let(to), f.let(from), piece);
            f.increment(from, i32.mul(piece, 4));
            f.increment(to, i32.mul(word("line"), 4));
          });
          f.increment(start, i32.mul(piece, 4));
        });
      }),
  };
  return {
    plan: { phases: [kernel], scratchBytes: 0 },
    words: (at) => [at.outputs[0]!, lines, line, perTile, ...at.inputs, ...pieces],
  };
};
