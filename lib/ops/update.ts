import { ShapeError } from "../errors.ts";
import type { TensorSpec } from "../backends/backend.ts";
import { equalShapes, formatShape } from "../shape.ts";
import { checkFloats, type Operation } from "./operation.ts";
import * as gpu from "../backends/gpu/kernels/update.ts";
import * as wasm from "../wasm/update.ts";

/** Whether a last input, a mask of ones and zeros, holds parameter, gradient and moments at zero where it is 0. */
interface Masked {
  readonly masked: boolean;
}

function alike(name: string, inputs: readonly TensorSpec[]): [] {
  const [parameter, ...others] = inputs;
  for (const { shape } of others) {
    if (!equalShapes(shape, parameter!.shape)) {
      const found = formatShape(shape);
      throw new ShapeError(`${name}: the parameter is ${formatShape(parameter!.shape)}, got ${found} beside it`);
    }
  }
  return [];
}

function alikeFloats(name: string, inputs: readonly TensorSpec[]): [] {
  checkFloats(name, inputs);
  return alike(name, inputs);
}

/**
 * Stochastic gradient descent with momentum m, weight decay λ and rate η:
 *   g ← g + λ w;  v ← m v + g;  w ← w - η v, or with Nesterov's form  w ← w - η (g + m v).
 * Inputs: w, g, v and a mask. Scalars: η, m, λ.
 */
export const sgdUpdate: Operation<Masked & { readonly nesterov: boolean }> = {
  name: "sgdUpdate",
  outputs: (inputs) => alikeFloats("sgdUpdate", inputs),
  gradient: null,
  overwrites: [0, 2],
  reference: ({ attributes: { nesterov }, scalars }, [w, gradient, v, mask]) => {
    const [rate, momentum, decay] = scalars as readonly [number, number, number];
    for (let i = 0; i < w!.length; i++) {
      if (mask !== undefined && mask[i] === 0) {
        w![i] = 0;
        v![i] = 0;
        continue;
      }
      const g = gradient![i]! + decay * w![i]!;
      v![i] = momentum * v![i]! + g;
      w![i]! -= rate * (nesterov ? g + momentum * v![i]! : v![i]!);
    }
  },
  wasm: wasm.sgdUpdate,
  gpu: gpu.sgdUpdate,
};

/**
 * Adam (Kingma & Ba 2015, arXiv 1412.6980) with rate η, decays β₁ and β₂, weight decay λ:
 *   g ← g + λ w;  m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²;  w ← w - η (m / c₁) / (√(v / c₂) + ε)
 * with c = 1 - βᵗ. Decoupled (AdamW, arXiv 1711.05101): g stays and w ← w - η λ w goes first.
 * Inputs: w, g, m, v and a mask. Scalars: η, β₁, β₂, ε, λ, c₁, c₂.
 */
export const adamUpdate: Operation<Masked & { readonly decoupled: boolean }> = {
  name: "adamUpdate",
  outputs: (inputs) => alikeFloats("adamUpdate", inputs),
  gradient: null,
  overwrites: [0, 2, 3],
  reference: ({ attributes: { decoupled }, scalars }, [w, gradient, m, v, mask]) => {
    const [rate, beta1, beta2, epsilon, decay, c1, c2] = scalars as readonly number[] as [
      number, number, number, number, number, number, number,
    ];
    for (let i = 0; i < w!.length; i++) {
      if (mask !== undefined && mask[i] === 0) {
        w![i] = 0;
        m![i] = 0;
        v![i] = 0;
        continue;
      }
      const g = decoupled ? gradient![i]! : gradient![i]! + decay * w![i]!;
      const start = decoupled ? w![i]! - rate * decay * w![i]! : w![i]!;
      m![i] = beta1 * m![i]! + (1 - beta1) * g;
      v![i] = beta2 * v![i]! + (1 - beta2) * g * g;
      w![i] = start - (rate * (m![i]! / c1)) / (Math.sqrt(v![i]! / c2) + epsilon);
    }
  },
  wasm: wasm.adamUpdate,
  gpu: gpu.adamUpdate,
};

/** Overwrites a variable with a tensor of its shape and type. Inputs: the variable, the tensor. */
export const copyInto: Operation<Record<never, never>> = {
  name: "assign",
  outputs: (inputs) => {
    const [to, from] = inputs;
    if (to!.type !== from!.type) throw new ShapeError(`assign: the variable holds ${to!.type}s, got ${from!.type}s`);
    return alike("assign", inputs);
  },
  gradient: null,
  overwrites: [0],
  reference: (_, [to, from]) => to!.set(from!),
  wasm: wasm.copyInto,
  gpu: gpu.copyInto,
};
