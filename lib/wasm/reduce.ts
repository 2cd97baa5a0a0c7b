// Sums and maxima over any axes.
//
// Sums are kept in float64 and rounded once: the additions hide behind the loads, and the order of the terms, though
// fixed, hardly matters to the result.

import type { Shape } from "../shape.ts";
import { f32, f32x4, f64, f64x2, i32, i32x4, v128 } from "./assembler.ts";
import type { F64, FunctionBuilder, I32, Local, V128 } from "./assembler.ts";
import { emitRun, type Kernel, type Plan, wordOffset } from "./kernel.ts";
import type { WasmKernel } from "./launch.ts";
import { addOffset, type Axis, axesOf, loadWord, mergeAxes, nestValues, nestWords, walk } from "./nest.ts";
import { eachVector, lesser, onlyLanes, storeUpTo } from "./vectors.ts";

interface Reduction {
  /** Axes that disappear, counted from the front, rising. */
  readonly axes: readonly number[];
}

/** A tile adds up about so many elements. */
const TILE = 32768;
/** Fewer blocks than this cannot keep all threads busy: long sums among them are cut into pieces. */
const FEW = 32;
/** Columns that are reduced side by side: a cache line. */
const COLUMNS = 16;

/**
 * How a reduction runs. `kept` loops choose an output, `reduced` loops its terms, and the innermost axis of `x`, which
 * belongs to either, is walked by itself: as neighbouring terms of one output (`rows`), or as neighbouring outputs
 * (columns), `COLUMNS` of them at a time.
 */
interface Geometry {
  readonly rows: boolean;
  readonly kept: readonly Axis[];
  readonly reduced: readonly Axis[];
  readonly inner: number;
  /** Outputs, or groups of columns. */
  readonly blocks: number;
  readonly blocksPerTile: number;
  /** The outermost loop over terms has `rounds`; it is cut into `pieces` of `length` rounds, the last one shorter. */
  readonly rounds: number;
  readonly pieces: number;
  readonly length: number;
}

function geometryOf(shape: Shape, axes: readonly number[], cut: boolean): Geometry {
  const all = axesOf(shape);
  const kept = mergeAxes(all.filter((_, axis) => !axes.includes(axis)));
  const reduced = mergeAxes(all.filter((_, axis) => axes.includes(axis)));
  const rows = kept.at(-1)?.stride !== 1;
  const inner = (rows ? reduced : kept).pop()?.size ?? 1;
  const count = (list: readonly Axis[]): number => list.reduce((product, { size }) => product * size, 1);
  const blocks = count(kept) * (rows ? 1 : Math.ceil(inner / COLUMNS));
  const perBlock = count(reduced) * (rows ? inner : Math.min(inner, COLUMNS));
  const rounds = reduced[0]?.size ?? (rows ? inner : 1);
  const pieces = cut && blocks < FEW ? Math.max(1, Math.floor(perBlock / TILE)) : 1;
  const length = Math.ceil(rounds / pieces);
  return {
    rows,
    kept,
    reduced,
    inner,
    blocks,
    blocksPerTile: Math.max(1, Math.floor(TILE / perBlock)),
    rounds,
    pieces: Math.ceil(rounds / length),
    length,
  };
}

const sizes = ["inner", "groups", "blocks", "blocksPerTile", "rounds", "pieces", "length"];

function wordsOf(outputs: readonly string[], { kept, reduced }: Geometry): string[] {
  return ["x", ...outputs, ...sizes, ...nestWords("kept", kept.length), ...nestWords("reduced", reduced.length)];
}

function valuesOf({ rows, kept, reduced, inner, blocks, blocksPerTile, rounds, pieces, length }: Geometry): number[] {
  const groups = rows ? 1 : Math.ceil(inner / COLUMNS);
  const values = [inner, groups, blocks, blocksPerTile, rounds, pieces, length];
  return [...values, ...nestValues(kept), ...nestValues(reduced)];
}

function keyOf(family: string, { rows, kept, reduced, pieces }: Geometry): string {
  const form = `${rows ? "rows" : "columns"} ${kept.length} ${reduced.length}`;
  return `${family} ${form}${pieces > 1 ? " in pieces" : ""}`;
}

/** What the kernels of both families are given for each block. */
interface Block {
  readonly f: FunctionBuilder;
  readonly args: Local<"i32">;
  readonly word: (name: string) => Local<"i32">;
  readonly block: Local<"i32">;
  readonly piece: Local<"i32">;
  /** Of the first output: an element number. */
  readonly output: Local<"i32">;
  /** Outputs from there on that exist: 1, or of a group of columns. */
  readonly width: I32;
  /** Walks through the terms: gives the address of each stretch of neighbours, and its length if they are terms. */
  readonly terms: (body: (address: Local<"i32">, count: I32) => void) => void;
  /** Where the first term lies. */
  readonly start: Local<"i32">;
}

/** Emits the loop over the blocks of a tile. */
function emitBlocks(
  f: FunctionBuilder,
  args: Local<"i32">,
  tile: Local<"i32">,
  words: readonly string[],
  { rows, kept, reduced }: Geometry,
  body: (block: Block) => void,
): void {
  const word = (name: string): Local<"i32"> => loadWord(f, args, words, name);
  const [x, inner, groups] = [word("x"), word("inner"), word("groups")];
  const [pieces, blocksPerTile] = [word("pieces"), word("blocksPerTile")];
  const tileOfBlocks = f.let(i32.div_u(tile, pieces));
  const piece = f.let(i32.sub(tile, i32.mul(tileOfBlocks, pieces)));
  const from = f.let(i32.mul(piece, word("length")));
  const rounds = f.let(lesser(word("length"), i32.sub(word("rounds"), from)));
  const first = f.let(i32.mul(tileOfBlocks, blocksPerTile));
  f.loop(first, lesser(i32.add(first, blocksPerTile), word("blocks")), 1, (block) => {
    const start = f.let(x);
    const index = f.let(block);
    const output = f.let(block);
    let width: I32 = 1;
    if (!rows) {
      f.set(index, i32.div_u(block, groups));
      const column = f.let(i32.mul(i32.sub(block, i32.mul(index, groups)), COLUMNS));
      f.increment(start, i32.mul(column, 4));
      f.set(output, i32.add(i32.mul(index, inner), column));
      width = f.let(i32.sub(inner, column));
    }
    addOffset(f, args, words, { name: "kept", depth: kept.length }, index, start);
    const nested = { name: "reduced", depth: reduced.length };
    if (nested.depth > 0) f.increment(start, i32.mul(from, i32.load(args, wordOffset(words, "reduced stride 0"))));
    else if (rows) f.increment(start, i32.mul(from, 4));
    const terms: Block["terms"] = (body) =>
      walk(f, args, words, nested, start, (address) => body(address, nested.depth === 0 ? rounds : inner), rounds);
    body({ f, args, word, block, piece, output, width, terms, start });
  });
}

/** Halves of a vector in float64. */
export const low = (v: V128): V128 => f64x2.promote_low_f32x4(v);
export const high = (v: V128): V128 => f64x2.promote_low_f32x4(i32x4.shuffle(v, v, [2, 3, 2, 3]));

/** The sum of four pairs of sums. */
export function totalOf(f: FunctionBuilder, sums: readonly V128[]): F64 {
  const pair = f.let(f64x2.add(f64x2.add(sums[0]!, sums[2]!), f64x2.add(sums[1]!, sums[3]!)));
  return f64.add(f64x2.extract_lane(pair, 0), f64x2.extract_lane(pair, 1));
}

/** Emits the addition of `count` neighbours to four pairs of sums. */
function addNeighbours(f: FunctionBuilder, sums: readonly Local<"v128">[], start: I32, count: I32): void {
  const at = f.let(i32.add(start, 0));
  const add = (i: number, v: V128): void => f.set(sums[i]!, f64x2.add(sums[i]!, v));
  f.loop(0, i32.sub(count, 7), 8, () => {
    const [a, b] = [f.let(v128.load(at)), f.let(v128.load(at, 16))];
    [low(a), high(a), low(b), high(b)].forEach((v, i) => add(i, v));
    f.increment(at, 32);
  });
  eachVector(f, i32.and(count, 7), (_, lanes) => {
    const v = f.let(onlyLanes(v128.load(at), lanes));
    add(0, low(v));
    add(1, high(v));
    f.increment(at, 16);
  });
}

function sumKernel(geometry: Geometry, words: readonly string[]): Kernel {
  const { rows, blocks, blocksPerTile, pieces } = geometry;
  return {
    key: keyOf("sum", geometry),
    arguments: words,
    tiles: Math.ceil(blocks / blocksPerTile) * pieces,
    emit: (target) =>
      emitRun(target, (f, args, tile) =>
        emitBlocks(f, args, tile, words, geometry, ({ word, block, piece, output, width, terms }) => {
          const sums = Array.from({ length: rows ? 4 : COLUMNS / 2 }, () => f.let(f64x2.const(0, 0)));
          terms((address, count) => {
            if (rows) return addNeighbours(f, sums, address, count);
            for (let i = 0; i < COLUMNS / 4; i++) {
              const v = f.let(v128.load(address, 16 * i));
              f.set(sums[2 * i]!, f64x2.add(sums[2 * i]!, low(v)));
              f.set(sums[2 * i + 1]!, f64x2.add(sums[2 * i + 1]!, high(v)));
            }
          });
          const to = f.let(i32.add(word("to"), i32.mul(output, 4)));
          if (rows) {
            const total = totalOf(f, sums);
            if (pieces === 1) f.do(f32.store(to, f32.demote_f64(total)));
            else f.do(f64.store(i32.add(word("scratch"), i32.mul(slot(piece, block, word), 8)), total));
          } else if (pieces === 1) {
            for (let i = 0; i < COLUMNS / 4; i++) {
              const [left, right] = [f32x4.demote_f64x2_zero(sums[2 * i]!), f32x4.demote_f64x2_zero(sums[2 * i + 1]!)];
              const v = i32x4.shuffle(left, right, [0, 1, 4, 5]);
              storeUpTo(f, to, v, f.let(i32.sub(width, 4 * i)), 16 * i);
            }
          } else {
            const kept = f.let(i32.add(word("scratch"), i32.mul(slot(piece, block, word), 8 * COLUMNS)));
            sums.forEach((sum, i) => f.do(v128.store(kept, sum, 16 * i)));
          }
        }),
      ),
  };
}

function slot(piece: I32, block: I32, word: (name: string) => I32): I32 {
  return i32.add(i32.mul(piece, word("blocks")), block);
}

/** Adds up the pieces of each sum, in order. */
function combineKernel(geometry: Geometry, words: readonly string[]): Kernel {
  const { rows } = geometry;
  return {
    key: `sum of pieces, ${rows ? "rows" : "columns"} ${geometry.kept.length} ${geometry.reduced.length}`,
    arguments: words,
    tiles: 1,
    emit: (target) =>
      emitRun(target, (f, args) => {
        const word = (name: string): Local<"i32"> => loadWord(f, args, words, name);
        const [blocks, groups, inner, pieces] = [word("blocks"), word("groups"), word("inner"), word("pieces")];
        const to = f.let(word("to"));
        const stride = f.let(i32.mul(blocks, rows ? 8 : 8 * COLUMNS));
        const lines = rows ? 1 : i32.div_u(blocks, groups);
        f.loop(0, lines, 1, (line) => {
          const from = f.let(i32.add(word("scratch"), i32.mul(i32.mul(line, groups), 8 * COLUMNS)));
          f.loop(0, rows ? blocks : inner, 1, () => {
            const sum = f.let(f64.const(0));
            const at = f.let(from);
            f.loop(0, pieces, 1, () => {
              f.set(sum, f64.add(sum, f64.load(at)));
              f.increment(at, stride);
            });
            f.do(f32.store(to, f32.demote_f64(sum)));
            f.increment(to, 4);
            f.increment(from, 8);
          });
        });
      }),
  };
}

/** Words: x, to, scratch if the plan needs some, then `geometry`. */
function sumPlan(shape: Shape, axes: readonly number[]): { plan: Plan; geometry: readonly number[] } {
  const geometry = geometryOf(shape, axes, true);
  const { pieces, blocks, rows } = geometry;
  const words = wordsOf(["to", "scratch"], geometry);
  const phases = [sumKernel(geometry, words)];
  if (pieces > 1) phases.push(combineKernel(geometry, words));
  const scratchBytes = pieces > 1 ? 8 * pieces * blocks * (rows ? 1 : COLUMNS) : 0;
  return { plan: { phases, scratchBytes }, geometry: valuesOf(geometry) };
}

/** Emits: where `v` beats `best` (it is larger, or the first NaN), all bits. */
function beats(v: V128, best: V128): V128 {
  return v128.andnot(f32x4.eq(best, best), f32x4.le(v, best));
}

/** Words: x, to, at, then `geometry`. `at` receives where in `x` each maximum stands: the first of equals. */
function maxPlan(shape: Shape, axes: readonly number[]): { plan: Plan; geometry: readonly number[] } {
  const geometry = geometryOf(shape, axes, false);
  const { rows, blocks, blocksPerTile } = geometry;
  const words = wordsOf(["to", "at"], geometry);
  const emitBlock = ({ f, word, output, width, terms, start }: Block): void => {
    const x = word("x");
    const to = f.let(i32.add(word("to"), i32.mul(output, 4)));
    const at = f.let(i32.add(word("at"), i32.mul(output, 4)));
    const place = (address: I32): I32 => i32.shr_u(i32.sub(address, x), 2);
    if (rows) {
      const best = f.let(f32.load(start));
      const found = f.let(start);
      terms((first, count) => {
        const address = f.let(first);
        f.loop(0, count, 1, () => {
          const v = f.let(f32.load(address));
          const wins = i32.and(i32.eqz(f32.le(v, best)), f32.eq(best, best));
          f.if(wins, () => {
            f.set(best, v);
            f.set(found, address);
          });
          f.increment(address, 4);
        });
      });
      f.do(f32.store(to, best), i32.store(at, place(found)));
      return;
    }
    const groups = Array.from({ length: COLUMNS / 4 }, (_, i) => ({
      best: f.let(v128.load(start, 16 * i)),
      found: f.let(i32x4.splat(place(start))),
    }));
    terms((address) => {
      const here = f.let(i32x4.splat(place(address)));
      groups.forEach(({ best, found }, i) => {
        const v = f.let(v128.load(address, 16 * i));
        const wins = f.let(beats(v, best));
        f.set(best, v128.bitselect(v, best, wins));
        f.set(found, v128.bitselect(here, found, wins));
      });
    });
    groups.forEach(({ best, found }, i) => {
      const left = f.let(i32.sub(width, 4 * i));
      storeUpTo(f, to, best, left, 16 * i);
      storeUpTo(f, at, i32x4.add(found, i32x4.const(4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3)), left, 16 * i);
    });
  };
  const kernel: Kernel = {
    key: keyOf("max", geometry),
    arguments: words,
    tiles: Math.ceil(blocks / blocksPerTile),
    emit: (target) =>
      emitRun(target, (f, args, tile) => emitBlocks(f, args, tile, words, geometry, emitBlock)),
  };
  return { plan: { phases: [kernel], scratchBytes: 0 }, geometry: valuesOf(geometry) };
}

export const sumAxes: WasmKernel<Reduction> = ({ inputs: [x], attributes: { axes } }) => {
  const { plan, geometry } = sumPlan(x!.shape, axes);
  return { plan, words: ({ inputs: [from], outputs: [to], scratch }) => [from!, to!, scratch, ...geometry] };
};

export const maxAxes: WasmKernel<Reduction> = ({ inputs: [x], attributes: { axes } }) => {
  const { plan, geometry } = maxPlan(x!.shape, axes);
  return { plan, words: ({ inputs: [from], outputs: [to, at] }) => [from!, to!, at!, ...geometry] };
};
