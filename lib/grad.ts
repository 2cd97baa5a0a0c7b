import { DeviceError, ShapeError } from "./errors.ts";
import { add } from "./ops/arithmetic.ts";
import { formatShape, sizeOf } from "./shape.ts";
import { type Tensor, Variable } from "./tensor.ts";

/**
 * Reverse-mode automatic differentiation: the gradients of `loss` (one element) with respect to each of `targets`, of
 * their shapes, found by walking the tape backwards. A target that `loss` does not depend on gets zeros. Gradients are
 * sums: a tensor used twice receives both. The gradients themselves are not recorded: there are no second derivatives.
 */
export function grad(loss: Tensor, targets: readonly Tensor[]): Tensor[] {
  const { runtime } = loss;
  for (const tensor of [loss, ...targets]) runtime.check("grad", tensor);
  if (sizeOf(loss.shape) !== 1) {
    throw new ShapeError(`grad: the loss must have one element, got ${formatShape(loss.shape)}`);
  }
  return runtime.unrecorded(() => {
    const dependent = new Set<Tensor>(targets);
    const gradients = new Map<Tensor, Tensor>([[loss, runtime.one(loss.shape)]]);
    const tape = tapeOf(loss);
    for (const tensor of tape) {
      if (tensor.entry!.inputs.some((input) => dependent.has(input))) dependent.add(tensor);
    }
    for (const tensor of tape.reverse()) {
      const dy = gradients.get(tensor);
      if (dy === undefined) continue;
      const { name, sequence, inputs, gradient } = tensor.entry!;
      const needs = inputs.map((input) => dependent.has(input));
      if (!needs.includes(true)) continue;
      for (const input of inputs) {
        if (input instanceof Variable && input.overwritten > sequence) {
          throw new DeviceError(`grad: variable ${input.name} was overwritten after ${name} had read it`);
        }
      }
      gradient(dy, needs).forEach((part, i) => {
        if (part === null || !needs[i]) return;
        const before = gradients.get(inputs[i]!);
        gradients.set(inputs[i]!, before === undefined ? part : add(before, part));
      });
    }
    return targets.map(
      (target) => gradients.get(target) ?? runtime.tensor(new Float32Array(sizeOf(target.shape)), target.shape),
    );
  });
}

/** Every recorded tensor that `loss` was made from, in the order of making. */
function tapeOf(loss: Tensor): Tensor[] {
  const found = new Set<Tensor>();
  const open = [loss];
  for (let tensor = open.pop(); tensor !== undefined; tensor = open.pop()) {
    if (tensor.entry === null || found.has(tensor)) continue;
    found.add(tensor);
    open.push(...tensor.entry.inputs);
  }
  return [...found].sort((a, b) => a.entry!.sequence - b.entry!.sequence);
}
