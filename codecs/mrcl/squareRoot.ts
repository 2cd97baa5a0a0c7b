/**
 * The square root of a number above 0 with the same bits everywhere, within an ulp: six of Heron's steps. Format:
 * section 6.4.
 */
export function squareRoot(x: number): number {
  // "x = m * 4^k with m from 1 to below 4": exact, as only the exponent changes.
  let m = x;
  let power = 1;
  for (; m >= 4; m /= 4) power *= 2;
  for (; m < 1; m *= 4) power /= 2;
  let root = 1;
  for (let step = 0; step < 6; step++) root = (root + m / root) / 2;
  return root * power;
}
