/** What one neuron reads and how much: equally many inputs and weights, at one or more activation vectors. */
export interface Neuron {
  readonly weights: readonly number[];
  /** One activation vector per row. */
  readonly inputs: readonly (readonly number[])[];
}

/** An edge that is kept: the place of its input, and its new weight. */
export interface Edge {
  readonly input: number;
  readonly weight: number;
}

export interface Reduced {
  /** In the order in which they were chosen. */
  readonly edges: readonly Edge[];
  /** The neuron's outputs before, one per activation vector: sum of x_i w_i, no bias and no activation. */
  readonly outputs: readonly number[];
  /** The largest difference of an output from what it was. */
  readonly difference: number;
}

/** Outputs, and the least amount that counts: below it a difference is float64 rounding of the sum, not a remainder. */
export function outputsOf({ weights, inputs }: Neuron, tolerance: number): { outputs: number[]; slack: number } {
  if (!(tolerance >= 0 && tolerance < 0.5)) {
    throw new RangeError(`reduce: the tolerance must be from 0 to below 0.5, got ${tolerance}`);
  }
  if (inputs.length === 0) throw new RangeError("reduce: needs one activation vector at least");
  let largest = 0;
  const outputs = inputs.map((row, n) => {
    if (row.length !== weights.length) {
      throw new RangeError(`reduce: activation vector ${n + 1} has ${row.length} inputs for ${weights.length} weights`);
    }
    return row.reduce((sum, x, i) => {
      const part = x * weights[i]!;
      if (!Number.isFinite(part)) throw new RangeError(`reduce: edge ${i + 1} is ${x} x ${weights[i]}, not finite`);
      largest = Math.max(largest, Math.abs(part));
      return sum + part;
    }, 0);
  });
  return { outputs, slack: tolerance * largest };
}

/** A neuron with some edges and no others. */
export function reducedTo({ inputs }: Neuron, outputs: readonly number[], edges: readonly Edge[]): Reduced {
  const difference = inputs.reduce((most, row, n) => {
    const output = edges.reduce((sum, { input, weight }) => sum + row[input]! * weight, 0);
    return Math.max(most, Math.abs(output - outputs[n]!));
  }, 0);
  return { edges, outputs, difference };
}

/** The one activation vector of a neuron that has no other. */
export function onlyInputs(method: string, { inputs }: Neuron): readonly number[] {
  if (inputs.length !== 1) {
    throw new RangeError(`reduce: ${method} keeps the output of one activation vector, got ${inputs.length}`);
  }
  return inputs[0]!;
}

export function checkCount(edges: readonly Edge[], most: number): void {
  if (edges.length > most) {
    throw new RangeError(`reduce: ${edges.length} edges are needed, at most ${most} may stay`);
  }
}

/** Refuses what is not a whole number from 1 up. Infinity, the default, is any number. */
export function checkMost(edges: number): number {
  if (edges !== Infinity && !(Number.isSafeInteger(edges) && edges >= 1)) {
    throw new RangeError(`reduce: the number of edges must be a whole number from 1 up, got ${edges}`);
  }
  return edges;
}
