/**
 * The grid of scales: one byte stands for a scale, eight of them to an octave, so that a number is never further than
 * 4.4 % from its nearest one. All are normal float32, and so are their products with levels and with normals. Format:
 * section 6.2.
 */

/** "The float32 nearest to 2^(i / 8)", each written with the digits that tell it from its neighbours. */
const constants = Float32Array.of(
  1,
  1.09050775,
  1.18920708,
  1.29683959,
  1.41421354,
  1.54221082,
  1.68179286,
  1.8340081,
);

/** The scale of byte 0 is 2^-24. */
const lowest = -24;

export const largestScaleByte = 255;

/** The float32 that byte `k` stands for: `c[k mod 8] * 2^(floor(k / 8) - 24)`. RangeError unless k is 0 to 255. */
export function scaleOf(k: number): number {
  if (!(Number.isInteger(k) && k >= 0 && k <= largestScaleByte)) {
    throw new RangeError(`scale: must be a whole number from 0 to ${largestScaleByte}, got ${k}`);
  }
  return constants[k % 8]! * 2 ** (Math.floor(k / 8) + lowest);
}

/**
 * The byte whose scale is nearest to `x`, the lower one of two equally near. RangeError unless x is from 2^-24 (byte 0)
 * to 234.753... (byte 255): what a scale outside the grid would become is for the caller to say.
 */
export function nearestScale(x: number): number {
  const [least, most] = [scaleOf(0), scaleOf(largestScaleByte)];
  if (!(x >= least && x <= most)) throw new RangeError(`scale: must be from ${least} to ${most}, got ${x}`);
  let k = 0;
  while (k < largestScaleByte && scaleOf(k + 1) <= x) k += 1;
  return k < largestScaleByte && scaleOf(k + 1) - x < x - scaleOf(k) ? k + 1 : k;
}
