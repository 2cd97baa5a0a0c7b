import assert from "node:assert/strict";
import { after, suite, test } from "node:test";
import fc from "fast-check";
import { createRuntime, grad } from "../../lib/index.ts";
import {
  augment,
  digest,
  distillation,
  fit,
  type FitOptions,
  hardLabels,
  initialise,
  type Loss,
  predict,
  type SoftLabels,
  softLabels,
} from "../../models/index.ts";
import { smallData, smallNetwork } from "./small.ts";

const network = smallNetwork("tanh", 1);
const train = smallData(40, 1);
const runtime = await createRuntime({ device: "reference" });
const exact = await createRuntime({ device: "reference", precision: "float64" });
after(() => Promise.all([runtime.close(), exact.close()]));

const teacher = (seed: number) => ({ network, weights: initialise(network, seed) });
const close = (a: ArrayLike<number>, b: ArrayLike<number>, most: number): void => {
  assert.equal(a.length, b.length);
  for (let i = 0; i < a.length; i++) assert.ok(Math.abs(a[i]! - b[i]!) <= most, `${i}: ${a[i]}, not ${b[i]}`);
};

/** softmax(logits / temperature), as one would explain it. */
function softened(logits: ArrayLike<number>, temperature: number): number[] {
  const out: number[] = [];
  for (let row = 0; row < logits.length; row += 3) {
    const powers = [0, 1, 2].map((j) => Math.exp(logits[row + j]! / temperature));
    out.push(...powers.map((power) => power / (powers[0]! + powers[1]! + powers[2]!)));
  }
  return out;
}

suite("softLabels", () => {
  test("of one teacher: the softmax of its logits over the temperature", async () => {
    const { logits } = await predict({ runtime, data: train, ...teacher(1) });
    for (const temperature of [0.5, 1, 2, 1e6]) {
      const soft = await softLabels({ runtime, teachers: [teacher(1)], data: train, temperature });
      assert.deepEqual([soft.count, soft.classes, soft.temperature], [40, 3, temperature]);
      close(soft.values, softened(logits, temperature), 1e-6);
      if (temperature === 1e6) close(soft.values, soft.values.map(() => 1 / 3), 1e-5);
    }
  });

  test("of several teachers: the mean of their probabilities, at the temperature", async () => {
    const teachers = [teacher(1), teacher(2), teacher(3)];
    const alone: SoftLabels[] = [];
    for (const one of teachers) alone.push(await softLabels({ runtime, teachers: [one], data: train, temperature: 3 }));
    const together = await softLabels({ runtime, teachers, data: train, temperature: 3 });
    close(together.values, alone[0]!.values.map((p, i) => (p + alone[1]!.values[i]! + alone[2]!.values[i]!) / 3), 1e-6);
    const twice = await softLabels({ runtime, teachers: [teacher(1), teacher(1)], data: train, temperature: 3 });
    close(twice.values, alone[0]!.values, 1e-7);
  });

  test("of copies: those of the pool, in its order", async () => {
    const augmentation = { copies: 2, seed: 4, shift: 1 };
    const teachers = [teacher(1), teacher(2)];
    const reported: number[] = [];
    const onProgress = ({ done, total }: { done: number; total: number }) => void reported.push(done / total);
    const soft = await softLabels({ runtime, teachers, data: train, augmentation, onProgress });
    assert.deepEqual(soft, await softLabels({ runtime, teachers, data: augment(train, augmentation) }));
    assert.deepEqual(reported, [1, 2, 3, 4, 5, 6].map((n) => n / 6));
  });

  test("refuses no teacher, other classes, a bad temperature, infinite outputs; stops when told", async () => {
    const refuses = (options: object, message: RegExp): Promise<void> =>
      assert.rejects(softLabels({ runtime, teachers: [teacher(1)], data: train, ...options }), {
        name: "RangeError",
        message,
      });
    await refuses({ teachers: [] }, /at least one teacher/);
    for (const temperature of [0, -1, NaN, Infinity]) await refuses({ temperature }, /temperature must be .* above 0/);
    const two = { ...network, name: "two", classes: ["a", "b"] };
    await refuses({ teachers: [teacher(1), { network: two, weights: [] }] }, /has 3 classes, two 2/);
    const huge = initialise(network, 1).map((tensor) => ({ ...tensor, values: tensor.values.map(() => 3e38) }));
    await refuses({ teachers: [{ network: smallNetwork("relu"), weights: huge }] }, /small has outputs .* not finite/);
    await refuses({ augmentation: { copies: 0 } }, /copies/);
    const signal = AbortSignal.abort(new Error("enough"));
    await assert.rejects(softLabels({ runtime, teachers: [teacher(1)], data: train, signal }), /enough/);
  });
});

const numbers = (count: number) =>
  fc.array(fc.integer({ min: -300, max: 300 }).map((n) => n / 100), { minLength: count, maxLength: count });

const cases = fc.record({
  logits: numbers(12),
  said: numbers(21),
  labels: fc.array(fc.nat(2), { minLength: 4, maxLength: 4 }),
  indices: fc.array(fc.nat(6), { minLength: 4, maxLength: 4 }),
  weight: fc.integer({ min: 0, max: 10 }).map((n) => n / 10),
  temperature: fc.integer({ min: 1, max: 40 }).map((n) => n / 4),
});

/** Soft labels of seven pictures. */
function soft(said: readonly number[], temperature: number): SoftLabels {
  return { values: Float32Array.from(softened(said, 1)), count: 7, classes: 3, temperature };
}

async function lossAndSlope(
  loss: Loss,
  logits: readonly number[],
  labels: readonly number[],
  indices: readonly number[],
): Promise<{ value: number; slope: ArrayLike<number> }> {
  const variable = exact.variable(logits, [4, 3], "logits");
  const { value, slope } = exact.step(() => {
    const value = loss.of({
      logits: variable,
      labels: exact.tensor(Int32Array.from(labels)),
      indices: Uint32Array.from(indices),
      trained: [],
      parameters: [],
      step: 0,
    });
    return { value, slope: grad(value, [variable])[0]! };
  });
  return { value: (await value.read())[0]!, slope: await slope.read() };
}

suite("distillation", () => {
  test("law: is the formula, and its gradient is its slope, in float64", async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ logits, said, labels, indices, weight, temperature }) => {
        const labelled = soft(said, temperature);
        const loss = distillation({ soft: labelled, weight });
        const formula = (at: readonly number[]): number => {
          const teacher = softened(at, temperature);
          const own = softened(at, 1);
          let sum = 0;
          indices.forEach((index, i) => {
            for (let j = 0; j < 3; j++) {
              const target = labelled.values[3 * index + j]!;
              sum -= weight * temperature * temperature * target * Math.log(teacher[3 * i + j]!);
            }
            sum -= (1 - weight) * Math.log(own[3 * i + labels[i]!]!);
          });
          return sum / 4;
        };
        const { value, slope } = await lossAndSlope(loss, logits, labels, indices);
        const size = Math.max(1, Math.abs(value));
        assert.ok(Math.abs(value - formula(logits)) < 1e-9 * size, `${value}, not ${formula(logits)}`);
        const step = 1e-5;
        for (let i = 0; i < 12; i++) {
          const beside = (by: number): number => formula(logits.map((x, j) => (j === i ? x + by : x)));
          const expected = (beside(step) - beside(-step)) / (2 * step);
          assert.ok(Math.abs(slope[i]! - expected) < 1e-6 * size, `slope ${i}: ${slope[i]}, not ${expected}`);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("law: the slope stays of one size when the temperature rises", async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ logits, said, labels, indices }) => {
        // For large T both softmax are linear: d = (logits - said, each without its mean) / classes, without a T.
        const loss = distillation({ soft: { ...soft(said.map((x) => x / 1e4), 1e4) }, weight: 1 });
        const { slope } = await lossAndSlope(loss, logits, labels, indices);
        const centred = (from: readonly number[], row: number): number[] => {
          const three = from.slice(3 * row, 3 * row + 3);
          return three.map((x) => x - (three[0]! + three[1]! + three[2]!) / 3);
        };
        const expected = indices.flatMap((index, i) => {
          const teacher = centred(said, index);
          return centred(logits, i).map((x, j) => (x - teacher[j]!) / 12);
        });
        // Soft labels are float32: 1e4 times their rounding of 3e-8, over four pictures.
        close(slope, expected, 5e-4);
      }),
      { numRuns: 30 },
    );
  });

  test("refuses bad settings, pictures without a soft label, and training on another number of pictures", async () => {
    const good = soft(Array<number>(21).fill(0), 2);
    const refuses = (options: Parameters<typeof distillation>[0], message: RegExp): void =>
      assert.throws(() => distillation(options), { name: "RangeError", message });
    refuses({ soft: good, weight: -0.1 }, /weight must be a number from 0 to 1, got -0.1/);
    refuses({ soft: good, weight: NaN }, /weight/);
    refuses({ soft: { ...good, temperature: 0 } }, /temperature/);
    refuses({ soft: { ...good, count: 6 } }, /\[6, 3\] need 18 values, got 21/);
    const loss = distillation({ soft: good });
    await assert.rejects(lossAndSlope(loss, Array<number>(12).fill(0), [0, 0, 0, 0], [1, 7, 0, 0]), {
      name: "RangeError",
      message: /soft labels of 7 pictures, none of picture 7/,
    });
    const onProgress = (): never => assert.fail("trained");
    await assert.rejects(fit({ runtime, network, data: { train }, steps: 1, loss, interval: 0, onProgress }), {
      name: "RangeError",
      message: /the loss knows 7 pictures, training has 40/,
    });
  });
});

suite("distillation in fit", () => {
  const augmentation = { copies: 3, original: 0.4, shift: 1, seed: 6 };
  const short: FitOptions = { runtime, network, data: { train }, steps: 10, batchSize: 9, seed: 4 };

  test("law: with weight 0 it trains as the labels alone do, to the bit", async () => {
    const labels = await softLabels({ runtime, teachers: [teacher(9)], data: train });
    const plain = await fit(short);
    const same = await fit({ ...short, loss: distillation({ soft: labels, weight: 0 }) });
    assert.equal(digest(same.weights), digest(plain.weights));
    assert.equal((await fit({ ...short, loss: hardLabels })).loss, same.loss);
    const taught = await fit({ ...short, loss: distillation({ soft: labels, weight: 0.5 }) });
    assert.notEqual(digest(taught.weights), digest(plain.weights));
  });

  test("a student comes to say what its teacher says, of labels that are wrong too", async () => {
    const wrong = { ...train, labels: train.labels.map((label) => (label + 1) % 3) };
    const right = await fit({ ...short, steps: 120, schedule: { name: "cosine", rate: 0.02 } });
    const teachers = [{ network, weights: right.weights }];
    const soft = await softLabels({ runtime, teachers, data: train, augmentation });
    const student = await fit({
      ...short,
      data: { train: wrong },
      augmentation,
      steps: 200,
      seed: 12,
      schedule: { name: "cosine", rate: 0.02 },
      loss: distillation({ soft, weight: 1 }),
    });
    const own = await predict({ runtime, network, weights: student.weights, data: train });
    const taught = await predict({ runtime, network, weights: right.weights, data: train });
    const same = own.classes.filter((answer, i) => answer === taught.classes[i]).length;
    assert.ok(same >= 36, `${same} of 40 answers are the teacher's`);
  });

  test("stopped and resumed, the outcome is the same; other settings are refused", async () => {
    const soft = await softLabels({ runtime, teachers: [teacher(9), teacher(8)], data: train, augmentation });
    const options: FitOptions = { ...short, augmentation, loss: distillation({ soft, weight: 0.6 }) };
    const saved: Uint8Array[] = [];
    const whole = await fit({ ...options, checkpoint: { every: 1, save: (bytes) => void saved.push(bytes) } });
    assert.equal(saved.length, 10);
    for (const step of [1, 5, 9]) {
      const resumed = await fit({ ...options, resume: saved[step - 1]! });
      assert.equal(digest(resumed.weights), digest(whole.weights), `resumed after step ${step}`);
    }
    const resume = saved[4]!;
    const refuses = (changed: Partial<FitOptions>, message: RegExp): Promise<void> =>
      assert.rejects(fit({ ...options, resume, ...changed }), { name: "RangeError", message });
    const changed = { ...augmentation, original: 0.5 };
    await refuses({ augmentation: changed }, /another original of augmentation: it has 0.4, now it is 0.5/);
    await refuses({ augmentation: { ...augmentation, seed: 7 } }, /another seed of augmentation/);
    await refuses({ augmentation: { ...augmentation, elastic: { grid: 5, deviation: 0.8 } } }, /another elastic of/);
    await refuses({ loss: distillation({ soft, weight: 0.7 }) }, /another loss/);
    const other = { ...soft, values: soft.values.slice().fill(0.5, 100, 101) };
    await refuses({ loss: distillation({ soft: other, weight: 0.6 }) }, /another loss/);
    // Said in another way, the options are the same.
    const spelled = { ...augmentation, rotation: 0.17, elastic: { deviation: 0.8, grid: 6 } };
    await fit({ ...options, resume, augmentation: spelled });
  });
});
