// Nests of loops whose sizes and strides come from a kernel's words, so that one kernel serves all shapes of a pattern.

import { stridesOf, type Shape } from "../shape.ts";
import { i32 } from "./assembler.ts";
import type { FunctionBuilder, I32, Local } from "./assembler.ts";
import { wordOffset } from "./kernel.ts";

/** One loop: how often, and how many elements apart. */
export interface Axis {
  readonly size: number;
  readonly stride: number;
}

/** Neighbouring axes that are walked in one stride become one; axes of length 1 vanish. */
export function mergeAxes(axes: readonly Axis[]): Axis[] {
  const merged: Axis[] = [];
  for (const axis of axes) {
    const last = merged.at(-1);
    if (axis.size === 1) continue;
    if (last !== undefined && last.stride === axis.size * axis.stride) {
      merged[merged.length - 1] = { size: last.size * axis.size, stride: axis.stride };
    } else {
      merged.push(axis);
    }
  }
  return merged;
}

export function axesOf(shape: Shape): Axis[] {
  const strides = stridesOf(shape);
  return shape.map((size, i) => ({ size, stride: strides[i]! }));
}

/** Names of the words of a nest, outermost loop first: all strides, in bytes, then all sizes. */
export function nestWords(name: string, depth: number): string[] {
  const each = (what: string): string[] => Array.from({ length: depth }, (_, i) => `${name} ${what} ${i}`);
  return [...each("stride"), ...each("size")];
}

/** Their values. */
export function nestValues(axes: readonly Axis[]): number[] {
  return [...axes.map(({ stride }) => 4 * stride), ...axes.map(({ size }) => size)];
}

/** The word of a kernel's block, in a local. */
export function loadWord(f: FunctionBuilder, args: I32, words: readonly string[], word: string): Local<"i32"> {
  return f.let(i32.load(args, wordOffset(words, word)));
}

/** Adds to `address` where element `index` of a nest lies, counted row by row. */
export function addOffset(
  f: FunctionBuilder,
  args: I32,
  words: readonly string[],
  nest: { name: string; depth: number },
  index: I32,
  address: Local<"i32">,
): void {
  const word = (what: string, level: number) => i32.load(args, wordOffset(words, `${nest.name} ${what} ${level}`));
  const rest = f.let(i32.add(index, 0));
  for (let level = nest.depth - 1; level >= 0; level--) {
    const at = f.let(rest);
    if (level > 0) {
      f.set(rest, i32.div_u(rest, word("size", level)));
      f.set(at, i32.sub(at, i32.mul(rest, word("size", level))));
    }
    f.increment(address, i32.mul(at, word("stride", level)));
  }
}

/**
 * Emits a nest of loops around `body`, which is given the address it moves along. `rounds` overrides the size of the
 * outermost loop.
 */
export function walk(
  f: FunctionBuilder,
  args: I32,
  words: readonly string[],
  nest: { name: string; depth: number },
  start: Local<"i32">,
  body: (address: Local<"i32">) => void,
  rounds?: I32,
  level = 0,
): void {
  if (level === nest.depth) return body(start);
  const size = rounds ?? loadWord(f, args, words, `${nest.name} size ${level}`);
  const stride = loadWord(f, args, words, `${nest.name} stride ${level}`);
  const address = f.let(start);
  f.loop(0, size, 1, () => {
    walk(f, args, words, nest, address, body, undefined, level + 1);
    f.increment(address, stride);
  });
}
