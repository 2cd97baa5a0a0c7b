/**
 * Of a tensor of n numbers in hash groups of g, the first floor(n / g) scalars stand for g neighbours each (row-major)
 * and the n mod g last ones for themselves.
 */
export function trainedCount(n: number, g: number): number {
  return Math.floor(n / g) + (n % g);
}

/** The numbers of a tensor, given its trained scalars: a b c d are a a a b b b c d where n is 8 and g is 3. */
export function expandGroups(scalars: Float32Array, n: number, g: number): Float32Array {
  const groups = Math.floor(n / g);
  const values = new Float32Array(n);
  for (let i = 0; i < groups; i++) values.fill(scalars[i]!, i * g, (i + 1) * g);
  values.set(scalars.subarray(groups), groups * g);
  return values;
}
