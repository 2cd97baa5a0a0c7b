// What an operation says of its gpu.js kernels: text and numbers. Nothing here knows gpu.js.

import { DeviceError } from "../../errors.ts";
import type { Call } from "../../ops/operation.ts";

/**
 * An array that a pass reads: an input of the call, what an earlier pass of the plan made, or a table, which is sent to
 * the device once.
 */
export type Source = { readonly input: number } | { readonly pass: number } | { readonly table: () => Float32Array };

/** A function of 32-bit integers, wrapping around. It may call those that come before it. */
export interface IntegerFunction {
  readonly name: string;
  readonly parameters: readonly string[];
  /** One expression, without variables: those would be floats. */
  readonly result: string;
}

/**
 * One gpu.js kernel. Its text is generated, never a function turned into text: tools that instrument or shorten code
 * would change it. Bounds of loops are literals, since gpu.js cuts all others after some count; addresses are made of
 * literals, loop counters and threads alone, which it keeps as integers, and never of variables, which it does not.
 */
export interface Pass {
  /** How many threads along x, y and z; each makes one element, x the fastest. */
  readonly threads: readonly number[];
  /** The arrays, by the names that the body knows them by. At most seven: a GPU binds eight, the output included. */
  readonly reads: Readonly<Record<string, Source>>;
  readonly helpers?: readonly IntegerFunction[];
  /**
   * With helpers: the same bits made by the host, from the numbers and words that the kernel is given, for a mode whose
   * integers are not exact.
   */
  readonly onHost?: (values: readonly number[], length: number) => Float32Array;
  /** Statements that end in `return`. They also know the plan's numbers and words by name. */
  readonly body: string;
}

/** All kernels of one operation at given shapes and attributes. */
export interface GpuPlan {
  readonly passes: readonly Pass[];
  /** Which pass makes each output, and behind these each input that the operation overwrites. */
  readonly results: readonly number[];
  /** Numbers that change from call to call: names, and how the call's scalars give them. In float64, on the host. */
  readonly numbers?: { readonly names: readonly string[]; of(scalars: readonly number[]): readonly number[] };
  /** The same for 32-bit integers: names, and how the call's words give them, signed. */
  readonly words?: { readonly names: readonly string[]; of(words: readonly number[]): readonly number[] };
  /** An int input that must lie from 0 to below a size: a kernel cannot throw. */
  readonly indices?: { readonly input: number; readonly below: number; refuse(index: number): Error };
}

/** Chooses the kernels for a call: only its shapes, types and attributes may be looked at. */
export type GpuKernel<Attributes> = (call: Call<Attributes>) => GpuPlan;

export const input = (index: number): Source => ({ input: index });
export const made = (pass: number): Source => ({ pass });

/** How many whole numbers float32 holds without a gap: ints, and addresses that come from them, are floats there. */
export const exactInts = 2 ** 24;

/** Refuses arrays that a kernel could not look up an element of by a float. */
export function checkAddresses(name: string, length: number): void {
  if (length <= exactInts) return;
  throw new DeviceError(`gpu: ${name} takes tensors of up to 2^24 elements there, got ${length}`);
}

/** Threads that walk through a nest of loops. */
export interface Nest {
  readonly threads: readonly number[];
  /** The text of each loop's counter, outermost first. */
  readonly counters: readonly string[];
}

const axes = ["this.thread.x", "this.thread.y", "this.thread.z"] as const;

/**
 * One thread per round of a nest of loops, given their sizes, outermost first. Three loops longer than 1 are axes of
 * threads, and their counters are integers; where there are more, the outermost ones share the last axis and are
 * floats.
 */
export function nest(name: string, sizes: readonly number[]): Nest {
  const long = sizes.flatMap((size, loop) => (size === 1 ? [] : [loop])).reverse();
  const counters = sizes.map(() => "0");
  const threads: number[] = [];
  const shared = long.length > 3 ? 2 : long.length;
  for (const [axis, loop] of long.slice(0, shared).entries()) {
    counters[loop] = axes[axis]!;
    threads.push(sizes[loop]!);
  }
  let after = 1;
  for (const loop of long.slice(shared)) {
    // Division is not exact on every device; half a thread further the quotient is far from whole numbers.
    const size = sizes[loop]!;
    const quotient = (divisor: number): string => `Math.floor((${axes[2]} + 0.5) / ${divisor})`;
    counters[loop] = `(${quotient(after)} - ${size} * ${quotient(after * size)})`;
    after *= size;
  }
  if (after > 1) {
    checkAddresses(name, sizes.reduce((length, size) => length * size, 1));
    threads.push(after);
  }
  return { threads: threads.length === 0 ? [1] : threads, counters };
}

/** The text of an address: the sum of counters times strides. */
export function address(counters: readonly string[], strides: readonly number[]): string {
  const terms = counters.flatMap((counter, i) => {
    if (counter === "0" || strides[i] === 0) return [];
    return [strides[i] === 1 ? counter : `${counter} * ${strides[i]!}`];
  });
  return terms.length === 0 ? "0" : terms.join(" + ");
}
