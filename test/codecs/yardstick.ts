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

/**
 * Levels as pruning and quantization leave them, for tensors of these shapes: some rows and columns dead, the others of
 * different densities, magnitudes falling off, kernels smooth. From a fixed seed.
 */
export function prunedNetwork(shapes: readonly (readonly number[])[]): Int32Array[] {
  const uniform = uniforms(2024);
  const some = (count: number): number[] =>
    Array.from({ length: count }, () => (uniform() < 0.1 ? 0 : 0.4 + 1.2 * uniform()));
  return shapes.map((shape) => {
    const size = shape.reduce((product, n) => product * n, 1);
    const outputs = shape.at(-1)!;
    const inputs = shape.length === 1 ? 1 : shape.at(-2)!;
    const ofOutput = some(outputs);
    const ofInput = shape.length === 1 ? [1] : some(inputs);
    const row = new Int32Array(size);
    for (let k = 0; k < size; k++) {
      const input = Math.floor(k / outputs) % inputs;
      const left = shape.length === 4 && k >= inputs * outputs ? row[k - inputs * outputs]! : 0;
      const chance = 0.22 * ofOutput[k % outputs]! * ofInput[input]! * (left === 0 ? 0.8 : 2);
      if (uniform() >= chance) continue;
      let size = 1;
      while (uniform() < 0.35 && size < 12) size += 1;
      row[k] = (left === 0 ? uniform() < 0.5 : uniform() < 0.25 === left > 0) ? -size : size;
    }
    return row;
  });
}
