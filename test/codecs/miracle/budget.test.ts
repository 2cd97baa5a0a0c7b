import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { pack } from "../../../codecs/container.ts";
import { blankCode, blocksFor, cutToFit } from "../../../codecs/miracle/budget.ts";
import { lenet5, parametersOf } from "../../../lib/architectures.ts";
import { fillNormal, seedKey } from "../../../lib/random.ts";
import { largestBlock } from "../../../codecs/randomCode.ts";
import { scalarsOf } from "../../../codecs/scalars.ts";

const parameters = parametersOf(lenet5);
const shapes = parameters.map(({ shape }) => shape);
const live = [3, 6, 8];
const total = scalarsOf(shapes, { live }).reduce((sum, { scalars }) => sum + scalars, 0);
const order = Uint32Array.from({ length: total }, (_, s) => s);

/** Bytes of a file whose blocks are cut to equal KL. */
function cut(bytes: number, bits: number, divergences: ArrayLike<number>): { file: number; counted: number } {
  const options = { bits, seed: 1, live };
  const blocks = blocksFor({ network: lenet5, ...options, bytes, equal: "divergence" });
  const code = blankCode(shapes, options, blocks);
  const sizes = cutToFit(code, order, divergences);
  assert.ok(sizes !== null);
  assert.equal(sizes.reduce((sum, size) => sum + size, 0), total);
  const coded = { ...code, sizes, indices: new Uint32Array(sizes.length).fill(1) };
  const file = pack({ network: lenet5, sections: [{ tensors: parameters.map(({ name }) => name), coded }] });
  return { file: file.length, counted: blocks / sizes.length };
}

const kinds = {
  /** KL as networks have it: of very different sizes. */
  uneven: (_: number, normal: number) => Math.exp(normal),
  alike: () => 1,
  nothing: () => 0,
  /** Blocks of one scalar and blocks of very many, by turns: the steps between sizes are as long as can be. */
  spikes: (_: number, normal: number) => (normal > 1.5 ? 1 : 0),
  first: (i: number) => (i === 0 ? 1 : 0),
};

test("budget: with sizes of blocks that are cut to equal KL, a file has at most its bytes, whatever the KL", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 60, max: 900 }),
      fc.integer({ min: 4, max: 20 }),
      fc.constantFrom(...Object.keys(kinds) as (keyof typeof kinds)[]),
      fc.nat({ max: 1000 }),
      (bytes, bits, kind, seed) => {
        const normals = new Float32Array(total);
        fillNormal(normals, seedKey(seed), { stream: 201, block: 0 });
        const { file, counted } = cut(bytes, bits, normals.map((normal, i) => kinds[kind](i, normal)));
        assert.ok(file <= bytes, `${file} bytes of ${bytes}`);
        // Where KL is as expected, so are the sizes.
        if (kind === "uneven") assert.ok(counted > 0.85 && counted < 1.15, `${counted} of the blocks that there are`);
      },
    ),
    { numRuns: 60 },
  );
});

test("budget: sizes of blocks are paid with blocks", () => {
  const options = { network: lenet5, bits: 16, seed: 1, live, bytes: 500 };
  const [size, divergence] = [blocksFor(options), blocksFor({ ...options, equal: "divergence" })];
  assert.ok(divergence < size && divergence > 0.6 * size, `${divergence} in place of ${size}`);
  // The least that is asked for is enough.
  const message = messageOf(() => blocksFor({ ...options, bytes: 1, equal: "divergence" }));
  const least = Number(/needs (\d+) bytes/.exec(message)![1]);
  assert.equal(blocksFor({ ...options, bytes: least, equal: "divergence" }), 1);
});

test("budget: sizes that fit in no way are left out", () => {
  // Just over two full blocks of scalars, and three blocks to hold them. With all KL behind the first of them the
  // second has one scalar: two of the longest steps.
  const all = [[2 * largestBlock + 1]];
  const code = blankCode(all, { bits: 4, seed: 1 }, 3);
  const scalars = Uint32Array.from({ length: 2 * largestBlock + 1 }, (_, s) => s);
  const divergences = new Float32Array(scalars.length).fill(1);
  assert.ok(cutToFit(code, scalars, divergences)!.length >= 3);
  divergences.fill(0)[largestBlock] = 1;
  assert.equal(cutToFit(code, scalars, divergences), null);
});

function messageOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    return (error as Error).message;
  }
  return assert.fail("nothing was thrown");
}
