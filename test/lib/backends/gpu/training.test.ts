import assert from "node:assert/strict";
import { test } from "node:test";
import { lenet300, lenet5 } from "../../../../lib/architectures.ts";
import { createRuntime, grad, mean, crossEntropy, type Runtime } from "../../../../lib/index.ts";
import { fit, glyphs, initialise, type OptimizerChoice } from "../../../../models/index.ts";
import { batchesOf } from "../../../../models/batches.ts";
import { forward } from "../../../../models/forward.ts";
import { Learner } from "../../../../models/learner.ts";
import { hits } from "../../../../models/loss.ts";
import { exactRuntime, runtimeOf } from "../../runtimes.ts";
import { gpuDevices, skip } from "./modes.ts";

const data = glyphs({ count: 40, seed: 5 });
const networks = [
  { title: "LeNet-300-100", network: lenet300, size: 8 },
  // The oracle's convolutions are slow.
  { title: "LeNet-5", network: lenet5, size: 2 },
] as const;
const cpu = { device: "wasm", threads: 1 } as const;
type Chosen = (typeof networks)[number];
const batchesFor = ({ network, size }: Chosen): ReturnType<typeof batchesOf> =>
  batchesOf(data, network.input, { size, seed: 1 });

/** The largest difference of two arrays, as a share of the largest magnitude of `want`. */
function distance(got: ArrayLike<number>, want: ArrayLike<number>): number {
  let difference = 0;
  let magnitude = 0;
  for (let i = 0; i < want.length; i++) {
    difference = Math.max(difference, Math.abs(got[i]! - want[i]!));
    magnitude = Math.max(magnitude, Math.abs(want[i]!));
  }
  assert.ok(magnitude > 0, "something to compare");
  return difference / magnitude;
}

function learnerOn(
  runtime: Runtime,
  chosen: Chosen,
  optimizer: OptimizerChoice,
): { learner: Learner; step: (number: number) => void } {
  const { network, size } = chosen;
  const batches = batchesFor(chosen);
  const learner = new Learner({ runtime, start: initialise(network, 3), optimizer });
  const identity = runtime.tensor(Float32Array.from({ length: 100 }, (_, i) => (i % 11 === 0 ? 1 : 0)), [10, 10]);
  const step = (number: number): void =>
    learner.step(0.01, (variables) => {
      const { images, labels } = batches.at(number);
      const given = runtime.tensor(labels);
      const logits = forward(network, variables, runtime.tensor(images, [size, 28, 28, 1]));
      return { loss: mean(crossEntropy(logits, given)), hits: hits(logits, given, identity) };
    });
  return { learner, step };
}

for (const device of gpuDevices) {
  for (const chosen of networks) {
    test(`${chosen.title} on ${device.name}: gradients are within 1e-5 of the exact ones`, { skip }, async (t) => {
      const { network, size } = chosen;
      const weights = initialise(network, 3);
      const { images, labels } = batchesFor(chosen).at(0);
      const slopes = async (runtime: Runtime): Promise<ArrayLike<number>[]> => {
        const parameters = weights.map(({ values, shape, name }) => runtime.variable(values, shape, name));
        const gradients = runtime.step(() => {
          const logits = forward(network, parameters, runtime.tensor(images, [size, 28, 28, 1]));
          return grad(mean(crossEntropy(logits, runtime.tensor(labels))), parameters);
        });
        return Promise.all(gradients.map((gradient) => gradient.read()));
      };
      const want = await slopes(exactRuntime());
      const apart = (await slopes(await runtimeOf(device))).map((own, i) => distance(own, want[i]!));
      assert.ok(Math.max(...apart) < 1e-5, `gradients differ by ${apart.join()}`);
      t.diagnostic(`largest difference ${Math.max(...apart).toExponential(1)}`);
    });

    test(`${chosen.title} on ${device.name}: every step goes where the CPU's goes`, { skip }, async () => {
      // Adam divides by the size of a gradient: where that is next to nothing, rounding decides over the weight's sign.
      // Its moments are compared, and the weights of plain momentum.
      for (const optimizer of [{ name: "sgd", momentum: 0.9 }, { name: "adam" }] as const) {
        const own = learnerOn(await runtimeOf(device), chosen, optimizer);
        const host = learnerOn(await createRuntime(cpu), chosen, optimizer);
        for (let number = 0; number < 2; number++) {
          await host.learner.restore(number, await own.learner.save());
          own.step(number);
          host.step(number);
          const want = await host.learner.save();
          (await own.learner.save()).forEach(({ name, values }, i) => {
            if (optimizer.name === "adam" && i < own.learner.variables.length) return;
            // Hits are whole numbers, and may be none.
            const exactly = name === "total.hits";
            const apart = exactly ? Math.abs(values[0]! - want[i]!.values[0]!) : distance(values, want[i]!.values);
            assert.ok(apart < 1e-5, `step ${number} of ${optimizer.name}: ${name} differs by ${apart}`);
          });
        }
      }
    });
  }

  test(`fit of LeNet-300-100 on ${device.name}: the loss falls`, { skip }, async () => {
    const runtime = await runtimeOf(device);
    const { history } = await fit({
      runtime,
      network: lenet300,
      data: { train: data, validation: data },
      epochs: 3,
      batchSize: 8,
      schedule: { name: "constant", rate: 0.002 },
    });
    const losses = history.map(({ validationLoss }) => validationLoss!);
    const [first, second, third] = losses as [number, number, number];
    assert.ok(first < 2.3 && second < 0.8 * first && third < 0.8 * second, `losses ${losses.join()}`);
  });
}
