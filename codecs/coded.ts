import type { Parameter } from "../lib/architectures.ts";
import type { Codec } from "./codec.ts";
import { denseCodebook, type DenseCodebook } from "./denseCodebook.ts";
import { float32, type RawNumbers } from "./float32.ts";
import { legacy, type LegacyCode } from "./legacy.ts";
import { levelWeights, type LevelWeights } from "./levelWeights.ts";
import type { Method } from "./method.ts";
import { randomCode, type RandomCode } from "./randomCode.ts";
import { sparseCodebook, type SparseCodebook } from "./sparseCodebook.ts";
import { sparseFloat32, type SparseNumbers } from "./sparseFloat32.ts";

/** What a method chose for the numbers of one section: all that a file says of them. */
export type Coded =
  | RawNumbers
  | DenseCodebook
  | SparseCodebook
  | LevelWeights
  | RandomCode
  | SparseNumbers
  | LegacyCode;

type MethodOf<T> = T extends Coded ? Method<T> : never;

/** The methods that a file may use, by tag. A method is added at the end, and its tag is never given to another. */
export const methods: readonly MethodOf<Coded>[] = [
  float32,
  denseCodebook,
  sparseCodebook,
  levelWeights,
  randomCode,
  sparseFloat32,
  legacy,
];

/** How a choice is spelled for these tensors, by the method that it names. */
export function codecOf(name: Coded["method"], tensors: readonly Parameter[]): Codec<Coded> {
  return methodOf(name).codec(tensors);
}

/** The numbers that were chosen, those of all tensors of the section one after the other. */
export function valuesOf(coded: Coded): Float32Array {
  return methodOf(coded.method).toValues(coded);
}

/** The list holds a method for each kind of choice; which one, the name in the choice says. */
export function methodOf(name: Coded["method"]): Method<Coded> {
  const method = methods.find((candidate) => candidate.name === name);
  if (method === undefined) throw new RangeError(`coded: there is no method "${String(name)}"`);
  return method as unknown as Method<Coded>;
}
