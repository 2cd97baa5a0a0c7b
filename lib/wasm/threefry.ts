// Draws from Threefry-2x32 with 20 rounds, four counters at once: the same bits as `random.ts`.

import { normalTable, word } from "../random.ts";
import { sizeOf, type Shape } from "../shape.ts";
import { f32x4, i32, i32x4, v128 } from "./assembler.ts";
import type { FunctionBuilder, I32, Local, V128 } from "./assembler.ts";
import { emitRun, type Kernel } from "./kernel.ts";
import type { WasmKernel } from "./launch.ts";
import { loadWord } from "./nest.ts";
import { constant4, lesser, storeUpTo } from "./vectors.ts";

/** Elements of a tile, a multiple of 8. */
const TILE = 8192;

const PARITY = 0x1bd11bda;
const rotations = [
  [13, 15, 26, 6],
  [17, 29, 16, 24],
] as const;

type Words = [x0: Local<"v128">, x1: Local<"v128">];

/**
 * Emits the enciphering of counters (c0, c1) in place. `keys` are k0, k1 and k0 ^ k1 ^ PARITY. Each step waits for the
 * one before; several fours side by side fill the time.
 */
function encipher(f: FunctionBuilder, fours: readonly Words[], keys: readonly V128[]): void {
  const each = (step: (...four: Words) => void): void => fours.forEach((four) => step(...four));
  each((x0) => f.set(x0, i32x4.add(x0, keys[0]!)));
  each((_, x1) => f.set(x1, i32x4.add(x1, keys[1]!)));
  for (let group = 1; group <= 5; group++) {
    for (const left of rotations[(group - 1) % 2]!) {
      each((x0, x1) => f.set(x0, i32x4.add(x0, x1)));
      each((x0, x1) => f.set(x1, v128.xor(v128.or(i32x4.shl(x1, left), i32x4.shr_u(x1, 32 - left)), x0)));
    }
    each((x0) => f.set(x0, i32x4.add(x0, keys[group % 3]!)));
    each((_, x1) => f.set(x1, i32x4.add(i32x4.add(x1, keys[(group + 1) % 3]!), i32x4.splat(group))));
  }
}

/**
 * Emits the words of counters (counter high, c1), (counter high, c1 + 1), ..., four for each of `eights`, in vectors of
 * four words, for any c1.
 */
export function wordsFrom(
  f: FunctionBuilder,
  low: I32,
  high: I32,
  counterHigh: I32,
): (c1: I32, eights: number) => V128[] {
  const keys = [low, high, i32.xor(i32.xor(low, high), PARITY)].map((key) => f.let(i32x4.splat(key)));
  const c0 = f.let(i32x4.splat(counterHigh));
  return (c1, eights) => {
    const first = f.let(i32x4.add(i32x4.splat(c1), i32x4.const(0, 1, 2, 3)));
    const fours = Array.from({ length: eights }, (_, i): Words => {
      return [f.let(c0), f.let(i === 0 ? first : i32x4.add(first, i32x4.const(4 * i, 4 * i, 4 * i, 4 * i)))];
    });
    encipher(f, fours, keys);
    // A counter's two words are neighbours.
    return fours.flatMap((four) => [i32x4.shuffle(...four, [0, 4, 1, 5]), i32x4.shuffle(...four, [2, 6, 3, 7])]);
  };
}

const words = ["to", "table", "count", "key low", "key high", "counter high"];

/** The kernel that turns words into floats with what `prepare` emits, four at a time. */
function drawKernel(
  name: string,
  count: number,
  prepare: (f: FunctionBuilder, table: Local<"i32">) => (words: Local<"v128">) => V128,
): Kernel {
  return {
    key: name,
    arguments: words,
    tiles: Math.ceil(count / TILE),
    emit: (target) =>
      emitRun(target, (f, args, tile) => {
        const load = (name: string): Local<"i32"> => loadWord(f, args, words, name);
        const to = load("to");
        const draw = wordsFrom(f, load("key low"), load("key high"), load("counter high"));
        const convert = prepare(f, load("table"));
        const first = f.let(i32.mul(tile, TILE));
        const last = f.let(lesser(i32.add(first, TILE), load("count")));
        const whole = f.let(i32.and(last, -8));
        const place = (i: Local<"i32">): Local<"i32"> => f.let(i32.add(to, i32.mul(i, 4)));
        f.loop(first, whole, 8, (i) => {
          const address = place(i);
          draw(i32.shr_u(i, 1), 1).forEach((four, half) => f.do(v128.store(address, convert(f.let(four)), 16 * half)));
        });
        f.if(i32.lt_s(whole, last), () => {
          const address = place(whole);
          draw(i32.shr_u(whole, 1), 1).forEach((drawn, half) => {
            storeUpTo(f, address, convert(f.let(drawn)), f.let(i32.sub(i32.sub(last, whole), 4 * half)), 16 * half);
          });
        });
      }),
  };
}

/** floor(word / 2^8) / 2^24 */
function uniformOf(f: FunctionBuilder): (drawn: V128) => V128 {
  const unit = constant4(f, 2 ** -24);
  return (drawn) => f32x4.mul(f32x4.convert_i32x4_s(i32x4.shr_u(drawn, 8)), unit);
}

/** table[floor(word / 2^20)] */
export function normalOf(f: FunctionBuilder, table: I32): (drawn: V128) => V128 {
  return (drawn) => {
    const offsets = f.let(i32x4.shl(i32x4.shr_u(drawn, 20), 2));
    const address = (lane: number): I32 => i32.add(table, i32x4.extract_lane(offsets, lane));
    let v: V128 = v128.load32_zero(address(0));
    for (let lane = 1; lane < 4; lane++) v = v128.load32_lane(address(lane), v, lane);
    return v;
  };
}

type Drawing = WasmKernel<{ readonly shape: Shape }>;

/** Words of the call: key (2), stream, block. */
function drawing(name: string, prepare: Parameters<typeof drawKernel>[2], quantiles?: () => Float32Array): Drawing {
  return ({ attributes: { shape } }) => {
    const count = sizeOf(shape);
    return {
      plan: { phases: [drawKernel(name, count, prepare)], scratchBytes: 0 },
      ...(quantiles && { table: quantiles() }),
      words: ({ outputs: [to], table }, { words: [low, high, stream, block] }) => {
        // Refuses streams and blocks that do not exist.
        word([low!, high!], stream!, block!, 0);
        return [to!, table, count, low!, high!, (stream! << 24) | block!];
      },
    };
  };
}

export const uniformDraws = drawing("uniform", uniformOf);
export const normalDraws = drawing("normal", normalOf, normals);

let quantiles: Float32Array | undefined;

/** The normal table: one array for all calls, so that it is brought into a memory once. */
export function normals(): Float32Array {
  return (quantiles ??= normalTable());
}
