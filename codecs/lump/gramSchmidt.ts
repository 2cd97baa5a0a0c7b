/**
 * Columns of equal length, of which some are chosen, one at a time, as a basis; of every column it keeps what the basis
 * does not explain (modified Gram-Schmidt, each projection taken away as soon as its direction is known). Least squares
 * without normal equations, whose condition would be squared.
 */
export interface Basis {
  /** What is left of each column; nothing of those chosen. Changes as columns are chosen. */
  readonly residuals: readonly Float64Array[];
  /** Sums of squares of the residuals. */
  readonly squares: Float64Array;
  /** The columns chosen, in order. */
  readonly chosen: readonly number[];
  /** Takes a column into the basis. False, and nothing changes, when nothing of it is left to take. */
  choose(column: number): boolean;
  /** The coefficients of the chosen columns, in order, whose combination is nearest to a column that is not chosen. */
  solve(column: number): Float64Array;
}

/** What is left of a column below this part of its length is rounding. */
const nothing = 2 ** -40;

/** Copies the columns, and starts with none of them chosen. */
export function gramSchmidt(columns: readonly Float64Array[]): Basis {
  const residuals = columns.map((column) => column.slice());
  const squares = Float64Array.from(residuals, (column) => dot(column, column));
  const lengths = squares.slice();
  const chosen: number[] = [];
  /** By step: how much of the direction found there is in each column. */
  const parts: Float64Array[] = [];
  return {
    residuals,
    squares,
    chosen,
    choose(column) {
      const square = squares[column]!;
      if (chosen.includes(column) || !(square > nothing * nothing * lengths[column]!)) return false;
      const direction = residuals[column]!.slice();
      const part = new Float64Array(columns.length);
      for (const [i, residual] of residuals.entries()) {
        if (chosen.includes(i)) continue;
        part[i] = dot(direction, residual) / square;
        for (let at = 0; at < residual.length; at++) residual[at]! -= part[i]! * direction[at]!;
        squares[i] = dot(residual, residual);
      }
      part[column] = 1;
      residuals[column]!.fill(0);
      squares[column] = 0;
      chosen.push(column);
      parts.push(part);
      return true;
    },
    solve(column) {
      // The chosen columns are a triangle of the directions, the last one with the most of them: from below.
      const coefficients = new Float64Array(chosen.length);
      for (let i = chosen.length - 1; i >= 0; i--) {
        let sum = parts[i]![column]!;
        for (let j = i + 1; j < chosen.length; j++) sum -= parts[i]![chosen[j]!]! * coefficients[j]!;
        coefficients[i] = sum;
      }
      return coefficients;
    },
  };
}

export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
