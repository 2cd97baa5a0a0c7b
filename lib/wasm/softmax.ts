// Softmax and cross entropy of rows: one pass for the largest number, one for the sum of exponentials (kept in
// float64), one for the result.

import type { Call } from "../ops/operation.ts";
import { sizeOf } from "../shape.ts";
import { f32, f32x4, f64, f64x2, i32, i32x4, v128 } from "./assembler.ts";
import type { Expression, FunctionBuilder, I32, Local, V128 } from "./assembler.ts";
import { emitRun, type Kernel, type Target } from "./kernel.ts";
import type { Launch, WasmKernel } from "./launch.ts";
import { exp, log, type VectorFunction } from "./math.ts";
import { loadWord } from "./nest.ts";
import { constant4, eachVector, type Lanes, lesser, onlyLanes, refuse, storeLanes } from "./vectors.ts";

type None = Record<never, never>;

/** A tile takes some microseconds: about so many exponentials. */
const TILE = 4096;

const rowWords = ["rows", "size", "rowsPerTile"];

/** The values of `rowWords`, and how many tiles that makes. */
function cut(call: Call<unknown>): { values: number[]; tiles: number } {
  const { shape } = call.inputs[0]!;
  const size = shape.at(-1)!;
  const rows = sizeOf(shape) / size;
  const rowsPerTile = Math.max(1, Math.floor(TILE / size));
  return { values: [rows, size, rowsPerTile], tiles: Math.ceil(rows / rowsPerTile) };
}

interface Row {
  readonly row: Local<"i32">;
  readonly size: Local<"i32">;
  /** Address of the row in an operand of `size` columns. */
  readonly at: (word: string) => Local<"i32">;
  /** Address of the row's element of an operand of one column. */
  readonly element: (word: string) => Local<"i32">;
  /** Loops over the row, four elements at a time: gives their byte offset. */
  readonly each: (body: (offset: Local<"i32">, lanes: Lanes) => void) => void;
}

function rowKernel(
  key: string,
  operands: readonly string[],
  tiles: number,
  prepare: (f: FunctionBuilder, target: Target, words: { load: (word: string) => Local<"i32"> }) => (row: Row) => void,
): Kernel {
  const words = [...operands, ...rowWords];
  return {
    key,
    arguments: words,
    tiles,
    emit: (target) =>
      emitRun(target, (f, args, tile) => {
        const load = (word: string): Local<"i32"> => loadWord(f, args, words, word);
        const [size, rowsPerTile] = [load("size"), load("rowsPerTile")];
        const body = prepare(f, target, { load });
        const first = f.let(i32.mul(tile, rowsPerTile));
        f.loop(first, lesser(i32.add(first, rowsPerTile), load("rows")), 1, (row) => {
          const start = f.let(i32.mul(i32.mul(row, size), 4));
          body({
            row,
            size,
            at: (word) => f.let(i32.add(load(word), start)),
            element: (word) => f.let(i32.add(load(word), i32.mul(row, 4))),
            each: (visit) => eachVector(f, size, (j, lanes) => visit(f.let(i32.mul(j, 4)), lanes)),
          });
        });
      }),
  };
}

/** Emits `max x` and `Σ exp(x - max x)` of a row; the exponentials go to `keep` if there is one. */
function emitTotal(
  f: FunctionBuilder,
  { each }: Row,
  x: Local<"i32">,
  keep: Local<"i32"> | null,
  { exponential, lowest }: { exponential: VectorFunction; lowest: V128 },
): { top: Local<"v128">; sum: Local<"f32"> } {
  const top = f.let(lowest);
  each((offset, lanes) => {
    f.set(top, f32x4.max(top, onlyLanes(v128.load(i32.add(x, offset)), lanes, lowest)));
  });
  f.set(top, f32x4.max(top, i32x4.shuffle(top, top, [2, 3, 0, 1])));
  f.set(top, f32x4.max(top, i32x4.shuffle(top, top, [1, 0, 3, 2])));
  const sums = [f.let(f64x2.const(0, 0)), f.let(f64x2.const(0, 0))] as const;
  each((offset, lanes) => {
    const e = f.let(exponential(f32x4.sub(v128.load(i32.add(x, offset)), top)));
    if (keep !== null) storeLanes(f, f.let(i32.add(keep, offset)), e, lanes);
    addPairs(f, sums, f.let(onlyLanes(e, lanes)));
  });
  return { top, sum: f.let(f32.demote_f64(totalOf(f, sums))) };
}

type Pairs = readonly [Local<"v128">, Local<"v128">];

function addPairs(f: FunctionBuilder, [low, high]: Pairs, v: V128): void {
  f.set(low, f64x2.add(low, f64x2.promote_low_f32x4(v)));
  f.set(high, f64x2.add(high, f64x2.promote_low_f32x4(i32x4.shuffle(v, v, [2, 3, 2, 3]))));
}

function totalOf(f: FunctionBuilder, [low, high]: Pairs): Expression<"f64"> {
  const pair = f.let(f64x2.add(low, high));
  return f64.add(f64x2.extract_lane(pair, 0), f64x2.extract_lane(pair, 1));
}

function prepareTotal(f: FunctionBuilder, target: Target): { exponential: VectorFunction; lowest: V128 } {
  return { exponential: exp(f, target), lowest: constant4(f, -Infinity) };
}

export const softmaxRows: WasmKernel<None> = (call) => {
  const { values, tiles } = cut(call);
  const kernel = rowKernel("softmax", ["x", "to"], tiles, (f, target) => {
    const tools = prepareTotal(f, target);
    return (row) => {
      const to = row.at("to");
      const { sum } = emitTotal(f, row, row.at("x"), to, tools);
      divide(f, row, to, sum);
    };
  });
  return rowLaunch(kernel, values);
};

/** Divides a row by a number, in place. */
function divide(f: FunctionBuilder, { each }: Row, to: Local<"i32">, by: Local<"f32">): void {
  const divisor = f.let(f32x4.splat(by));
  each((offset, lanes) => {
    const address = f.let(i32.add(to, offset));
    storeLanes(f, address, f32x4.div(v128.load(address), divisor), lanes);
  });
}

function rowLaunch(kernel: Kernel, values: readonly number[]): Launch<None> {
  return {
    plan: { phases: [kernel], scratchBytes: 0 },
    words: ({ inputs, outputs }) => [...inputs, ...outputs, ...values],
  };
}

export const logSoftmaxRows: WasmKernel<None> = (call) => {
  const { values, tiles } = cut(call);
  const kernel = rowKernel("logSoftmax", ["x", "to"], tiles, (f, target) => {
    const tools = prepareTotal(f, target);
    const logarithm = log(f, target);
    return (row) => {
      const [x, to] = [row.at("x"), row.at("to")];
      const { top, sum } = emitTotal(f, row, x, null, tools);
      const total = f.let(logarithm(f32x4.splat(sum)));
      row.each((offset, lanes) => {
        const y = f32x4.sub(f32x4.sub(v128.load(i32.add(x, offset)), top), total);
        storeLanes(f, f.let(i32.add(to, offset)), y, lanes);
      });
    };
  });
  return rowLaunch(kernel, values);
};

export const crossEntropyRows: WasmKernel<None> = (call) => {
  const { values, tiles } = cut(call);
  const hard = call.inputs[1]!.type === "int";
  const operands = ["logits", "labels", "losses", "probabilities", "fault"];
  const kernel = rowKernel(`crossEntropy ${hard ? "hard" : "soft"}`, operands, tiles, (f, target, words) => {
    const tools = prepareTotal(f, target);
    const logarithm = log(f, target);
    return (row) => {
      const [logits, probabilities, losses] = [row.at("logits"), row.at("probabilities"), row.element("losses")];
      const { top, sum } = emitTotal(f, row, logits, probabilities, tools);
      const total = f.let(logarithm(f32x4.splat(sum)));
      divide(f, row, probabilities, sum);
      // loss = Σ t (ln Σ exp(x) - x)
      if (hard) {
        const label = f.let(i32.load(row.element("labels")));
        f.if(
          i32.ge_u(label, row.size),
          () => refuse(f, words.load("fault"), label),
          () => {
            const x = f32.sub(f32.load(i32.add(logits, i32.mul(label, 4))), f32x4.extract_lane(top, 0));
            f.do(f32.store(losses, f32.sub(f32x4.extract_lane(total, 0), x)));
          },
        );
      } else {
        const labels = row.at("labels");
        const sums = [f.let(f64x2.const(0, 0)), f.let(f64x2.const(0, 0))] as const;
        row.each((offset, lanes) => {
          const x = f32x4.sub(v128.load(i32.add(logits, offset)), top);
          const loss = f32x4.mul(v128.load(i32.add(labels, offset)), f32x4.sub(total, x));
          addPairs(f, sums, f.let(onlyLanes(loss, lanes)));
        });
        f.do(f32.store(losses, f32.demote_f64(totalOf(f, sums))));
      }
    };
  });
  const classes = values[1]!;
  return {
    plan: { phases: [kernel], scratchBytes: 0 },
    words: ({ inputs, outputs, fault }) => [...inputs, ...outputs, fault, ...values],
    refuse: (label) => new RangeError(`crossEntropy: label ${label} is outside 0 to ${classes - 1}`),
  };
};

/** dx = (p Σt - t) ⊙ dy */
export const crossEntropyGradient: WasmKernel<None> = (call) => {
  const { values, tiles } = cut(call);
  const hard = call.inputs[1]!.type === "int";
  const operands = ["probabilities", "labels", "dy", "to"];
  const kernel = rowKernel(`crossEntropyGradient ${hard ? "hard" : "soft"}`, operands, tiles, (f) => {
    const one = constant4(f, 1);
    const offsets = f.let(i32x4.const(0, 4, 8, 12));
    return (row) => {
      const [probabilities, to] = [row.at("probabilities"), row.at("to")];
      const dy = f.let(v128.load32_splat(row.element("dy")));
      const store = (offset: I32, lanes: Lanes, total: V128 | null, t: V128): void => {
        const p = v128.load(i32.add(probabilities, offset));
        const difference = f32x4.sub(total === null ? p : f32x4.mul(p, total), t);
        storeLanes(f, f.let(i32.add(to, offset)), f32x4.mul(difference, dy), lanes);
      };
      if (hard) {
        const label = f.let(i32x4.shl(v128.load32_splat(row.element("labels")), 2));
        row.each((offset, lanes) => {
          const here = i32x4.eq(label, i32x4.add(offsets, i32x4.splat(offset)));
          store(offset, lanes, null, v128.and(here, one));
        });
      } else {
        const labels = row.at("labels");
        const sums = [f.let(f64x2.const(0, 0)), f.let(f64x2.const(0, 0))] as const;
        row.each((offset, lanes) =>
          addPairs(f, sums, f.let(onlyLanes(v128.load(i32.add(labels, offset)), lanes))),
        );
        const total = f.let(f32x4.splat(f32.demote_f64(totalOf(f, sums))));
        row.each((offset, lanes) => store(offset, lanes, total, v128.load(i32.add(labels, offset))));
      }
    };
  });
  return rowLaunch(kernel, values);
};
