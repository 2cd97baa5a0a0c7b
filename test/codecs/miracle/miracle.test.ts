import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DeviceError } from "../../../lib/errors.ts";
import { seedKey, word } from "../../../lib/random.ts";
import { matmul } from "../../../lib/ops/matmul.ts";
import { add, multiply, square, subtract } from "../../../lib/ops/arithmetic.ts";
import { tanh } from "../../../lib/ops/activations.ts";
import { mean } from "../../../lib/ops/reduce.ts";
import type { Runtime } from "../../../lib/runtime.ts";
import type { Tensor } from "../../../lib/tensor.ts";
import { blocksFor } from "../../../codecs/miracle/budget.ts";
import { Miracle } from "../../../codecs/miracle/miracle.ts";
import type { MiracleOptions, MiracleProgress } from "../../../codecs/miracle/options.ts";
import { randomCode, type RandomCode } from "../../../codecs/randomCode.ts";
import { placesOf, scalarsOf } from "../../../codecs/scalars.ts";
import { lenet5, softmax } from "../../../lib/architectures.ts";
import { createRuntime } from "../../../lib/createRuntime.ts";
import { devices, exactRuntime, runtimeOf } from "../../lib/runtimes.ts";

const reference = await createRuntime({ device: "reference" });

/** Whole numbers about zero, divided by 100. */
const noise = (stream: number, i: number): number => ((word(seedKey(99), stream, 0, i) % 401) - 200) / 100;
const filled = (count: number, stream: number, scale = 1): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => scale * noise(stream, i));

// A regression on four numbers, with a hidden layer of five units, of which some may be live.
const count = 32;
const inputs = filled(count * 4, 1);
const answers = Float32Array.from({ length: count }, (_, i) => Math.tanh(inputs[4 * i]! - inputs[4 * i + 1]!) + 0.5);

function squares(runtime: Runtime, [w1, b1, w2, b2]: readonly Tensor[]): Tensor {
  const hidden = tanh(add(matmul(runtime.tensor(inputs, [count, 4]), w1!), b1!));
  return mean(square(subtract(add(matmul(hidden, w2!), b2!), runtime.tensor(answers, [count, 1]))));
}

type Change = Partial<MiracleOptions>;

function regression(change: Change = {}, runtime = reference): MiracleOptions {
  const units = change.live?.[0] ?? 5;
  const start = [[4, units], [units], [units, 1], [1]].map((shape, t) => {
    const size = shape.reduce((product, axis) => product * axis, 1);
    return { name: `t${t}`, shape, values: filled(size, 10 + t, 0.3) };
  });
  return {
    ...{ runtime, start, shapes: [[4, 5], [5], [5, 1], [1]], bits: 8, blocks: 5, seed: 4, deviation: 0.05 },
    loss: (parameters) => squares(runtime, parameters),
    prices: { start: 1e-4, rate: 0.02 },
    ...change,
  };
}

interface Phases {
  readonly pretraining: number;
  readonly training: number;
  readonly refit: number;
  readonly until?: (progress: MiracleProgress) => boolean;
}

const short: Phases = { pretraining: 15, training: 45, refit: 4 };

async function code(miracle: Miracle, { pretraining, training, refit, until }: Phases = short): Promise<RandomCode> {
  const rates = { mean: 0.01, deviation: 0.05, scale: 0.005 };
  await miracle.pretrain({ steps: pretraining, rate: () => 0.02 });
  const shared = Math.floor(training / 2);
  const roundScales = training - 5;
  await miracle.train({ steps: training, shared, roundScales, rates: () => rates, ...(until && { until }) });
  return miracle.compress({ refit, rates: () => rates });
}

/** The weights that a code stands for, at their live places, tensor by tensor. */
function decoded(found: RandomCode): number[] {
  const values = randomCode.toValues(found);
  let at = 0;
  return scalarsOf(found.shapes, found).flatMap((tensor) => {
    const live = Array.from(placesOf(tensor), (place) => values[at + place]!);
    at += tensor.grid.size;
    return live;
  });
}

async function ended(runtime: Runtime, miracle: Miracle): Promise<number[]> {
  const tensors = runtime.step(() => [...miracle.parameters()]);
  return (await Promise.all(tensors.map(async (tensor) => Array.from(await tensor.read())))).flat();
}

const alone = { size: 1, hashed: false };
const hashed = [{ size: 4, hashed: true }, alone, { size: 2, hashed: false }, alone];
const variants: Record<string, Change> = {
  "as it comes": {},
  "the density of samples": { choice: { by: "maximum", weighing: "density" } },
  "a sample drawn by its weight": { choice: { by: "sampling" } },
  "a sample of least loss": { choice: { by: "loss", among: 4, judge: (parameters) => squares(reference, parameters) } },
  "blocks of equal KL": { equal: "divergence" },
  "free divergences": { free: "divergences" },
  "live units": { live: [3], blocks: 3 },
  "groups by hash and by place": { groups: hashed },
  "live units in groups": { live: [4], groups: hashed, blocks: 4 },
  "4 bits": { bits: 4, blocks: 9 },
  "samples that share a batch": { samples: 3 },
  "prices by sign": { prices: { start: 1e-4, rate: 0.01, rule: "sign" } },
};

for (const [what, change] of Object.entries(variants)) {
  test(`miracle: the code is what training ended with: ${what}`, async () => {
    const miracle = new Miracle(regression(change));
    const found = await code(miracle);
    assert.deepEqual(decoded(found), await ended(reference, miracle));
    // Cut to equal KL, there are as many blocks as the same bytes hold.
    if (change.equal !== "divergence") assert.equal(found.indices.length, change.blocks ?? 5);
    assert.ok(found.indices.every((index) => index < 2 ** found.bits));
    assert.equal(found.sizes !== undefined, change.equal === "divergence");
  });
}

test("miracle: blocks of 20 bits", async () => {
  const runtime = await runtimeOf(devices[1]!);
  const miracle = new Miracle(regression({ bits: 20, blocks: 2, live: [1] }, runtime));
  const found = await code(miracle);
  assert.deepEqual(decoded(found), await ended(runtime, miracle));
  assert.ok(found.indices.some((index) => index >= 2 ** 16));
});

test("miracle: the same code with one thread as with two", async () => {
  const codes = await Promise.all(
    [devices[1]!, devices[2]!].map(async (device) => {
      return code(new Miracle(regression({ samples: 2 }, await runtimeOf(device))));
    }),
  );
  assert.deepEqual(codes[0], codes[1]);
});

test("miracle: training meets the budget, and little is lost by coding", async () => {
  const looks: MiracleProgress[] = [];
  const miracle = new Miracle(regression({ bits: 10, blocks: 6, onProgress: (progress) => void looks.push(progress) }));
  const found = await code(miracle, { pretraining: 100, training: 700, refit: 20 });
  const trained = looks.filter(({ phase }) => phase === "train").at(-1)!;
  assert.ok(Math.abs(trained.divergence - 10) < 1, `${trained.divergence} bits a block`);
  const loss = (await reference.step(() => squares(reference, miracle.parameters())).read())[0]!;
  const spread = answers.reduce((sum, y) => sum + (y - 0.5) ** 2, 0) / count;
  assert.ok(loss < 0.4 * spread, `${loss} of ${spread}`);
  assert.equal(found.indices.length, 6);
});

test("miracle: one weight, y = 2 x and noise, in 4 bits", async () => {
  const x = filled(200, 5);
  const y = Float32Array.from(x, (value, i) => 2 * value + 0.25 * noise(6, i));
  const lossOf = ([w]: readonly Tensor[]): Tensor =>
    mean(square(subtract(multiply(reference.tensor(x), w!), reference.tensor(y))));
  const miracle = new Miracle({
    ...{ runtime: reference, shapes: [[1]], bits: 4, blocks: 1, seed: 1, loss: lossOf },
    start: [{ name: "w", shape: [1], values: Float32Array.of(0.1) }],
    prices: { start: 1e-3, rate: 0.01 },
  });
  const found = await code(miracle, { pretraining: 200, training: 400, refit: 0 });
  const [value] = randomCode.toValues(found);
  const sumOf = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0);
  const slope = sumOf(x.map((value, i) => value * y[i]!)) / sumOf(x.map((value) => value * value));
  // Of the 16 samples that a file can name: the budget draws the mean a little towards zero.
  const sample = (k: number): number => randomCode.toValues({ ...found, indices: Uint32Array.of(k) })[0]!;
  const samples = Array.from({ length: 16 }, (_, k) => sample(k));
  samples.sort((a, b) => Math.abs(a - slope) - Math.abs(b - slope));
  assert.ok(samples.indexOf(value!) < 2, `${value} for ${slope} of ${samples.join()}`);
});

test("miracle: stopped anywhere, as often as one likes, it ends with the same code", async () => {
  const budgeted = ({ step }: MiracleProgress): boolean => step === 15;
  const cases: [Change, Phases][] = [
    [{}, short],
    [{ free: "divergences", samples: 2 }, short],
    [{ equal: "divergence", choice: { by: "sampling" } }, { ...short, training: 85, until: budgeted }],
    [{ live: [3], blocks: 4, groups: hashed }, { pretraining: 0, training: 20, refit: 11 }],
  ];
  const whole = await Promise.all(
    cases.map(async ([change, phases]) => {
      let looks = 0;
      const found = await code(new Miracle(regression({ ...change, onProgress: () => void (looks += 1) })), phases);
      return { found, looks };
    }),
  );
  const stops = fc.record({
    which: fc.nat({ max: cases.length - 1 }),
    after: fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(stops, async ({ which, after }) => {
      const [change, phases] = cases[which]!;
      let state: string | undefined;
      for (const left of [...after, Infinity]) {
        let looks = 0;
        const onProgress = (): void => {
          looks += 1;
          if (looks === left) throw new Error("stop");
        };
        const miracle = new Miracle(regression({ ...change, onProgress }));
        if (state !== undefined) miracle.restore(revived(state));
        try {
          assert.deepEqual(await code(miracle, phases), whole[which]!.found);
          return;
        } catch (error) {
          if ((error as Error).message !== "stop") throw error;
          const { progress, arrays } = await miracle.save();
          const plain = arrays.map((array) => ({ ...array, values: [...array.values] }));
          state = JSON.stringify({ progress, arrays: plain });
        }
      }
    }),
    // The fourth look is the one at which `until` has seen enough.
    { numRuns: 24, examples: [3, 4, 5].map((look) => [{ which: 2, after: [look] }]) },
  );
  assert.ok(whole.every(({ looks }) => looks > 8));
});

function revived(state: string): Parameters<Miracle["restore"]>[0] {
  type State = Parameters<Miracle["restore"]>[0];
  const { progress, arrays } = JSON.parse(state) as State;
  return { progress, arrays: arrays.map((array) => ({ ...array, values: Float32Array.from(array.values) })) };
}

test("miracle: progress goes through the phases, and says when each block is coded", async () => {
  const looks: MiracleProgress[] = [];
  await code(new Miracle(regression({ onProgress: (progress) => void looks.push(progress) })), { ...short, refit: 0 });
  const seen = looks.map(({ phase, step, coded }) => `${phase} ${step} ${coded}`);
  const coded = [1, 2, 3, 4, 5].map((block) => `compress 0 ${block}`);
  // Steps are looked at by their number in all: pretraining took 15.
  const trained = [5, 15, 25, 35, 45].map((step) => `train ${step} 0`);
  assert.deepEqual(seen, ["pretrain 10 0", "pretrain 15 0", ...trained, ...coded]);
  assert.ok(looks.every(({ loss }) => loss > 0));
});

test("miracle: what makes no sense is a RangeError before anything is trained", () => {
  const groups = hashed.map((group, t) => (t === 1 ? { size: 6, hashed: false } : group));
  const lone = hashed.map((group, t) => (t === 1 ? { size: 1, hashed: true } : group));
  const judge = (parameters: readonly Tensor[]): Tensor => squares(reference, parameters);
  const wrong: [Change, RegExp][] = [
    [{ bits: 3 }, /bits per block must be a whole number from 4 to 20, got 3/],
    [{ bits: 21 }, /from 4 to 20, got 21/],
    [{ bits: 7.5 }, /from 4 to 20, got 7.5/],
    [{ blocks: 0 }, /31 scalars make 1 to 31 blocks, got 0/],
    [{ blocks: 32 }, /make 1 to 31 blocks, got 32/],
    [{ blocks: -1 }, /blocks must be a whole number/],
    [{ seed: 2 ** 32 }, /seed must be a whole number from 0 to 4294967295/],
    [{ samples: 0 }, /samples must be a whole number from 1/],
    [{ deviation: 0 }, /first deviation must be above 0, got 0/],
    [{ groups }, /a group must have from 1 to 5 weights, got 6/],
    [{ groups: lone }, /a group of one weight is not hashed/],
    [{ live: [5] }, /live counts are given where not all units are live/],
    [{ live: [6] }, /live units must be from 1 to 5, got 6/],
    [{ start: regression().start.slice(1) }, /4 tensors must start somewhere, got 3/],
    [{ start: regression({ live: [3] }).start }, /tensor 0 has 20 live weights, got 12/],
    [{ prices: { start: -1 } }, /first price must be above 0/],
    [{ choice: { by: "loss", among: 0, judge } }, /samples that are judged must be .* from 1 to 256, got 0/],
  ];
  for (const [change, message] of wrong) {
    assert.throws(() => new Miracle({ ...regression(), ...change }), (error: Error) => {
      assert.ok(error instanceof RangeError, String(error));
      assert.match(error.message, message);
      return true;
    });
  }
});

test("miracle: a loss that is not finite is a RangeError that says where", async () => {
  const spoiled = (from: number): Change => ({
    loss: (parameters, { step }) => {
      const loss = squares(reference, parameters);
      return step >= from ? multiply(loss, NaN) : loss;
    },
  });
  const codeSpoiled = (from: number): Promise<RandomCode> => code(new Miracle(regression(spoiled(from))));
  await assert.rejects(codeSpoiled(3), /^RangeError: miracle: the loss is NaN at step 10 of pretrain/);
  await assert.rejects(codeSpoiled(20), /the loss is NaN at step 15 of train; try lower rates/);
  // Too late for a look: the samples show it.
  const late = code(new Miracle(regression(spoiled(61))), { ...short, training: 48 });
  await assert.rejects(late, /the weights of block 0's samples are not finite/);
  const judge = (parameters: readonly Tensor[]): Tensor => multiply(squares(reference, parameters), NaN);
  const judged = new Miracle(regression({ choice: { by: "loss", among: 2, judge } }));
  await assert.rejects(code(judged), /the loss of every sample of block 0 is not finite/);
});

test("miracle: a training in float64 says that a checkpoint cannot hold it", async () => {
  const exact = exactRuntime();
  await assert.rejects(new Miracle(regression({}, exact)).save(), DeviceError);
});

test("budget: the file of so many blocks fits, and that of one more does not", () => {
  fc.assert(
    fc.property(fc.integer({ min: 100, max: 2000 }), fc.integer({ min: 4, max: 20 }), (bytes, bits) => {
      const options = { network: lenet5, bits, seed: 1, live: [6, 12, 16] };
      const blocks = blocksFor({ ...options, bytes });
      // A block's bits and the rest: what changes with their number is its own varint.
      const left = 8 * bytes - blocks * bits;
      assert.ok(left >= 0 && left < 8 * 30 + bits, `${blocks} blocks of ${bits} bits in ${bytes} bytes`);
      assert.ok(blocksFor({ ...options, bytes: bytes + Math.ceil(bits / 8) }) > blocks);
    }),
    { numRuns: 40 },
  );
});

test("budget: too small a one says what the least is", () => {
  const options = { network: softmax, bits: 8, seed: 1 };
  const least = (bytes: number): number => {
    try {
      blocksFor({ ...options, bytes });
      return bytes;
    } catch (error) {
      assert.ok(error instanceof RangeError);
      return Number(/needs (\d+) bytes at least, got a budget of/.exec(error.message)![1]);
    }
  };
  const bytes = least(1);
  assert.ok(bytes > 8 && bytes < 40, `${bytes}`);
  assert.equal(least(bytes - 1), bytes);
  assert.equal(blocksFor({ ...options, bytes }), 1);
  assert.throws(() => blocksFor({ ...options, bytes: 99, bits: 21 }), /bits per block must be .* from 4 to 20, got 21/);
  assert.throws(() => blocksFor({ ...options, bytes: 99.5 }), RangeError);
  // More than a block for each scalar is of no use.
  assert.equal(blocksFor({ ...options, bytes: 1e6 }), 7850);
});
