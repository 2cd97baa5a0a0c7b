import assert from "node:assert/strict";
import { after, suite, test } from "node:test";
import fc from "fast-check";
import { createRuntime, crossEntropy, mean, multiply } from "../../lib/index.ts";
import {
  type Dataset,
  digest,
  evaluate,
  fit,
  type FitOptions,
  type FitProgress,
  type FitResult,
  glyphs,
  initialise,
  type Mask,
  type OptimizerChoice,
  readCheckpoint,
  softmax,
} from "../../models/index.ts";
import { smallData, smallNetwork } from "./small.ts";

const network = smallNetwork();
const train = smallData(40, 1);
const validation = smallData(20, 2);

const masks: readonly Mask[] = initialise(network, 4).map(({ name, values }) => ({
  name,
  values: Uint8Array.from(values, (_, i) => (name.endsWith(".weight") && i % 3 === 1 ? 0 : 1)),
}));

/** What must not depend on when or how often training was stopped. */
function outcome({ weights, trained, history, ...figures }: FitResult): unknown {
  const timeless = history.map((record) => ({ ...record, seconds: 0 }));
  return { ...figures, seconds: 0, weights: digest(weights), trained: digest(trained), history: timeless };
}

/** The result, and the checkpoint after every step. */
async function checkpointed(options: FitOptions): Promise<{ result: FitResult; saved: Map<number, Uint8Array> }> {
  const saved = new Map<number, Uint8Array>();
  const checkpoint = { every: 1, save: (bytes: Uint8Array, step: number) => void saved.set(step, bytes) };
  return { result: await fit({ ...options, checkpoint }), saved };
}

const optimizers: readonly OptimizerChoice[] = [
  { name: "sgd" },
  { name: "sgd", momentum: 0.9, nesterov: true, weightDecay: 0.01 },
  { name: "adam" },
  { name: "adamW", weightDecay: 0.1 },
];

/** SHA-256 of the weights after the short training below: it changes with the order of any sum. */
const recorded = {
  reference: "e168e6ab47b235b0314513010b9d175335934ff6017f6c85dde04f14b0b78a46",
  wasm: "2940028630654576e3909efbec3b55eeac9b007f6c75ebf857d308efaebcbe7e",
} as const;

for (const device of ["reference", "wasm"] as const) {
  suite(`fit on ${device}`, async () => {
    const runtime = await createRuntime({ device });
    after(() => runtime.close());
    /** Ten steps in epochs of four: 40 images in batches of 9 leave 4 over, and the last epoch is half of one. */
    const short: FitOptions = { runtime, network, data: { train, validation }, steps: 10, batchSize: 9, seed: 4 };

    test("learns: the loss falls and unseen images are told apart", async () => {
      const result = await fit({ ...short, steps: undefined, epochs: 30, schedule: { name: "cosine", rate: 0.02 } });
      const [first] = result.history;
      assert.ok(result.loss < 0.5 * first!.loss, `${first!.loss} to ${result.loss}`);
      assert.ok(result.validationAccuracy! >= 0.9, `${result.validationAccuracy} of unseen images`);
      assert.equal(result.steps, 120);
      assert.equal(result.epochs, 30);
      result.history.forEach(({ epoch, step }, i) => assert.deepEqual([epoch, step], [i + 1, 4 * i + 4]));
      assert.equal(result.history.length, 30);
    });

    test("gives back what it measured", async () => {
      const result = await fit(short);
      const { accuracy, loss } = await evaluate({ runtime, network, weights: result.weights, data: validation });
      assert.deepEqual([result.validationAccuracy, result.validationLoss], [accuracy, loss]);
      assert.equal(result.epochs, 2.5);
      assert.deepEqual(result.history.map(({ epoch, step }) => [epoch, step]), [[1, 4], [2, 8], [3, 10]]);
      assert.deepEqual(result.weights.map(({ name }) => name), initialise(network, 4).map(({ name }) => name));
    });

    test("reports loss and accuracy as a naive count of the same steps does", async () => {
      // At a rate so small that nothing moves, training loss and accuracy are those of the starting weights.
      const frozen = smallNetwork("tanh", 1);
      const all = { ...short, network: frozen, batchSize: 40, steps: 3 };
      const reports: FitProgress[] = [];
      const result = await fit({
        ...all,
        schedule: { name: "constant", rate: 1e-30 },
        interval: 0,
        onProgress: (progress) => void reports.push(progress),
      });
      const expected = await evaluate({ runtime, network: frozen, weights: initialise(frozen, 4), data: train });
      assert.deepEqual(reports.map(({ step }) => step), [1, 2, 3]);
      for (const { loss, accuracy, epoch, epochs, steps } of [...reports, { ...reports[0]!, ...result.history[2]! }]) {
        assert.ok(Math.abs(loss - expected.loss) < 1e-5, `loss ${loss}, not ${expected.loss}`);
        assert.ok(Math.abs(accuracy - expected.accuracy) < 1e-6, `accuracy ${accuracy}, not ${expected.accuracy}`);
        assert.ok(epoch >= 1 && epoch <= epochs && steps === 3);
      }
      // Weights of zero say the same of every class: a third of a hit per image, not forty hits.
      const zeros = initialise(frozen, 4).map((tensor) => ({ ...tensor, values: tensor.values.map(() => 0) }));
      const held = zeros.map(({ name, values }) => ({ name, values: new Uint8Array(values.length) }));
      const silent = await fit({ ...all, weights: zeros, masks: held, batchSize: 13, steps: 4 });
      assert.deepEqual(silent.history.map(({ epoch, step }) => [epoch, step]), [[1, 3], [2, 4]]);
      for (const { loss, accuracy } of silent.history) {
        assert.ok(Math.abs(accuracy - 1 / 3) < 1e-6 && Math.abs(loss - Math.log(3)) < 1e-6, `${accuracy}, ${loss}`);
      }
    });

    test("is decided by the seed: not by the clock, not by who listens", async () => {
      const plain = await fit(short);
      let time = 0;
      const watched = await fit({
        ...short,
        interval: 0,
        clock: () => (time += 13),
        onProgress: () => {},
        onEpoch: () => {},
        checkpoint: { every: 3, save: () => {} },
      });
      assert.deepEqual(outcome(watched), outcome(plain));
      assert.ok(watched.seconds > 0);
      assert.notEqual(digest((await fit({ ...short, seed: 5 })).weights), digest(plain.weights));
      assert.equal(digest(plain.weights), recorded[device]);
    });

    test("does not change the weights it starts from", async () => {
      const weights = initialise(network, 4);
      const result = await fit({ ...short, weights });
      assert.equal(digest(weights), digest(initialise(network, 4)));
      assert.equal(digest(result.weights), digest((await fit(short)).weights));
    });

    test("drops in training: another keep, another outcome", async () => {
      const all = await fit({ ...short, network: smallNetwork("tanh", 1) });
      assert.notEqual(digest(all.weights), digest((await fit(short)).weights));
    });

    test("law: stopped after any step and resumed, the outcome is the same to the bit", async () => {
      const arbitrary = fc.record({
        optimizer: fc.constantFrom(...optimizers),
        masked: fc.boolean(),
        averaged: fc.boolean(),
        seed: fc.nat(),
      });
      await fc.assert(
        fc.asyncProperty(arbitrary, async ({ optimizer, masked, averaged, seed }) => {
          const options: FitOptions = {
            ...short,
            optimizer,
            seed,
            schedule: { name: "oneCycle", rate: 0.02 },
            masks: masked ? masks : [],
            ...(averaged ? { average: { decay: 0.8 } } : {}),
          };
          const { result, saved } = await checkpointed(options);
          assert.deepEqual([...saved.keys()], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
          for (const [step, bytes] of saved) {
            const resumed = await checkpointed({ ...options, resume: bytes });
            assert.deepEqual(outcome(resumed.result), outcome(result), `resumed after step ${step}`);
            assert.equal(resumed.saved.size, 10 - step);
          }
        }),
        { numRuns: 8 },
      );
    });

    test("a stop saves a checkpoint and throws its reason; going on gives the same", async () => {
      const whole = await fit(short);
      for (const stopped of [1, 4, 7]) {
        const controller = new AbortController();
        const reason = new Error("stopped by hand");
        let saved: Uint8Array | undefined;
        let at = 0;
        const stopping = fit({
          ...short,
          interval: 0,
          signal: controller.signal,
          onProgress: ({ step }) => step === stopped && controller.abort(reason),
          checkpoint: { every: 1000, save: (bytes, step) => void ([saved, at] = [bytes, step]) },
        });
        await assert.rejects(stopping, reason);
        assert.equal(at, stopped);
        assert.deepEqual(outcome(await fit({ ...short, resume: saved! })), outcome(whole));
      }
      const signal = AbortSignal.abort(new Error("before it began"));
      await assert.rejects(fit({ ...short, signal }), /before it began/);
    });

    test("masks hold weights, moments and averages at zero, and the others are trained", async () => {
      for (const optimizer of optimizers) {
        const { result, saved } = await checkpointed({ ...short, optimizer, masks, average: { decay: 0.5 } });
        for (const { arrays } of [...saved.values()].map(readCheckpoint)) {
          for (const { name, values } of arrays) {
            const mask = masks.find((candidate) => name === candidate.name || name.startsWith(`${candidate.name}.`));
            if (mask === undefined) continue;
            values.forEach((value, i) => assert.ok(mask.values[i] === 1 || value === 0, `${name}[${i}] is ${value}`));
          }
        }
        const begun = initialise(network, 4);
        result.weights.forEach(({ name, values }, t) => {
          const moved = values.filter((value, i) => masks[t]!.values[i] === 1 && value !== begun[t]!.values[i]);
          assert.ok(moved.length > 0, `${name} did not move`);
        });
      }
    });

    test("averages are those of the weights, and are what is given back", async () => {
      const decay = 0.5;
      const { result, saved } = await checkpointed({ ...short, average: { decay } });
      const plain = await checkpointed(short);
      const read = (bytes: Uint8Array | undefined, name: string): Float32Array =>
        readCheckpoint(bytes!).arrays.find((array) => array.name === name)!.values;
      result.weights.forEach(({ name, values }, t) => {
        const average = Float64Array.from(initialise(network, 4)[t]!.values);
        for (let step = 1; step <= 10; step++) {
          const weights = read(plain.saved.get(step), name);
          assert.deepEqual(read(saved.get(step), name), weights, "averaging does not disturb training");
          weights.forEach((weight, i) => (average[i]! += (1 - decay) * (weight - average[i]!)));
        }
        values.forEach((value, i) => assert.ok(Math.abs(value - average[i]!) < 1e-6, `${name}[${i}]`));
      });
    });

    test("takes another loss: soft labels of a teacher, by the place of each image", async () => {
      const targets = Array.from(train.labels, (label) => [0, 1, 2].map((k) => (k === label ? 1 : 0)));
      const steps: number[] = [];
      const softened = await fit({
        ...short,
        loss: {
          name: "soft labels of a test",
          of: ({ logits, indices, trained, parameters, step }) => {
            steps.push(step);
            assert.equal(trained, parameters);
            const rows = Array.from(indices, (index) => targets[index]!).flat();
            return mean(crossEntropy(logits, runtime.tensor(rows, logits.shape)));
          },
        },
      });
      assert.deepEqual(steps, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      // Soft labels that are as hard as the labels teach the same.
      assert.deepEqual(outcome(softened), outcome(await fit(short)));
    });

    test("trains other arrays than the network's by a parametrisation", async () => {
      const weights = initialise(network, 4);
      const halves = weights.map((tensor) => ({
        ...tensor,
        name: `half.${tensor.name}`,
        values: tensor.values.map((x) => x / 2),
      }));
      const asked: (number | undefined)[] = [];
      const doubled: FitOptions = {
        ...short,
        weights: halves,
        parametrisation: {
          name: "doubled",
          parameters: (trained, step) => {
            asked.push(step);
            return trained.map((tensor) => multiply(tensor, 2));
          },
        },
        optimizer: { name: "sgd" },
        schedule: { name: "constant", rate: 0.025 },
      };
      const { result, saved } = await checkpointed(doubled);
      assert.deepEqual(asked.filter((step) => step !== undefined), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      result.weights.forEach(({ name, values }, t) => {
        assert.equal(result.trained[t]!.name, `half.${name}`);
        assert.deepEqual(values, result.trained[t]!.values.map((x) => 2 * x));
      });
      // w = 2u moves by 2 * (rate * 2 * dw): a quarter of the rate on u is the rate on w, to the bit.
      const plain = await fit({ ...short, optimizer: { name: "sgd" }, schedule: { name: "constant", rate: 0.1 } });
      assert.equal(digest(result.weights), digest(plain.weights));
      assert.deepEqual(outcome(await fit({ ...doubled, resume: saved.get(5)! })), outcome(result));
    });

    test("a loss that is not finite ends training with one clear error, and saves nothing", async () => {
      const saved: number[] = [];
      const diverging = fit({
        ...short,
        network: smallNetwork("relu"),
        optimizer: { name: "sgd" },
        schedule: { name: "constant", rate: 1e30 },
        checkpoint: { every: 2, save: (_, step) => void saved.push(step) },
      });
      await assert.rejects(diverging, { name: "RangeError", message: /the loss is (NaN|Infinity) at step \d+ of 10/ });
      assert.deepEqual(saved, []);
    });

    test("refuses a checkpoint of another network, of other data or options", async () => {
      const { saved } = await checkpointed({ ...short, masks });
      const resume = saved.get(5)!;
      const refuses = async (options: Partial<FitOptions>, message: RegExp): Promise<void> => {
        await assert.rejects(fit({ ...short, masks, resume, ...options }), { message });
      };
      await refuses({ network: smallNetwork("relu") }, /another network/);
      await refuses({ data: { train: smallData(40, 3), validation } }, /another training/);
      await refuses({ data: { train } }, /another validation/);
      await refuses({ batchSize: 8 }, /another batch size: it has 9, now it is 8/);
      await refuses({ steps: 11 }, /another steps/);
      await refuses({ seed: 5 }, /another seed/);
      await refuses({ optimizer: { name: "adam", beta1: 0.8 } }, /another optimizer/);
      await refuses({ schedule: { name: "constant", rate: 0.001 } }, /another schedule/);
      await refuses({ masks: [] }, /another masks/);
      await refuses({ augmentation: { copies: 2 } }, /another seed of augmentation: it has nothing, now it is 0/);
      await refuses({ average: { decay: 0.9 } }, /another average: it has null, now it is 0.9/);
      await refuses({ loss: { name: "mine", of: ({ logits }) => mean(logits) } }, /another loss/);
      await refuses({ resume: resume.subarray(0, -1) }, /cut short or damaged/);
      // Said in another way, the options are the same.
      await fit({ ...short, masks, resume, schedule: { rate: 0.001, name: "cosine" } });
    });

    test("a precision that no checkpoint can hold is refused before the first step", async () => {
      const exact = await createRuntime({ device: "reference", precision: "float64" });
      const options = { ...short, runtime: exact, steps: 1 };
      await fit(options);
      const checkpoint = { save: (): never => assert.fail("saved") };
      const onProgress = (): never => assert.fail("trained");
      await assert.rejects(fit({ ...options, checkpoint, onProgress }), { name: "DeviceError" });
    });

    test("refuses bad input before the first step, in one line", async () => {
      const refuses = async (options: Partial<FitOptions>, message: RegExp): Promise<void> => {
        const onProgress = (): never => assert.fail("trained");
        await assert.rejects(fit({ ...short, interval: 0, onProgress, ...options }), (error: Error) => {
          assert.match(error.message, message);
          assert.doesNotMatch(error.message, /\n/);
          return ["ShapeError", "RangeError", "DataError"].includes(error.name);
        });
      };
      const weights = initialise(network, 1);
      const spoiled = weights.map((tensor) => ({ ...tensor, values: tensor.values.slice().fill(Infinity, 2, 3) }));
      const data = (changed: Partial<Dataset>): FitOptions["data"] => ({ train: { ...train, ...changed } });
      await refuses({ data: data({ count: 0, images: new Uint8Array(0), labels: new Uint8Array(0) }) }, /empty/);
      await refuses({ data: data({ labels: train.labels.map(() => 3) }) }, /label.*3/);
      await refuses({ data: data({ images: train.images.subarray(1) }) }, /do not fit/);
      const lying = { ...validation, height: 9, width: 4 };
      await refuses({ data: { train, validation: lying } }, /takes images \[6, 6, 1\], the data has \[9, 4, 1\]/);
      await refuses({ weights: spoiled }, /c1\.weight: value 2 is Infinity/);
      await refuses({ weights: weights.slice(1) }, /has 5 tensors, got weights of 4/);
      await refuses({ network: { ...network, classes: ["a"] } }, /classes/);
      await refuses({ batchSize: 0 }, /batch size must be a whole number from 1/);
      await refuses({ batchSize: 2.5 }, /batch size/);
      await refuses({ steps: 0 }, /steps must be a whole number from 1/);
      await refuses({ steps: undefined }, /either epochs or steps/);
      await refuses({ epochs: 1 }, /either epochs or steps/);
      await refuses({ steps: undefined, epochs: 1.5 }, /epochs must be a whole number/);
      await refuses({ seed: -1 }, /seed must be a whole number/);
      await refuses({ schedule: { name: "constant", rate: 0 } }, /schedule constant: rate must be above 0, got 0/);
      await refuses({ schedule: { name: "step", rate: 1, every: 0 } }, /every must be a whole number/);
      await refuses({ schedule: { name: "oneCycle", rate: 1, warm: 1 } }, /warm must be from 0 to below 1/);
      await refuses({ schedule: { name: "none" as "constant", rate: 1 } }, /no "none"; there are constant, step/);
      await refuses({ optimizer: { name: "sgd", momentum: 1 } }, /momentum must be from 0 to below 1/);
      await refuses({ optimizer: { name: "sgd", nesterov: true } }, /needs a momentum/);
      await refuses({ optimizer: { name: "adam", beta2: NaN } }, /beta2 must be from 0 to below 1, got NaN/);
      await refuses({ optimizer: { name: "lion" as "adam" } }, /there is no "lion"; there are sgd, adam, adamW/);
      await refuses({ average: { decay: 1 } }, /decay of averages/);
      await refuses({ masks: [{ name: "c2.weight", values: new Uint8Array(1) }] }, /no tensor for c2\.weight/);
      await refuses({ masks: [masks[0]!, masks[0]!] }, /two masks for c1\.weight/);
      await refuses({ masks: [{ name: "c1.weight", values: new Uint8Array(3) }] }, /needs 27 values, got 3/);
      await refuses({ masks: [{ name: "c1.weight", values: new Uint8Array(27).fill(2) }] }, /ones and zeros, got 2/);
      await refuses({ checkpoint: { every: 0, save: () => {} } }, /steps between checkpoints/);
      const empty = { name: "empty", parameters: () => [] };
      await refuses({ parametrisation: empty }, /needs weights to start from/);
      await refuses({ parametrisation: empty, weights }, /empty gives/);
    });

    test("a data set smaller than a batch is one batch", async () => {
      const few = { ...short, data: { train: smallData(5) }, batchSize: 64 };
      const result = await fit({ ...few, steps: undefined, epochs: 3 });
      assert.equal(result.steps, 3);
      assert.equal(result.validationAccuracy, null);
      assert.equal(digest(result.weights), digest((await fit({ ...few, steps: 3, batchSize: 5 })).weights));
    });
  });
}

suite("fit, devices and drawn digits", () => {
  test("a checkpoint goes on on another kind of device", async () => {
    const [plain, simd] = await Promise.all([
      createRuntime({ device: "reference" }),
      createRuntime({ device: "wasm", threads: 1 }),
    ]);
    const options = { network, data: { train }, steps: 2, batchSize: 9 };
    const { saved } = await checkpointed({ ...options, runtime: plain });
    const resumed = await fit({ ...options, runtime: simd, resume: saved.get(1)! });
    const whole = await fit({ ...options, runtime: plain });
    assert.equal(resumed.steps, 2);
    resumed.weights.forEach(({ values, name }, t) =>
      values.forEach((value, i) => assert.ok(Math.abs(value - whole.weights[t]!.values[i]!) < 1e-5, `${name}[${i}]`)),
    );
    await simd.close();
  });

  test("softmax regression tells drawn digits apart", async () => {
    const runtime = await createRuntime({ device: "wasm", threads: 1 });
    const data = { train: glyphs({ count: 600, seed: 1 }), validation: glyphs({ count: 200, seed: 1, start: 600 }) };
    const schedule = { name: "cosine", rate: 0.01 } as const;
    const { history, validationAccuracy } = await fit({ runtime, network: softmax, data, epochs: 10, schedule });
    assert.ok(history.at(-1)!.loss < 0.5 * history[0]!.loss, `${history[0]!.loss} to ${history.at(-1)!.loss}`);
    assert.ok(validationAccuracy! > 0.6, `${validationAccuracy}`);
    await runtime.close();
  });
});
