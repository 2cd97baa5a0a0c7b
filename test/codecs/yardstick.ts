/** Symbols `clamp(floor(4 z) + 16, 0, 31)` with z standard normal: the yardstick of the coders. From a fixed seed. */
export function bellSymbols(count: number): Uint16Array {
  const uniform = uniforms(12345);
  return Uint16Array.from({ length: count }, () => {
    const z = Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    return Math.min(31, Math.max(0, Math.floor(4 * z) + 16));
  });
}

/** Numbers between 0 and 1 for tests (a linear congruence: good enough here, and short). */
export function uniforms(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
}

/** The zeroth-order entropy of symbols, in bytes. */
export function entropyBytes(symbols: ArrayLike<number>): number {
  const counts = new Map<number, number>();
  for (let i = 0; i < symbols.length; i++) counts.set(symbols[i]!, (counts.get(symbols[i]!) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits += count * Math.log2(symbols.length / count);
  return bits / 8;
}
