import { type Shape, stridesOf } from "../../../shape.ts";
import { address, type GpuKernel, input, made, nest, type Pass, type Source } from "../plan.ts";

/** The text of an address some elements further. */
const further = (at: string, by: number): string => (by === 0 ? at : at === "0" ? String(by) : `${at} + ${by}`);

/** `to[i]` is the input axis that becomes output axis `i`. */
export const permuteAxes: GpuKernel<{ readonly order: readonly number[] }> = (call) => {
  const strides = stridesOf(call.inputs[0]!.shape);
  const { threads, counters } = nest("transpose", call.outputs[0]!.shape);
  const at = address(counters, call.attributes.order.map((axis) => strides[axis]!));
  return { passes: [{ threads, reads: { x: input(0) }, body: `return x[${at}];` }], results: [0] };
};

export const sliceBlock: GpuKernel<{ readonly start: readonly number[]; readonly shape: Shape }> = (call) => {
  const { start, shape } = call.attributes;
  const strides = stridesOf(call.inputs[0]!.shape);
  const first = start.reduce((offset, at, axis) => offset + at * strides[axis]!, 0);
  const { threads, counters } = nest("slice", shape);
  const body = `return x[${further(address(counters, strides), first)}];`;
  return { passes: [{ threads, reads: { x: input(0) }, body }], results: [0] };
};

/** Elements outside `x` are 0; a choice by `?:` would look there all the same. */
export const padZeros: GpuKernel<{ readonly before: readonly number[] }> = (call) => {
  const { before } = call.attributes;
  const { shape } = call.inputs[0]!;
  const strides = stridesOf(shape);
  const { threads, counters } = nest("pad", call.outputs[0]!.shape);
  const first = before.reduce((offset, count, axis) => offset + count * strides[axis]!, 0);
  const inside = shape.flatMap((size, axis) => {
    const counter = counters[axis]!;
    return [
      ...(before[axis]! > 0 ? [`${counter} >= ${before[axis]!}`] : []),
      ...(call.outputs[0]!.shape[axis]! > before[axis]! + size ? [`${counter} < ${before[axis]! + size}`] : []),
    ];
  });
  const look = `value = x[${further(address(counters, strides), -first)}];`;
  const chosen = inside.length === 0 ? look : `if (${inside.join(" && ")}) { ${look} }`;
  const body = ["let value = 0;", chosen, "return value;"].join("\n");
  return { passes: [{ threads, reads: { x: input(0) }, body }], results: [0] };
};

/** As many at a time as a kernel reads; what they make is the first of the next ones. */
export const joinAlong: GpuKernel<{ readonly axis: number }> = ({ inputs, outputs: [y], attributes: { axis } }) => {
  const passes: Pass[] = [];
  const waiting: { from: Source; length: number }[] = inputs.map(({ shape }, i) => ({
    from: input(i),
    length: shape[axis]!,
  }));
  do {
    const parts = waiting.splice(0, 7);
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const { threads, counters } = nest("concat", y!.shape.map((size, i) => (i === axis ? length : size)));
    let end = 0;
    const choices = parts.map((part, k) => {
      const strides = stridesOf(y!.shape.map((size, i) => (i === axis ? part.length : size)));
      const at = further(address(counters, strides), -end * strides[axis]!);
      const condition = `${counters[axis]!} >= ${end} && ${counters[axis]!} < ${end + part.length}`;
      end += part.length;
      return `if (${condition}) { value = x${k}[${at}]; }`;
    });
    const reads = Object.fromEntries(parts.map(({ from }, k) => [`x${k}`, from]));
    passes.push({ threads, reads, body: ["let value = 0;", ...choices, "return value;"].join("\n") });
    if (waiting.length > 0) waiting.unshift({ from: made(passes.length - 1), length });
  } while (waiting.length > 0);
  return { passes, results: [passes.length - 1] };
};
