// What `quadraticOfNormals` promises on every device.

import assert from "node:assert/strict";
import fc from "fast-check";
import { quadraticOfNormals } from "../../lib/ops/quadraticOfNormals.ts";
import { type Draws, fillNormal, type Key } from "../../lib/random.ts";
import type { Runtime } from "../../lib/runtime.ts";
import { gridNumber, list } from "./arbitraries.ts";

export interface Forms {
  readonly rows: number;
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly from: { readonly key: Key } & Required<Draws>;
}

const word = fc.nat(2 ** 32 - 1);
const keys: fc.Arbitrary<Key> = fc.oneof(fc.tuple(word, word), fc.constantFrom<Key>([0, 0], [2 ** 32 - 1, 2 ** 31]));

/** Forms of the given sizes: draws from the first one of a block to the last one that it has. */
export function forms(sizes: fc.Arbitrary<readonly [rows: number, length: number]>): fc.Arbitrary<Forms> {
  return sizes.chain(([rows, length]) => {
    const last = 2 ** 33 - rows * length;
    const start = fc.oneof(fc.nat(100), fc.maxSafeNat().map((n) => n % (last + 1)), fc.constantFrom(last, last - 1));
    return fc.record({
      rows: fc.constant(rows),
      a: fc.noShrink(list(gridNumber, length)),
      b: fc.noShrink(list(gridNumber, length)),
      from: fc.record({ key: keys, stream: fc.nat(254), block: fc.nat(2 ** 24 - 1), start }),
    });
  });
}

/** The draws, row by row. */
export function tableOf({ rows, a, from }: Forms): Float32Array {
  const table = new Float32Array(rows * a.length);
  fillNormal(table, from.key, from);
  return table;
}

export async function evaluated(runtime: Runtime, { rows, a, b, from }: Forms): Promise<ArrayLike<number>> {
  const form = (): ReturnType<typeof quadraticOfNormals> =>
    quadraticOfNormals(runtime.tensor(Float32Array.from(a)), runtime.tensor(Float32Array.from(b)), rows, from);
  const [y, outside] = [await runtime.step(form).read(), await form().read()];
  assert.deepEqual(y, outside, "in a step and outside");
  return y;
}

/**
 * Each form is what a table of draws and a float64 sum give, but for rounding. With u = 2^-24, z (a z + b) has an error
 * of at most 3 u (|a| z^2 + |b z|) and a little, the result one of u times itself, and each addition in float32 one of
 * u times what is added up so far.
 */
export async function assertForms(runtime: Runtime, given: Forms, additions: "float64" | "float32"): Promise<void> {
  const found = await evaluated(runtime, given);
  const { rows, a, b } = given;
  const table = tableOf(given);
  assert.equal(found.length, rows);
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    let size = 0;
    for (let i = 0; i < a.length; i++) {
      const z = table[row * a.length + i]!;
      const [x, y] = [Math.fround(a[i]!) * z * z, Math.fround(b[i]!) * z];
      sum += x + y;
      size += Math.abs(x) + Math.abs(y);
    }
    const bound = (additions === "float64" ? 4.001 : 4.001 + a.length) * 2 ** -24 * size;
    assert.ok(Math.abs(found[row]! - sum) <= bound, `row ${row}: ${found[row]}, not ${sum} within ${bound}`);
  }
}
