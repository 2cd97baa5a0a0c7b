// Quadratic forms of normal draws, sixteen draws at a time, which never leave their registers.
//
// The bits are those of a table of draws, of z (a z + b) over it, and of the sums of its rows: terms are float32, and
// added up in float64 in the order of `reduce.ts`.

import { f32, f32x4, f64x2, i32, i32x4, v128 } from "./assembler.ts";
import type { F64, FunctionBuilder, I32, Local, V128 } from "./assembler.ts";
import { emitRun, type Kernel, type Target } from "./kernel.ts";
import type { WasmKernel } from "./launch.ts";
import { loadWord } from "./nest.ts";
import { high, low, totalOf } from "./reduce.ts";
import { multiplyAdd } from "./registerTile.ts";
import { normalOf, normals, wordsFrom } from "./threefry.ts";
import { lesser, onlyLanes } from "./vectors.ts";

/** A tile takes about so many draws. */
const TILE = 16384;

const arrays = ["to", "a", "b", "table"];
const words = [...arrays, "rows", "rowsPerTile", "count", "key low", "key high", "counter high", "half", "odd"];

/** The next draws of a row, in fours: eight for each of `eights`. Of the `last` eight one is left out. */
type Next = (eights: number, last: boolean) => readonly V128[];

function kernelOf(tiles: number): Kernel {
  return {
    key: "quadraticOfNormals",
    arguments: words,
    tiles,
    emit: (target) =>
      emitRun(target, (f, args, tile) => {
        const load = (name: string): Local<"i32"> => loadWord(f, args, words, name);
        const [to, rowsPerTile, count, half, odd] = [
          load("to"), load("rowsPerTile"), load("count"), load("half"), load("odd"),
        ];
        const [a, b] = [load("a"), load("b")];
        const draw = wordsFrom(f, load("key low"), load("key high"), load("counter high"));
        const normal = normalOf(f, load("table"));
        const first = f.let(i32.mul(tile, rowsPerTile));
        f.loop(first, lesser(i32.add(first, rowsPerTile), load("rows")), 1, (row) => {
          // start + row * count, which has up to 33 bits, is 2 * counter or one more.
          const rest = f.let(i32.add(odd, i32.mul(row, i32.and(count, 1))));
          const counter = f.let(i32.add(half, i32.mul(row, i32.shr_u(count, 1))));
          f.increment(counter, i32.shr_u(rest, 1));
          const drawn = (eights: number): Local<"v128">[] => {
            const fours = draw(counter, eights).map((four) => f.let(normal(f.let(four))));
            f.increment(counter, 4 * eights);
            return fours;
          };
          const add = (next: Next): void => {
            const sum = emitSum(f, target, { a, b, count }, next);
            f.do(f32.store(i32.add(to, i32.mul(row, 4)), f32.demote_f64(sum)));
          };
          f.if(
            i32.and(rest, 1),
            () => {
              // Shifted by one draw: eight are held that were drawn before.
              const held = drawn(1);
              add((eights, last) => {
                const more = last ? eights - 1 : eights;
                const fours = more === 0 ? held : [...held, ...drawn(more)];
                const shifted = fours.slice(0, 2 * eights).map((four, i) =>
                  f.let(i32x4.shuffle(four, fours[i + 1] ?? four, [1, 2, 3, 4])),
                );
                if (!last) fours.slice(-2).forEach((four, i) => f.set(held[i]!, four));
                return shifted;
              });
            },
            () => add(drawn),
          );
        });
      }),
  };
}

/** Emits the sum of z (a z + b) over the draws of a row. */
function emitSum(
  f: FunctionBuilder,
  target: Target,
  { a, b, count }: Readonly<Record<"a" | "b" | "count", Local<"i32">>>,
  next: Next,
): F64 {
  const [fromA, fromB] = [f.let(a), f.let(b)];
  const sums = Array.from({ length: 4 }, () => f.let(f64x2.const(0, 0)));
  const add = (pair: number, v: V128): void => f.set(sums[pair]!, f64x2.add(sums[pair]!, v));
  const term = (z: V128, offset: number): V128 =>
    f32x4.mul(z, multiplyAdd(target, v128.load(fromA, offset), z, v128.load(fromB, offset)));
  const addEights = (fours: readonly V128[]): void =>
    fours.forEach((z, i) => {
      const v = f.let(term(z, 16 * i));
      add((2 * i) % 4, low(v));
      add((2 * i + 1) % 4, high(v));
    });
  /** The first `rest` of the last eight. */
  const addRest = (fours: readonly V128[], rest: I32, offset: number): void =>
    fours.forEach((z, i) => {
      const v = f.let(onlyLanes(term(z, offset + 16 * i), f.let(i32.sub(rest, 4 * i))));
      add(0, low(v));
      add(1, high(v));
    });
  f.loop(0, i32.sub(count, 15), 16, () => {
    addEights(next(2, false));
    f.increment(fromA, 64);
    f.increment(fromB, 64);
  });
  const rest = f.let(i32.and(count, 15));
  f.if(i32.gt_s(rest, 8), () => {
    const fours = next(2, true);
    addEights(fours.slice(0, 2));
    addRest(fours.slice(2), i32.sub(rest, 8), 32);
  });
  f.if(i32.eq(rest, 8), () => addEights(next(1, false)));
  f.if(i32.lt_u(i32.sub(rest, 1), 7), () => addRest(next(1, true), rest, 0));
  return totalOf(f, sums);
}

/** Words of the call: key (2), stream, block, half of the first element, and whether that is odd. */
export const quadraticOfNormals: WasmKernel<{ readonly rows: number }> = ({ inputs: [a], attributes: { rows } }) => {
  const count = a!.shape[0]!;
  const rowsPerTile = Math.max(1, Math.floor(TILE / count));
  return {
    plan: { phases: [kernelOf(Math.ceil(rows / rowsPerTile))], scratchBytes: 0 },
    table: normals(),
    words: ({ inputs: [a, b], outputs: [to], table }, { words: [keyLow, keyHigh, stream, block, half, odd] }) => {
      const address = [keyLow!, keyHigh!, (stream! << 24) | block!, half!, odd!];
      return [to!, a!, b!, table, rows, rowsPerTile, count, ...address];
    },
  };
};
