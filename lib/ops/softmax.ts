import { exp as exactExp, log as exactLog } from "../math.ts";
import { ShapeError } from "../errors.ts";
import { equalShapes, formatShape, type Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { exp, multiply, negate, subtract } from "./arithmetic.ts";
import { reshape } from "./layout.ts";
import { checkFloats, type Operation } from "./operation.ts";
import { sum } from "./sum.ts";
import * as gpu from "../backends/gpu/kernels/softmax.ts";
import * as wasm from "../wasm/softmax.ts";

type None = Record<never, never>;
const last = { axes: [-1], keep: true } as const;

type Visit = (row: number, size: number, total: number) => void;

/** Calls `visit` with the offset of every row along the last axis and ln Σ exp of that row. */
function visitRows(from: ArrayLike<number>, shape: Shape, visit: Visit): void {
  const size = shape[shape.length - 1]!;
  for (let row = 0; row < from.length; row += size) {
    let top = -Infinity;
    for (let j = 0; j < size; j++) top = Math.max(top, from[row + j]!);
    let sum = 0;
    for (let j = 0; j < size; j++) sum += exactExp(from[row + j]! - top);
    visit(row, size, top + exactLog(sum));
  }
}

function sameShape(name: string): Operation<None>["outputs"] {
  return ([x]) => {
    checkFloats(name, [x!]);
    if (x!.shape.length === 0) throw new ShapeError(`${name}: needs an axis of classes, got []`);
    return [{ shape: x!.shape, type: "float" }];
  };
}

const softmaxRows: Operation<None> = {
  name: "softmax",
  outputs: sameShape("softmax"),
  // dx = y ⊙ (dy - Σ dy ⊙ y)
  gradient: ({ outputs: [y], dy }) => [multiply(y!, subtract(dy, sum(multiply(dy, y!), last)))],
  reference: ({ inputs: [x] }, [from], [to]) =>
    visitRows(from!, x!.shape, (row, size, total) => {
      for (let j = row; j < row + size; j++) to![j] = exactExp(from![j]! - total);
    }),
  wasm: wasm.softmaxRows,
  gpu: gpu.softmaxRows,
};

const logSoftmaxRows: Operation<None> = {
  name: "logSoftmax",
  outputs: sameShape("logSoftmax"),
  // dx = dy - exp(y) Σ dy
  gradient: ({ outputs: [y], dy }) => [subtract(dy, multiply(exp(y!), sum(dy, last)))],
  reference: ({ inputs: [x] }, [from], [to]) =>
    visitRows(from!, x!.shape, (row, size, total) => {
      for (let j = row; j < row + size; j++) to![j] = from![j]! - total;
    }),
  wasm: wasm.logSoftmaxRows,
  gpu: gpu.logSoftmaxRows,
};

/** `exp(x) / Σ exp(x)` along the last axis. */
export function softmax(x: Tensor): Tensor {
  return x.runtime.run(softmaxRows, [x], { attributes: {} })[0]!;
}

/** `x - ln Σ exp(x)` along the last axis. */
export function logSoftmax(x: Tensor): Tensor {
  return x.runtime.run(logSoftmaxRows, [x], { attributes: {} })[0]!;
}

/**
 * Losses [n] of logits [n, c] and labels: ints [n], or a distribution over classes [n, c]. Saves the probabilities.
 */
export const crossEntropyRows: Operation<None> = {
  name: "crossEntropy",
  outputs: ([logits, labels]) => {
    checkFloats("crossEntropy", [logits!]);
    const { shape } = logits!;
    if (shape.length !== 2 || !equalShapes(labels!.shape, labels!.type === "int" ? shape.slice(0, 1) : shape)) {
      throw new ShapeError(
        `crossEntropy: needs logits [n, c] and labels, ints [n] or floats [n, c]; ` +
          `got ${formatShape(shape)} and ${labels!.type}s ${formatShape(labels!.shape)}`,
      );
    }
    return [
      { shape: shape.slice(0, 1), type: "float" },
      { shape, type: "float" },
    ];
  },
  // With respect to soft labels it is ln Σ exp(x) - x; hard ones have none.
  gradient: ({ inputs: [logits, labels], outputs: [, probabilities], dy, needs }) => [
    needs[0] ? dy.runtime.run(crossEntropyGradient, [probabilities!, labels!, dy], { attributes: {} })[0]! : null,
    needs[1] && labels!.type === "float"
      ? multiply(reshape(dy, [...dy.shape, 1]), negate(logSoftmax(logits!)))
      : null,
  ],
  // loss = Σ t (ln Σ exp(x) - x), where a hard label is t = 1 at its class.
  reference: ({ inputs: [logits, target] }, [from, labels], [to, probabilities]) => {
    visitRows(from!, logits!.shape, (row, size, total) => {
      const i = row / size;
      for (let j = 0; j < size; j++) probabilities![row + j] = exactExp(from![row + j]! - total);
      if (target!.type === "int") {
        to![i] = total - from![row + checkLabel(labels![i]!, size)]!;
        return;
      }
      let loss = 0;
      for (let j = 0; j < size; j++) loss += labels![row + j]! * (total - from![row + j]!);
      to![i] = loss;
    });
  },
  wasm: wasm.crossEntropyRows,
  gpu: gpu.crossEntropyRows,
};

function checkLabel(label: number, classes: number): number {
  if (label >= 0 && label < classes) return label;
  throw new RangeError(`crossEntropy: label ${label} is outside 0 to ${classes - 1}`);
}

/** dx = (p Σt - t) ⊙ dy. Inputs: probabilities p [n, c], labels t, dy [n]. */
export const crossEntropyGradient: Operation<None> = {
  name: "crossEntropyGradient",
  outputs: ([probabilities]) => [{ shape: probabilities!.shape, type: "float" }],
  gradient: null,
  reference: ({ inputs: [spec, target] }, [probabilities, labels, dy], [to]) => {
    const [n, size] = spec!.shape as readonly [number, number];
    for (let i = 0; i < n; i++) {
      let total = 0;
      for (let j = 0; j < size; j++) {
        const t = target!.type === "int" ? Number(labels![i] === j) : labels![i * size + j]!;
        to![i * size + j] = t;
        total += t;
      }
      for (let j = i * size; j < (i + 1) * size; j++) to![j] = (probabilities![j]! * total - to![j]!) * dy![i]!;
    }
  },
  wasm: wasm.crossEntropyGradient,
  gpu: gpu.crossEntropyGradient,
};

/**
 * The cross entropy of each row of `logits`, [n, c] to [n], in nats. Labels are ints [n] from 0 to c - 1 (a
 * `RangeError` otherwise), or soft: floats [n, c], a weight per class.
 */
export function crossEntropy(logits: Tensor, labels: Tensor): Tensor {
  return logits.runtime.run(crossEntropyRows, [logits, labels], { attributes: {} })[0]!;
}
