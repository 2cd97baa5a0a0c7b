// Blocks of columns, cut into panels as wide as the register tile, and matrices copied into such panels.

import { i32, v128 } from "./assembler.ts";
import type { FunctionBuilder, I32, Local } from "./assembler.ts";
import { lanesOf, loadLanes } from "./registerTile.ts";

/** The smaller of two integers, as a new variable. */
export function least(f: FunctionBuilder, a: I32, b: I32): Local<"i32"> {
  const smaller = f.let(i32.add(a, 0));
  const other = f.let(i32.add(b, 0));
  f.if(i32.gt_s(smaller, other), () => f.set(smaller, other));
  return smaller;
}

/** Some of so many columns, a block from the `first` on (all, if not said), in panels `width` wide. */
export interface Columns {
  readonly columns: number;
  readonly width: number;
  readonly first?: I32;
  readonly block?: number;
}

/**
 * Visits the panels of a block of columns; the ragged rest of the last block has a body of its own. Blocks before the
 * last must be whole panels.
 */
export function panels(
  f: FunctionBuilder,
  { columns, width, first = 0, block = columns }: Columns,
  body: (j: Local<"i32">, count: number) => void,
): void {
  const whole = columns - (columns % width);
  f.loop(first, block >= columns ? whole : least(f, i32.add(first, block), whole), width, (j) => body(j, width));
  if (whole < columns) {
    const inLast = block >= columns ? 1 : i32.ge_s(i32.add(first, block), columns);
    f.if(inLast, () => body(f.let(i32.const(whole)), columns - whole));
  }
}

/** Calls `body(r, height)` for every `height` rows from `first` to `last`, and once for the rest of all `rows`. */
export function rowTiles(
  f: FunctionBuilder,
  first: I32,
  last: I32,
  rows: number,
  height: number,
  body: (height: number) => (i: Local<"i32">) => void,
): void {
  const i = f.let(i32.add(first, 0));
  if (rows >= height) {
    const whole = body(height);
    f.while(
      () => i32.le_s(i, i32.sub(last, height)),
      () => {
        whole(i);
        f.increment(i, height);
      },
    );
  }
  if (rows % height > 0) f.if(i32.lt_s(i, last), () => body(rows % height)(i));
}

/**
 * Copies a matrix of `rows` into panels, each with its rows one behind the other: the panel of column `j` starts at
 * byte `4 * j * rows`. The last panel is filled up to whole vectors with zeros.
 */
export function packPanels(
  f: FunctionBuilder,
  matrix: { from: I32; rows: number; columns: number; rowBytes: number },
  to: I32,
  width: number,
  first: I32 = 0,
  block = matrix.columns,
): void {
  const { rows, columns, rowBytes } = matrix;
  const copy = (j: Local<"i32">, count: number) => {
    const source = f.let(i32.add(matrix.from, i32.mul(j, 4)));
    const target = f.let(i32.add(to, i32.mul(j, 4 * rows)));
    const lanes = lanesOf(count);
    f.loop(0, rows, 1, () => {
      lanes.forEach((used, v) => f.do(v128.store(target, loadLanes(source, used, 16 * v), 16 * v)));
      f.increment(source, rowBytes);
      f.increment(target, 16 * lanes.length);
    });
  };
  panels(f, { columns, width, first, block }, copy);
}
