import { exp, log } from "../../lib/math.ts";

/** The square root of a number above 0, within an ulp, with the same bits everywhere: one step of Heron's. */
export function squareRoot(x: number): number {
  const guess = exp(log(x) / 2);
  return (guess + x / guess) / 2;
}
