import type { Parameter } from "../lib/architectures.ts";
import { sizeOf } from "../lib/shape.ts";
import type { Codec } from "./codec.ts";

/**
 * One way to code the numbers of a section, which may belong to one tensor or to many. `T` is what the method chose:
 * integers, tables, parameters, and its own name.
 */
export interface Method<T extends { readonly method: string }> {
  /** 1 to 63, append-only: the number by which a section names its method. */
  readonly tag: number;
  readonly name: T["method"];
  /** Its bytes have no length of their own: they are all that is left of what contains them. */
  readonly takesRest?: boolean;
  /** How the choice is spelled, given the tensors that it is for. */
  codec(tensors: readonly Parameter[]): Codec<T>;
  /** The numbers that were chosen, those of all the tensors one after the other. One way. */
  toValues(coded: T): Float32Array;
}

/** How many numbers the tensors of a section hold. */
export function countOf(tensors: readonly Parameter[]): number {
  return tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}
