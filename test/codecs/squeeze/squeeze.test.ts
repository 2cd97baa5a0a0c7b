import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { gridsOf } from "../../../codecs/grid.ts";
import { codedBits, codedBytes } from "../../../codecs/levels.ts";
import { levelWeights } from "../../../codecs/levelWeights.ts";
import { estimateRate } from "../../../codecs/squeeze/rate.ts";
import { Squeeze, type SqueezeOptions, type SqueezeProgress } from "../../../codecs/squeeze/squeeze.ts";
import { add, createRuntime, mean, type Runtime, square, subtract, type Tensor } from "../../../lib/index.ts";
import { fillNormal, fillUniform, seedKey } from "../../../lib/random.ts";

const shapes = [[3, 3, 1, 4], [4], [36, 6], [6]];
const sizes = shapes.map((shape) => shape.reduce((size, n) => size * n, 1));

/** Levels of which a share is not zero, mostly of magnitude 1. */
function levelsOf(seed: number, share: number): Int32Array[] {
  return sizes.map((size, block) => {
    const draws = new Float32Array(3 * size);
    fillUniform(draws, seedKey(seed), { stream: 200, block });
    return Int32Array.from({ length: size }, (_, i) => {
      if (draws[3 * i]! >= share) return 0;
      return (draws[3 * i + 1]! < 0.5 ? -1 : 1) * (draws[3 * i + 2]! < 0.2 ? 2 : 1);
    });
  });
}

test("rate: the estimate of a network's levels is near what the coder takes", () => {
  fc.assert(
    fc.property(fc.nat({ max: 1000 }), fc.integer({ min: 5, max: 60 }), (seed, percent) => {
      const levels = levelsOf(seed, percent / 100);
      const estimated = gridsOf(shapes).reduce((sum, grid, t) => sum + estimateRate(grid, levels[t]!).bits, 0);
      const coded = codedBits(shapes, levels);
      assert.ok(estimated > 0.6 * coded && estimated < 1.3 * coded, `${estimated} for ${coded}`);
    }),
    { numRuns: 50 },
  );
});

test("rate: a rare level costs more than one among many, and none is paid for", () => {
  const grid = gridsOf([[36, 6]])[0]!;
  const few = new Int32Array(216);
  // One output has all there is.
  for (let row = 0; row < 36; row++) few[6 * row] = 1;
  const { first, further } = estimateRate(grid, few);
  assert.ok(first[1]! > first[0]! + 0.5, `${first[1]} and ${first[0]}`);
  assert.ok(first.every((bits) => bits >= 0) && further.every((bits) => bits > 0));
});

/** Training towards these weights: what is far away costs more. */
const goals = sizes.map((size, t) => {
  const values = new Float32Array(size);
  fillNormal(values, seedKey(7), { stream: 201, block: t });
  return values;
});

function optionsOf(runtime: Runtime, change: Partial<SqueezeOptions> = {}): SqueezeOptions {
  const targets = goals.map((values, t) => runtime.tensor(values, shapes[t]!));
  const loss = (parameters: readonly Tensor[]): Tensor =>
    parameters.map((w, t) => mean(square(subtract(w, targets[t]!)))).reduce((sum, one) => add(sum, one));
  const start = goals.map((values, t) => ({ name: `t${t}`, shape: shapes[t]!, values }));
  return { runtime, shapes, start, loss, bits: 300, steps: 1200, ...change };
}

test("squeeze: levels keep to the budget, at the same bytes for any number of threads", async () => {
  const coded = [];
  for (const threads of [1, 2]) {
    const runtime = await createRuntime({ threads });
    const run = new Squeeze(optionsOf(runtime));
    await run.train();
    coded.push(await run.coded());
    await runtime.close();
  }
  const [one, two] = coded;
  assert.deepEqual(one, two);
  const bytes = codedBytes(shapes, one!.levels);
  assert.ok(bytes <= 300 / 8 && bytes >= 36, `${bytes} bytes`);
  // What the file holds is what the loss saw: levels times scales.
  assert.equal(levelWeights.toValues(one!).length, sizes.reduce((sum, size) => sum + size, 0));
});

test("squeeze: more bits, less loss", async () => {
  const runtime = await createRuntime({ threads: 1 });
  const errors = [];
  for (const bits of [100, 300, 600]) {
    const run = new Squeeze(optionsOf(runtime, { bits }));
    await run.train();
    const values = levelWeights.toValues(await run.coded());
    errors.push(goals.flatMap((goal) => [...goal]).reduce((sum, goal, i) => sum + (goal - values[i]!) ** 2, 0));
  }
  assert.ok(errors[0]! > errors[1]! && errors[1]! > errors[2]!, errors.join(" "));
  await runtime.close();
});

test("squeeze: stopped at any look and gone on, it ends with the same levels", async () => {
  const runtime = await createRuntime({ threads: 1 });
  const change = { steps: 400 };
  const whole = new Squeeze(optionsOf(runtime, change));
  await whole.train();
  const expected = await whole.coded();
  for (const stop of [20, 180, 380]) {
    const first = new Squeeze(
      optionsOf(runtime, {
        ...change,
        onProgress: ({ step }: SqueezeProgress) => {
          if (step === stop) throw new Error("stop");
        },
      }),
    );
    await assert.rejects(first.train(), /stop/);
    const state = JSON.parse(JSON.stringify((await first.save()).progress));
    const { arrays } = await first.save();
    const blank = shapes.map((shape, t) => ({ name: `t${t}`, shape, values: new Float32Array(sizes[t]!) }));
    const second = new Squeeze(optionsOf(runtime, { ...change, start: blank }));
    second.restore({ progress: state, arrays });
    await second.train();
    assert.deepEqual(await second.coded(), expected, `stopped at ${stop}`);
  }
  await runtime.close();
});

test("squeeze: its price is that of the last look, also where training was gone on with", async () => {
  const runtime = await createRuntime({ threads: 1 });
  const prices: number[] = [];
  const options = optionsOf(runtime, { steps: 200, onProgress: ({ price }) => void prices.push(price) });
  const run = new Squeeze(options);
  await run.train();
  assert.equal(run.price, prices.at(-1));
  assert.notEqual(run.price, prices[0]);
  const later = new Squeeze(options);
  later.restore(await run.save());
  assert.equal(later.price, run.price);
  await runtime.close();
});

test("squeeze: only live units have levels", async () => {
  const runtime = await createRuntime({ threads: 1 });
  const narrow = [[3, 3, 1, 2], [2], [18, 6], [6]];
  const start = narrow.map((shape, t) => ({
    name: `t${t}`,
    shape,
    values: new Float32Array(shape.reduce((size, n) => size * n, 1)).fill(1),
  }));
  const loss = (parameters: readonly Tensor[]): Tensor => mean(square(subtract(parameters[2]!, 1)));
  const run = new Squeeze({ runtime, shapes, start, live: [2], loss, bits: 2000, steps: 40 });
  await run.train();
  const { levels } = await run.coded();
  for (const [i, level] of levels[0]!.entries()) assert.equal(level !== 0, i % 4 < 2);
  // Behind nine places of four channels, of which two are live.
  for (const [i, level] of levels[2]!.entries()) assert.equal(level !== 0, Math.floor(i / 6) % 4 < 2);
  await runtime.close();
});

test("squeeze: what does not go together is a RangeError before training", async () => {
  const runtime = await createRuntime({ threads: 1 });
  const wrong: [Partial<SqueezeOptions>, RegExp][] = [
    [{ bits: 0 }, /the budget must be above 0 bits, got 0/],
    [{ steps: 0 }, /steps must be a whole number from 1 up, got 0/],
    [{ step: 0 }, /the step must be above 0, got 0/],
    [{ live: [2] }, /tensor 0 has 18 live weights, got 36/],
    [{ live: [5] }, /live units must be from 1 to 4, got 5/],
  ];
  for (const [change, message] of wrong) {
    assert.throws(() => new Squeeze(optionsOf(runtime, change)), (error: Error) => {
      assert.ok(error instanceof RangeError);
      assert.match(error.message, message);
      return true;
    });
  }
  const bad = optionsOf(runtime, { loss: () => runtime.tensor([NaN]) });
  await assert.rejects(new Squeeze(bad).train(), /the loss is NaN at step 20 of 1200/);
  await runtime.close();
});
