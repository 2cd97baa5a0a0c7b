// A kernel has one output: parameter and moments are a pass each. Numbers such as 1 - β are made on the host: in
// float32, 1 - 0.999 is off by 1e-5 of itself.

import { type Shape, sizeOf } from "../../../shape.ts";
import { type GpuKernel, input, made, nest, type Pass, type Source } from "../plan.ts";

const mask = (index: number, masked: boolean): Record<string, Source> => (masked ? { mask: input(index) } : {});

/** One element each: `i` stands for it in the expression, and a mask of 0 gives 0. */
function pass(shape: Shape, reads: Pass["reads"], expression: string): Pass {
  const { threads, counters } = nest("update", [sizeOf(shape)]);
  const value = expression.replaceAll("[i]", `[${counters[0]!}]`);
  const held = `mask[${counters[0]!}] === 0 ? 0 : ${value}`;
  return { threads, reads, body: `return ${"mask" in reads ? held : value};` };
}

/** v ← m v + g + λ w; w ← w - η v, or with Nesterov's form w - η (g + λ w + m v). Inputs: w, g, v and a mask. */
export const sgdUpdate: GpuKernel<{ readonly masked: boolean; readonly nesterov: boolean }> = (call) => {
  const { masked, nesterov } = call.attributes;
  const { shape } = call.inputs[0]!;
  const given = { w: input(0), g: input(1), ...mask(3, masked) };
  const slope = "(g[i] + decay * w[i])";
  const ahead = nesterov ? `(${slope} + momentum * v[i])` : "v[i]";
  return {
    passes: [
      pass(shape, { ...given, v: input(2) }, `(momentum * v[i] + ${slope})`),
      pass(shape, { ...given, v: made(0) }, `(w[i] - rate * ${ahead})`),
    ],
    results: [1, 0],
    numbers: { names: ["rate", "momentum", "decay"], of: (scalars) => scalars },
  };
};

/**
 * m ← β₁ m + (1 - β₁) g; v ← β₂ v + (1 - β₂) g²; w ← w - η (m / c₁) / (√(v / c₂) + ε), where λ w is added to g, or
 * η λ w taken off w first if decoupled. Inputs: w, g, m, v and a mask.
 */
export const adamUpdate: GpuKernel<{ readonly masked: boolean; readonly decoupled: boolean }> = (call) => {
  const { masked, decoupled } = call.attributes;
  const { shape } = call.inputs[0]!;
  const given = { w: input(0), g: input(1), ...mask(4, masked) };
  const slope = decoupled ? "g[i]" : "(g[i] + decay * w[i])";
  const start = decoupled ? "(w[i] - shrinkage * w[i])" : "w[i]";
  return {
    passes: [
      pass(shape, { ...given, m: input(2) }, `(beta1 * m[i] + share1 * ${slope})`),
      pass(shape, { ...given, v: input(3) }, `(beta2 * v[i] + share2 * ${slope} * ${slope})`),
      pass(
        shape,
        { w: input(0), m: made(0), v: made(1), ...mask(4, masked) },
        `(${start} - (rate * (m[i] / c1)) / (Math.sqrt(v[i] / c2) + epsilon))`,
      ),
    ],
    results: [2, 0, 1],
    numbers: {
      names: ["rate", "beta1", "share1", "beta2", "share2", "epsilon", "decay", "shrinkage", "c1", "c2"],
      of: (scalars) => {
        const [rate, beta1, beta2, epsilon, decay, c1, c2] = scalars as readonly number[] as [
          number, number, number, number, number, number, number,
        ];
        return [rate, beta1, 1 - beta1, beta2, 1 - beta2, epsilon, decay, rate * decay, c1, c2];
      },
    },
  };
};

/** Inputs: the variable and the tensor that it becomes. */
export const copyInto: GpuKernel<Record<never, never>> = ({ inputs: [, from] }) => ({
  passes: [pass(from!.shape, { from: input(1) }, "from[i]")],
  results: [0],
});
