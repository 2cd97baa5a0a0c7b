// Looking up rows of a table, and its transpose: summing rows into a table.

import { sizeOf } from "../shape.ts";
import { f32, f32x4, f64, f64x2, i32, i32x4, memory, v128 } from "./assembler.ts";
import type { FunctionBuilder, I32, Local } from "./assembler.ts";
import { emitRun, type Kernel } from "./kernel.ts";
import type { Addresses, WasmKernel } from "./launch.ts";
import { loadWord } from "./nest.ts";
import { copyNumbers, eachVector, lesser, refuse, storeLanes } from "./vectors.ts";

/** A tile moves about so many elements. */
const TILE = 16384;

function outside(name: string, size: number): (index: number) => RangeError {
  return (index) => new RangeError(`${name}: index ${index} is outside 0 to ${size - 1}`);
}

/** Emits a loop over indices from `first` to `last`: gives the number and the value of each that is valid. */
function eachIndex(
  f: FunctionBuilder,
  word: (name: string) => Local<"i32">,
  first: I32,
  last: I32,
  body: (i: Local<"i32">, index: Local<"i32">) => void,
): void {
  const [indices, size, fault] = [word("indices"), word("size"), word("fault")];
  f.loop(first, last, 1, (i) => {
    const index = f.let(i32.load(i32.add(indices, i32.mul(i, 4))));
    f.if(i32.lt_u(index, size), () => body(i, index), () => refuse(f, fault, index));
  });
}

const gatherWords = ["table", "indices", "to", "fault", "size", "row", "count", "perTile"];

export const gatherRows: WasmKernel<unknown> = ({ inputs: [table, indices] }) => {
  const size = table!.shape[0]!;
  const row = sizeOf(table!.shape) / size;
  const count = sizeOf(indices!.shape);
  const perTile = Math.max(1, Math.floor(TILE / row));
  const single = row === 1;
  const kernel: Kernel = {
    key: single ? "gather numbers" : "gather rows",
    arguments: gatherWords,
    tiles: Math.ceil(count / perTile),
    emit: (target) =>
      emitRun(target, (f, args, tile) => {
        const word = (name: string): Local<"i32"> => loadWord(f, args, gatherWords, name);
        const [from, to, width] = [word("table"), word("to"), word("row")];
        const first = f.let(i32.mul(tile, word("perTile")));
        const last = lesser(i32.add(first, word("perTile")), word("count"));
        eachIndex(f, word, first, last, (i, index) => {
          if (single) {
            f.do(i32.store(i32.add(to, i32.mul(i, 4)), i32.load(i32.add(from, i32.mul(index, 4)))));
            return;
          }
          const source = f.let(i32.add(from, i32.mul(i32.mul(index, width), 4)));
          const goal = f.let(i32.add(to, i32.mul(i32.mul(i, width), 4)));
          copyNumbers(f, goal, source, width);
        });
      }),
  };
  return {
    plan: { phases: [kernel], scratchBytes: 0 },
    words: ({ inputs, outputs, fault }) => [...inputs, ...outputs, fault, size, row, count, perTile],
    refuse: outside("gather", size),
  };
};

const scatterWords = ["updates", "indices", "to", "fault", "scratch", "size", "row", "count", "perPiece", "pieces"];

/**
 * The updates are cut into pieces, each of which sums into float64 numbers of its own; then the pieces are added in
 * order. There are more of them the more updates there are for each sum.
 */
export const scatterRows: WasmKernel<{ readonly size: number }> = ({ inputs: [updates, indices], attributes }) => {
  const { size } = attributes;
  const count = sizeOf(indices!.shape);
  const row = sizeOf(updates!.shape) / count;
  const sums = size * row;
  const most = Math.max(1, Math.floor((count * row) / Math.max(sums, TILE)));
  const perPiece = Math.ceil(count / most);
  const pieces = Math.ceil(count / perPiece);
  return {
    plan: { phases: [scatterKernel(row === 1, pieces), addPieces(sums)], scratchBytes: 8 * pieces * sums },
    words: ({ inputs, outputs, fault, scratch }: Addresses) => [
      ...inputs, ...outputs, fault, scratch, size, row, count, perPiece, pieces,
    ],
    refuse: outside("scatterAdd", size),
  };
};

function scatterKernel(single: boolean, pieces: number): Kernel {
  return {
    key: single ? "scatter numbers" : "scatter rows",
    arguments: scatterWords,
    tiles: pieces,
    emit: (target) =>
      emitRun(target, (f, args, tile) => {
        const word = (name: string): Local<"i32"> => loadWord(f, args, scatterWords, name);
        const [updates, width] = [word("updates"), word("row")];
        const bytes = f.let(i32.mul(i32.mul(word("size"), width), 8));
        const sums = f.let(i32.add(word("scratch"), i32.mul(tile, bytes)));
        f.do(memory.fill(sums, 0, bytes));
        const first = f.let(i32.mul(tile, word("perPiece")));
        const last = lesser(i32.add(first, word("perPiece")), word("count"));
        eachIndex(f, word, first, last, (i, index) => {
          const from = f.let(i32.add(updates, i32.mul(single ? i : i32.mul(i, width), 4)));
          const to = f.let(i32.add(sums, i32.mul(single ? index : i32.mul(index, width), 8)));
          const addOne = (): void => f.do(f64.store(to, f64.add(f64.load(to), f64.promote_f32(f32.load(from)))));
          if (single) return addOne();
          f.loop(0, i32.sub(width, 1), 2, () => {
            f.do(v128.store(to, f64x2.add(v128.load(to), f64x2.promote_low_f32x4(v128.load64_zero(from)))));
            f.increment(from, 8);
            f.increment(to, 16);
          });
          f.if(i32.and(width, 1), addOne);
        });
      }),
  };
}

function addPieces(sums: number): Kernel {
  return {
    key: "scatter: add pieces",
    arguments: scatterWords,
    tiles: Math.ceil(sums / TILE),
    emit: (target) =>
      emitRun(target, (f, args, tile) => {
        const word = (name: string): Local<"i32"> => loadWord(f, args, scatterWords, name);
        const [to, scratch, pieces] = [word("to"), word("scratch"), word("pieces")];
        const count = f.let(i32.mul(word("size"), word("row")));
        const first = f.let(i32.mul(tile, TILE));
        eachVector(f, lesser(TILE, i32.sub(count, first)), (i, lanes) => {
          const [low, high] = [f.let(f64x2.const(0, 0)), f.let(f64x2.const(0, 0))];
          const element = f.let(i32.add(first, i));
          const at = f.let(i32.add(scratch, i32.mul(element, 8)));
          f.loop(0, pieces, 1, () => {
            f.set(low, f64x2.add(low, v128.load(at)));
            f.set(high, f64x2.add(high, v128.load(at, 16)));
            f.increment(at, i32.mul(count, 8));
          });
          const v = i32x4.shuffle(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), [0, 1, 4, 5]);
          storeLanes(f, f.let(i32.add(to, i32.mul(element, 4))), v, lanes);
        });
      }),
  };
}
