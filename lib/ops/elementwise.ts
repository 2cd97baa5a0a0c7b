import { differentiate, type Expression, input, scalar, substitute } from "../expression.ts";
import { ShapeError } from "../errors.ts";
import type { Runtime } from "../runtime.ts";
import { broadcastShapes, equalShapes, type Shape } from "../shape.ts";
import { type Pending, Tensor } from "../tensor.ts";
import { checkFloats } from "./operation.ts";
import { sumTo } from "./sum.ts";

export type Operand = Tensor | number;

/** Operands of an elementwise operation: `1` takes one, `2` two, and so on. */
type Operands<Count extends 1 | 2 | 3> = Count extends 1
  ? [x: Operand]
  : Count extends 2
    ? [x: Operand, y: Operand]
    : [x: Operand, y: Operand, z: Operand];

/** The slope times `dy` per input, `null` where it is zero everywhere. */
type Slopes = (x: readonly Expression[], y: Expression, dy: Expression) => readonly (Expression | null)[];

/**
 * An elementwise operation from one scalar expression of its inputs. The gradient follows by the chain rule; `slopes`
 * replaces it where another form is cheaper (in terms of the result `y`) or wanted (straight-through).
 *
 * Operands stretch to a common shape, numbers to any. At least one must be a tensor of floats.
 */
export function elementwise<Count extends 1 | 2 | 3>(
  name: string,
  count: Count,
  define: (inputs: readonly Expression[]) => Expression,
  slopes?: Slopes,
): (...operands: Operands<Count>) => Tensor {
  const inputs = Array.from({ length: count }, (_, i) => input(i));
  const expression = define(inputs);
  const result = input(count);
  const dy = input(count + 1);
  // Expressions over inputs 0..count-1, the result (`count`) and its gradient (`count + 1`).
  const gradients = slopes?.(inputs, result, dy) ?? differentiate(expression, count, dy);

  return (...operands) => {
    const tensors = operands.filter((operand) => operand instanceof Tensor);
    if (tensors.length === 0) throw new ShapeError(`${name}: at least one operand must be a tensor`);
    const { runtime } = tensors[0]!;
    for (const tensor of tensors) runtime.check(name, tensor);
    checkFloats(name, tensors);
    const shape = broadcastShapes(name, tensors.map((tensor) => tensor.shape));
    const sequence = runtime.place();
    const output = compute(runtime, expression, operands, shape);
    if (sequence !== null) {
      output.entry = {
        name,
        sequence,
        inputs: tensors,
        gradient: (slope, needs) => {
          const all: Operand[] = [...operands, output, slope];
          let at = 0;
          return operands.flatMap((operand, i) => {
            if (!(operand instanceof Tensor)) return [];
            const gradient = gradients[i];
            if (!needs[at++] || gradient === null || gradient === undefined) return [null];
            return [sumTo(compute(runtime, gradient, all, shape), operand.shape)];
          });
        },
      };
    }
    return output;
  };
}

/** The value of `expression` with its inputs bound to `operands`, deferred. */
function compute(runtime: Runtime, expression: Expression, operands: readonly Operand[], shape: Shape): Tensor {
  const { fusion } = runtime.backend;
  let { pending, taken } = fuse(runtime, expression, operands, shape, true);
  if (pending.inputs.length > fusion.inputs || pending.expression.cost > fusion.cost) {
    ({ pending, taken } = fuse(runtime, expression, operands, shape, false));
  }
  for (const source of taken) source.taken = true;
  return runtime.defer((generation) => new Tensor(runtime, shape, "float", generation, null, pending));
}

/**
 * Binds inputs to operands. A pending operand of the same shape is taken over, expression and all, if `inline` and if
 * nobody took it over before; every other operand is computed and read.
 */
function fuse(
  runtime: Runtime,
  expression: Expression,
  operands: readonly Operand[],
  shape: Shape,
  inline: boolean,
): { pending: Pending; taken: Pending[] } {
  const leaves: Tensor[] = [];
  const taken: Pending[] = [];
  const scalars: number[] = [];
  const leaf = (tensor: Tensor): Expression => {
    let index = leaves.indexOf(tensor);
    if (index < 0) {
      runtime.materialise(tensor);
      index = leaves.push(tensor) - 1;
    }
    return input(index);
  };
  const bound = new Map<Operand, Expression>();
  const bind = (operand: Operand): Expression => {
    if (typeof operand === "number") return scalar(scalars.push(operand) - 1);
    let replacement = bound.get(operand);
    if (replacement === undefined) {
      const { pending } = operand;
      if (pending !== null && inline && !pending.taken && equalShapes(operand.shape, shape)) {
        const first = scalars.length;
        scalars.push(...pending.scalars);
        taken.push(pending);
        replacement = substitute(
          pending.expression,
          (i) => leaf(pending.inputs[i]!),
          (i) => scalar(first + i),
        );
      } else {
        replacement = leaf(operand);
      }
      bound.set(operand, replacement);
    }
    return replacement;
  };
  const replacements: Expression[] = [];
  const fused = substitute(
    expression,
    (i) => (replacements[i] ??= bind(operands[i]!)),
    (i) => scalar(i),
  );
  return { pending: { expression: fused, inputs: leaves, scalars, taken: false }, taken };
}
