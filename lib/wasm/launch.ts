// How an operation asks for its WebAssembly kernels.

import type { Call } from "../ops/operation.ts";
import type { Plan } from "./kernel.ts";

/** Byte addresses of what one call reads and writes. */
export interface Addresses {
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** Of the plan's scratch memory; 0 if it has none. */
  readonly scratch: number;
  /** Of the launch's `table`; 0 if it has none. */
  readonly table: number;
  /** Of two words, 0 and 0: a kernel that has to refuse a value writes the value to the second and 1 to the first. */
  readonly fault: number;
}

/** What is found once for an operation with given shapes and attributes, and used for every call like it. */
export interface Launch<Attributes> {
  readonly plan: Plan;
  /** Numbers that kernels look up, brought into the memory once. */
  readonly table?: Float32Array;
  /** The words of one call, in the order of the kernels' arguments. */
  words(at: Addresses, call: Call<Attributes>): readonly number[];
  /** The error for a value that a kernel refused. */
  refuse?(value: number): Error;
}

/** Chooses the kernels for a call: only its shapes, types and attributes may be looked at. */
export type WasmKernel<Attributes> = (call: Call<Attributes>) => Launch<Attributes>;

const float = new Float32Array(1);
const bits = new Int32Array(float.buffer);

/** A float32 argument as the word that holds its bits. */
export function floatBits(value: number): number {
  float[0] = value;
  return bits[0]!;
}

/**
 * The words of a plan whose kernels name their arguments: all of its phases take the same ones. A word that no address
 * was given for is a mistake in the operation.
 */
export function wordsOf(plan: Plan, addresses: Readonly<Record<string, number | undefined>>): number[] {
  return plan.phases[0]!.arguments.map((name) => {
    const address = addresses[name];
    if (address === undefined) throw new RangeError(`${plan.phases[0]!.key}: no address for ${name}`);
    return address;
  });
}
