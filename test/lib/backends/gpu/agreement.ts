import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { grad, type Runtime, type Tensor } from "../../../../lib/index.ts";
import { type Shape, sizeOf } from "../../../../lib/shape.ts";
import { gridNumber, list } from "../../arbitraries.ts";
import { assertClose, weighted } from "../../laws.ts";
import { exactRuntime, runtimeOf } from "../../runtimes.ts";
import { gpuDevices, skip } from "./modes.ts";

export interface Case {
  readonly tensors: readonly { readonly shape: Shape; readonly values: readonly number[]; readonly int?: boolean }[];
  readonly apply: (...tensors: Tensor[]) => Tensor;
  /** The size of what the result adds up, where it is this case's own. */
  readonly parts?: number;
}

interface Numbers {
  readonly y: ArrayLike<number>;
  readonly gradients: readonly ArrayLike<number>[];
}

export const exact = exactRuntime();

async function numbers(runtime: Runtime, { tensors, apply }: Case, inStep: boolean): Promise<Numbers> {
  const given = tensors.map(({ shape, values, int }) =>
    runtime.tensor(int ? Int32Array.from(values) : Float32Array.from(values), shape),
  );
  const body = (): { y: Tensor; gradients: readonly Tensor[] } => {
    const y = apply(...given);
    return { y, gradients: grad(weighted(y), given.filter(({ type }) => type === "float")) };
  };
  const { y, gradients } = inStep ? runtime.step(body) : body();
  const results = { y: await y.read(), gradients: await Promise.all(gradients.map((gradient) => gradient.read())) };
  for (const [i, tensor] of given.entries()) {
    assert.deepEqual([...(await tensor.read())], [...Float32Array.from(tensors[i]!.values)], "inputs are left alone");
  }
  return results;
}

function largest(values: ArrayLike<number>, parts: number): number {
  return Array.from(values, Math.abs).reduce((a, b) => Math.max(a, b), parts);
}

/**
 * Results and gradients are within 1e-5 of each tensor's largest magnitude of the oracle's, in a step and outside.
 * `parts` is the size of what an operation adds up that may cancel: what float32 loses there does not shrink with the
 * result. A loss of 1e-5, say, is the logarithm of 1 and a little, whose last bit is 6e-8. The gradient of an input
 * that is smaller than the result may be a sum of as many slopes as the result is larger.
 */
export function agrees(name: string, cases: fc.Arbitrary<Case>, runs = 12, parts = 1e-3): void {
  for (const device of gpuDevices) {
    test(`${name} on ${device.name}: agrees with the oracle`, { skip }, async () => {
      const runtime = await runtimeOf(device);
      await fc.assert(
        fc.asyncProperty(cases, fc.boolean(), async (chosen, inStep) => {
          const want = await numbers(exact, chosen, inStep);
          const got = await numbers(runtime, chosen, inStep);
          assertClose(got.y, want.y, 1e-5, "result", largest(want.y, chosen.parts ?? parts));
          got.gradients.forEach((gradient, i) => {
            const added = parts * Math.max(1, want.y.length / gradient.length);
            assertClose(gradient, want.gradients[i]!, 1e-5, `gradient ${i}`, largest(want.gradients[i]!, added));
          });
        }),
        { numRuns: runs },
      );
    });
  }
}

export const filled = (shape: Shape, item: fc.Arbitrary<number> = gridNumber): fc.Arbitrary<Case["tensors"][number]> =>
  fc.noShrink(list(item, sizeOf(shape))).map((values) => ({ shape, values }));
export const ints = (shape: Shape, below: number): fc.Arbitrary<Case["tensors"][number]> =>
  fc.noShrink(list(fc.nat(below - 1), sizeOf(shape))).map((values) => ({ shape, values, int: true }));
