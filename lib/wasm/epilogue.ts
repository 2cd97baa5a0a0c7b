// What a producing kernel does with a finished sum before it is stored.

import { f32x4 } from "./assembler.ts";
import type { V128 } from "./assembler.ts";

/** `relu` is `max(x, 0)`; a number is the slope of the negative side, as leaky rectifiers have. */
export type Activation = "none" | "relu" | { readonly negativeSlope: number };

export function activationKey(activation: Activation): string {
  return typeof activation === "string" ? activation : `leaky${activation.negativeSlope}`;
}

/** `pmax(x, 0)` is `x < 0 ? 0 : x` in one instruction, so NaN passes through and stays visible. */
export function activate(activation: Activation, x: V128): V128 {
  if (activation === "none") return x;
  if (activation === "relu") return f32x4.pmax(x, f32x4.splat(0));
  const { negativeSlope: slope } = activation;
  if (!(slope >= 0 && slope <= 1)) throw new RangeError(`activation: negativeSlope must be from 0 to 1, got ${slope}`);
  return f32x4.pmax(x, f32x4.mul(x, f32x4.splat(slope)));
}
