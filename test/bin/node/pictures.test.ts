import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { lossOnPictures, type PicturesOptions } from "../../../bin/node/pictures.ts";
import { createRuntime, divide, type Tensor } from "../../../lib/index.ts";
import { batchesOf, hardLabels, initialise, type Loss, type Outcome } from "../../../models/index.ts";
import { smallData, smallNetwork } from "../../models/small.ts";

const network = smallNetwork("tanh", 1);
const training = smallData(40);
const runtime = await createRuntime({ device: "reference" });
const start = initialise(network, 3);
const parameters = (): Tensor[] => start.map(({ values, shape }) => runtime.tensor(values, shape));

function optionsOf(change: Partial<PicturesOptions> = {}): PicturesOptions {
  return { runtime, network, training, batch: 12, seed: 5, copies: 0, original: 0.5, loss: hardLabels, ...change };
}

/** The cross entropy of labels, and every picture that it was asked for, in this order. */
function listening(): { loss: Loss; heard: Outcome[] } {
  const heard: Outcome[] = [];
  const of = (outcome: Outcome): Tensor => {
    heard.push({ ...outcome, indices: outcome.indices.slice() });
    return hardLabels.of(outcome);
  };
  return { loss: { name: "listening", of }, heard };
}

const read = async (body: () => Tensor): Promise<number> => (await runtime.step(body).read())[0]!;

test("pictures: those of a step are the batch of its number, whichever steps came before", async () => {
  const steps = fc.array(fc.nat({ max: 30 }), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 0, max: 2 }), async (numbers, copies) => {
      const { loss, heard } = listening();
      const lossOf = lossOnPictures(optionsOf({ copies, loss }));
      const augmentation = copies === 0 ? undefined : { seed: 5, copies, original: 0.5 };
      const batches = batchesOf(training, network.input, { size: 12, seed: 5, augmentation });
      for (const [i, step] of numbers.entries()) {
        await read(() => lossOf(parameters(), { step }));
        assert.deepEqual(heard[i]!.indices, batches.at(step).indices);
        assert.equal(heard[i]!.step, step);
      }
    }),
    { numRuns: 20 },
  );
});

test("pictures: the samples of a step share its batch, and their mean is the loss of the whole", async () => {
  const samples = fc.constantFrom(1, 2, 3, 4, 6, 12);
  await fc.assert(
    fc.asyncProperty(samples, fc.nat({ max: 20 }), async (samples, step) => {
      const { loss, heard } = listening();
      const lossOf = lossOnPictures(optionsOf({ samples, loss }));
      const whole = await read(() => lossOf(parameters(), { step }));
      let sum = 0;
      for (let sample = 0; sample < samples; sample++) {
        sum += await read(() => divide(lossOf(parameters(), { step, sample, samples }), samples));
      }
      assert.ok(Math.abs(sum - whole) < 1e-5, `${sum} and ${whole}`);
      const [all, ...parts] = heard.map(({ indices }) => [...indices]);
      assert.deepEqual(parts.flat(), all);
    }),
    { numRuns: 20 },
  );
});

test("pictures: what does not go together is a RangeError before the first step", () => {
  const wrong: [Partial<PicturesOptions>, RegExp][] = [
    [{ samples: 5 }, /a batch of 12 images cannot be shared by 5 samples/],
    [{ batch: 100, samples: 3 }, /a batch of 40 images cannot be shared by 3 samples/],
    [{ loss: { ...hardLabels, pictures: 39 } }, /the loss knows 39 pictures, training has 40/],
    [{ loss: { ...hardLabels, pictures: 40 }, copies: 2 }, /the loss knows 40 pictures, training has 120/],
  ];
  for (const [change, message] of wrong) {
    assert.throws(() => lossOnPictures(optionsOf(change)), (error: Error) => {
      assert.ok(error instanceof RangeError);
      assert.match(error.message, message);
      return true;
    });
  }
  const lossOf = lossOnPictures(optionsOf());
  assert.throws(() => runtime.step(() => lossOf(parameters(), { step: 0, samples: 5 })), RangeError);
});
