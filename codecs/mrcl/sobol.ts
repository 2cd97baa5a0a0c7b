/** Bits of each number, and so of each direction. */
const bits = 30;

/**
 * By dimension: the polynomial as a number whose bits are its coefficients, the highest first, and as many starting
 * numbers as its degree. From Bratley and Fox, "Algorithm 659" (1988). The first dimension needs none.
 */
const polynomials: readonly (readonly [polynomial: number, ...start: number[]])[] = [
  [3, 1],
  [7, 1, 1],
  [11, 1, 3, 7],
  [13, 1, 1, 5],
  [19, 1, 3, 1, 1],
  [25, 1, 1, 3, 7],
  [37, 1, 3, 3, 9, 9],
  [59, 1, 3, 7, 13, 3],
  [47, 1, 1, 5, 11, 27],
  [61, 1, 3, 5, 1, 15],
  [55, 1, 1, 7, 3, 29],
  [41, 1, 3, 7, 7, 21],
  [67, 1, 1, 1, 9, 23, 37],
  [97, 1, 3, 3, 5, 19, 33],
  [91, 1, 1, 3, 13, 11, 7],
  [109, 1, 1, 7, 13, 25, 5],
  [103, 1, 3, 5, 11, 7, 11],
  [115, 1, 1, 1, 3, 13, 39],
  [131, 1, 3, 1, 15, 17, 63, 13],
  [193, 1, 1, 5, 5, 1, 27, 33],
  [137, 1, 3, 3, 3, 25, 17, 115],
  [145, 1, 1, 3, 15, 29, 15, 41],
  [143, 1, 3, 1, 7, 3, 23, 79],
  [241, 1, 3, 7, 9, 31, 29, 17],
  [157, 1, 1, 5, 13, 11, 3, 29],
  [185, 1, 3, 1, 9, 5, 21, 119],
  [167, 1, 1, 3, 1, 23, 13, 75],
  [229, 1, 3, 3, 11, 27, 31, 73],
  [171, 1, 1, 7, 7, 19, 25, 105],
  [213, 1, 3, 5, 5, 21, 9, 7],
  [191, 1, 1, 1, 15, 5, 49, 59],
  [253, 1, 1, 1, 1, 1, 33, 65],
  [203, 1, 3, 5, 15, 17, 19, 21],
  [211, 1, 1, 7, 11, 13, 29, 3],
  [239, 1, 3, 7, 5, 7, 11, 113],
  [247, 1, 1, 5, 3, 15, 19, 61],
  [285, 1, 3, 1, 1, 9, 27, 89, 7],
  [369, 1, 1, 3, 7, 31, 15, 45, 23],
  [299, 1, 3, 3, 9, 9, 25, 107, 39],
];

/** How many numbers a row may have. */
export const maxSobolColumns = polynomials.length + 1;

/**
 * The table of quasi-random numbers that the legacy files index: row r is point r + 1 of the sequence of Sobol in the
 * generator of Bratley and Fox, as integers that 2^30 divides. The very first point, all zeros, is left out.
 *
 * Neighbouring points differ by one direction, in the order of the Gray code; so a point is the exclusive or of the
 * directions that the Gray code of its number names, and no row needs those before it. Format: section 6.4.
 */
export function sobolTable(columns: number): (row: number, column: number) => number {
  if (!(Number.isInteger(columns) && columns >= 1 && columns <= maxSobolColumns)) {
    throw new RangeError(`sobol: columns must be a whole number from 1 to ${maxSobolColumns}, got ${columns}`);
  }
  const directions = Array.from({ length: columns }, (_, column) => directionsOf(column));
  return (row, column) => {
    const n = row + 1;
    let x = 0;
    for (let code = n ^ (n >>> 1), c = 0; code > 0; code >>>= 1, c++) {
      if ((code & 1) === 1) x ^= directions[column]![c]!;
    }
    return x;
  };
}

/**
 * v_j = m_j 2^(30 - j), j = 1 ... 30, and with s the degree of the polynomial and a_1 ... a_s its coefficients after
 * the first: m_j = m_(j - s) xor a_1 2 m_(j - 1) xor a_2 4 m_(j - 2) xor ... xor a_s 2^s m_(j - s).
 */
function directionsOf(column: number): Uint32Array {
  const m = new Array<number>(bits).fill(1);
  if (column > 0) {
    const [polynomial, ...start] = polynomials[column - 1]!;
    const s = start.length;
    for (let j = 0; j < bits; j++) {
      if (j < s) {
        m[j] = start[j]!;
        continue;
      }
      let next = m[j - s]!;
      for (let k = 1; k <= s; k++) {
        if (((polynomial >>> (s - k)) & 1) === 1) next ^= m[j - k]! << k;
      }
      m[j] = next;
    }
  }
  return Uint32Array.from(m, (number, j) => number << (bits - 1 - j));
}
