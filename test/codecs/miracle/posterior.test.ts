import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { grad } from "../../../lib/grad.ts";
import { exp, multiply, square, subtract } from "../../../lib/ops/arithmetic.ts";
import { sum } from "../../../lib/ops/sum.ts";
import type { Tensor } from "../../../lib/tensor.ts";
import type { NamedArray, Weights } from "../../../lib/weights.ts";
import { scalarsOf } from "../../../codecs/scalars.ts";
import { scaleOf } from "../../../codecs/scale.ts";
import { logVarianceRatio } from "../../../codecs/miracle/meanKl.ts";
import { Posterior, type PosteriorOptions } from "../../../codecs/miracle/posterior.ts";
import { exactRuntime } from "../../lib/runtimes.ts";

const runtime = exactRuntime();
const near = (found: number, expected: number, error: number, what = ""): void =>
  assert.ok(Math.abs(found - expected) <= error, `${what} ${found}, not ${expected}`);

const shapes = [[3, 2], [2], [2, 2]];
const values = [0.3, -0.2, 0.5, 0.1, -0.4, 0.25, 0.05, -0.1, 0.6, -0.3, 0.2, 0.15];

function startOf(live: readonly (readonly number[])[]): Weights {
  let at = 0;
  return live.map((shape, t) => {
    const size = shape.reduce((product, axis) => product * axis, 1);
    return { name: `t${t}`, shape, values: Float32Array.from(values.slice(at, (at += size))) };
  });
}

function posteriorOf(options: Partial<PosteriorOptions> = {}): Posterior {
  const start = options.start ?? startOf(shapes);
  return new Posterior({
    ...{ runtime, start, tensors: scalarsOf(shapes), seed: 3, blocks: 3, deviation: 0.1, divergence: 4 },
    ...{ free: "deviations" },
    ...options,
  });
}

const read = async (body: () => Tensor): Promise<number[]> => Array.from(await runtime.step(body).read());

test("posterior: the KL of the check value", async () => {
  const start = [{ name: "w", shape: [1], values: Float32Array.of(0.3) }];
  const posterior = posteriorOf({ start, tensors: scalarsOf([[1]]), blocks: 1 });
  await posterior.begin();
  const saved = await posterior.save();
  const arrays = saved.arrays.map((array) =>
    // The prior scale, in place of what the mean made of it. The mean is float32.
    array.name === "scales" ? { ...array, values: Float64Array.of(Math.log(0.5)) as never } : array,
  );
  posterior.restore({ ...saved, arrays }, true);
  near((await read(() => posterior.blockDivergences()))[0]!, 1.3094379, 2e-7);
});

test("posterior: the table of the Mean-KL parameterisation, with its slopes", async () => {
  const rows = [
    [0.6, 0.5, 0.2487688424, 0.4987673229, 0.3973778348, -0.6622963913],
    [0, Math.LN2, 0.1018284311, 0.3191056739, 0, -0.2267460575],
    [2, 2.5, 0.1585943396, 0.3982390483, 0.7539494777, -0.3769747388],
  ] as const;
  for (const [delta, kappa, s, ratio, byDelta, byKappa] of rows) {
    const [d, k] = [runtime.variable([delta], [1]), runtime.variable([kappa], [1])];
    const found = runtime.step(() => {
      const ratioOf = exp(logVarianceRatio(subtract(multiply(k, 2), subtract(square(d), 1))));
      return [ratioOf, ...grad(sum(ratioOf), [d, k])];
    });
    const [own, ownByDelta, ownByKappa] = await Promise.all(found.map(async (t) => (await t.read())[0]!));
    near(own!, s, 1e-10);
    near(Math.sqrt(own!), ratio, 1e-10);
    near(ownByDelta!, byDelta, 1e-9);
    near(ownByKappa!, byKappa, 1e-9);
  }
});

test("posterior: the solver of the variance holds from next to nothing to a large KL", async () => {
  const c = Float64Array.from({ length: 200 }, (_, i) => 1.001 + 1e-3 * (Math.exp(i / 18) - 1));
  const found = await read(() => logVarianceRatio(runtime.tensor(c)));
  for (const [i, y] of found.entries()) {
    assert.ok(y < 0);
    near(Math.exp(y) - y, c[i]!, 1e-9 * c[i]!);
  }
  const below = await read(() => logVarianceRatio(runtime.tensor([1, 0.5, 1.001])));
  assert.ok(below.every((y) => y === below[2]), "where s would come near 1, it is held");
});

/** Gradient of what `loss` makes of a posterior, by Adam's first moments, which after one step are a tenth of it. */
async function gradients(posterior: Posterior, loss: () => Tensor): Promise<Map<string, Float32Array>> {
  const saved = await posterior.save();
  runtime.step(() => posterior.learn(loss(), { mean: 1e-3, deviation: 1e-3, scale: 1e-3 }));
  const { arrays } = await posterior.save();
  posterior.restore(saved, true);
  const moments = arrays.filter(({ name }) => name.endsWith(".first"));
  return new Map(moments.map(({ name, values }) => [name.slice(0, -".first".length), values.map((m) => 10 * m)]));
}

const losses = {
  penalty: (posterior: Posterior) => posterior.penalty(),
  "a loss of noisy parameters": (posterior: Posterior) => {
    const parts = posterior.parameters(5).map((tensor, t) => sum(square(subtract(tensor, 0.1 * (t + 1)))));
    return parts.reduce((all, part) => subtract(all, multiply(part, -1)));
  },
};

for (const free of ["deviations", "divergences"] as const) {
  for (const [what, lossOf] of Object.entries(losses)) {
    test(`posterior: gradients of ${what} agree with finite differences, ${free} being free`, async () => {
      const hashed = { size: 2, hashed: true };
      const alone = { size: 1, hashed: false };
      const posterior = posteriorOf({ free, tensors: scalarsOf(shapes, { groups: [hashed, alone, alone] }) });
      await posterior.begin();
      posterior.price(Float64Array.of(0.3, 0.7, 0.2));
      // Scalars of a coded block have no part in any of it.
      const coded = posterior.order.slice(posterior.starts[1], posterior.starts[2]);
      await posterior.fix(coded, Float32Array.from(coded, (_, j) => j / 10));
      const loss = (): Tensor => lossOf(posterior);
      const found = await gradients(posterior, loss);
      const saved = await posterior.save();
      const h = 1e-5;
      for (const [name, gradient] of found) {
        for (let i = 0; i < gradient.length; i++) {
          const sides: number[] = [];
          for (const step of [h, -h]) {
            const arrays = saved.arrays.map((array) => {
              if (array.name !== name) return array;
              return { ...array, values: Float64Array.from(array.values, (v, j) => (j === i ? v + step : v)) as never };
            });
            posterior.restore({ ...saved, arrays }, true);
            sides.push((await read(loss))[0]!);
          }
          const slope = (sides[0]! - sides[1]!) / (2 * h);
          near(gradient[i]!, slope, 1e-5 * Math.max(1, Math.abs(slope)), `${name} ${i}`);
          if (name !== "scales" && what !== "penalty" && free === "deviations" && coded.includes(i)) {
            assert.equal(gradient[i], 0, "what is fixed has no gradient");
          }
        }
      }
      assert.equal(found.size, 3);
    });
  }
}

test("posterior: a block's KL is the sum of its scalars', and what is coded has none", async () => {
  const options = fc.record({
    blocks: fc.integer({ min: 1, max: 12 }),
    seed: fc.nat({ max: 100 }),
    free: fc.constantFrom("deviations" as const, "divergences" as const),
  });
  await fc.assert(
    fc.asyncProperty(options, async ({ blocks, seed, free }) => {
      const posterior = posteriorOf({ blocks, seed, free });
      await posterior.begin();
      const { order, starts } = posterior;
      const ownOf = (b: number): Uint32Array => order.slice(starts[b], starts[b + 1]);
      const each = await read(() => posterior.divergences());
      const found = await read(() => posterior.blockDivergences());
      for (let b = 0; b < blocks; b++) near(found[b]!, [...ownOf(b)].reduce((all, s) => all + each[s]!, 0), 1e-9);
      if (free === "divergences") for (const value of found) near(value, 4, 1e-6, "the budget");
      await posterior.fix(ownOf(0), new Float32Array(ownOf(0).length));
      const after = await read(() => posterior.blockDivergences());
      assert.deepEqual(after, [0, ...found.slice(1)]);
    }),
    { numRuns: 40 },
  );
});

test("posterior: what is fixed has its value in every draw, and the rest has fresh noise", async () => {
  const posterior = posteriorOf();
  await posterior.begin();
  const coded = posterior.order.slice(0, 4);
  const codes = Float32Array.of(1.5, -2.5, 3.5, 0);
  await posterior.fix(coded, codes);
  const flat = async (draw: number | null): Promise<number[]> => {
    const tensors = runtime.step(() => posterior.parameters(draw));
    return (await Promise.all(tensors.map(async (t) => Array.from(await t.read())))).flat();
  };
  const [mean, first, again, second] = [await flat(null), await flat(0), await flat(0), await flat(1)];
  assert.deepEqual(again, first);
  for (let s = 0; s < posterior.scalars; s++) {
    const place = coded.indexOf(s);
    if (place >= 0) assert.deepEqual([mean[s], first[s], second[s]], [codes[place], codes[place], codes[place]]);
    else assert.ok(first[s] !== second[s] && first[s] !== mean[s]);
  }
});

test("posterior: scalars start at the mean of the weights that share them, and weights repeat them", async () => {
  // "a a a b b b c d" of the published layout.
  const start = [{ name: "w", shape: [8], values: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8) }];
  const tensors = scalarsOf([[8]], { groups: [{ size: 3, hashed: false }] });
  const posterior = posteriorOf({ start, tensors, blocks: 2 });
  const [tensor] = runtime.step(() => posterior.parameters(null));
  assert.deepEqual(Array.from(await tensor!.read()), [2, 2, 2, 5, 5, 5, 7, 8]);
});

test("posterior: distinct tensors have a run of equal outputs once, in every draw, others as they are", async () => {
  const groupings = fc.record({
    live: fc.integer({ min: 1, max: 12 }),
    sizes: fc.tuple(...[9, 12, 2].map((most) => fc.integer({ min: 1, max: most }))),
    hashed: fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
    draw: fc.constantFrom(null, 0, 7),
  });
  const seen = { runs: 0, others: 0 };
  await fc.assert(
    fc.asyncProperty(groupings, async ({ live, sizes, hashed, draw }) => {
      const shapes = [[2, 2, 3, 12], [12], [12, 2]];
      const groups = sizes.map((size, t) => ({ size: t === 1 ? 1 : size, hashed: hashed[t]! }));
      const tensors = scalarsOf(shapes, { live: [live], groups });
      const start = [[2, 2, 3, live], [live], [live, 2]].map((shape, t): NamedArray => {
        const size = shape.reduce((product, axis) => product * axis, 1);
        return { name: `t${t}`, shape, values: Float32Array.from({ length: size }, (_, i) => Math.sin(i + t)) };
      });
      const posterior = posteriorOf({ start, tensors });
      await posterior.begin();
      await posterior.fix(posterior.order.slice(0, 2), Float32Array.of(1.5, -2.5));
      const [whole, distinct] = runtime.step(() => [posterior.parameters(draw), posterior.parameters(draw, true)]);
      for (const [t, { shape }] of start.entries()) {
        const { size, hashed } = groups[t]!;
        const shares = t !== 1 && size > 1 && !hashed && shape.at(-1)! % size === 0;
        seen[shares ? "runs" : "others"] += 1;
        const repeats = shares ? size : 1;
        assert.deepEqual(distinct![t]!.shape, [...shape.slice(0, -1), shape.at(-1)! / repeats]);
        const few = await distinct![t]!.read();
        const all = Array.from(await whole![t]!.read());
        assert.deepEqual(all, all.map((_, i) => few[Math.floor(i / repeats)]));
      }
    }),
    { numRuns: 60 },
  );
  assert.ok(seen.runs > 10 && seen.others > 10, `${seen.runs} tensors of runs, ${seen.others} others`);
});

test("posterior: prior scales begin at the root mean square, and round to bytes of the format", async () => {
  const posterior = posteriorOf();
  await posterior.begin();
  const scales = await posterior.roundScales();
  startOf(shapes).forEach(({ values }, t) => {
    const root = Math.sqrt(values.reduce((all, value) => all + value * value, 0) / values.length);
    assert.ok(Math.abs(Math.log(scaleOf(scales[t]!) / root)) < 0.045, `scale ${t}`);
  });
});
