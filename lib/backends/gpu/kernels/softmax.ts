import { type Shape, sizeOf } from "../../../shape.ts";
import { address, checkAddresses, type GpuKernel, type GpuPlan, input, made, nest, type Pass } from "../plan.ts";

type None = Record<never, never>;

/** Rows along the last axis. */
function rows(shape: Shape): { count: number; size: number } {
  const size = shape[shape.length - 1]!;
  return { count: sizeOf(shape) / size, size };
}

/** A pass with one thread per row. */
function perRow(shape: Shape, reads: Pass["reads"], body: (row: string) => string): Pass {
  const { threads, counters } = nest("softmax", [rows(shape).count]);
  return { threads, reads, body: body(counters[0]!) };
}

/** A pass with one thread per element. */
function perElement(shape: Shape, reads: Pass["reads"], expression: (x: string, row: string) => string): Pass {
  const { count, size } = rows(shape);
  const { threads, counters } = nest("softmax", [count, size]);
  return { threads, reads, body: `return ${expression(`x[${address(counters, [size, 1])}]`, counters[0]!)};` };
}

/** The largest of each row, then Σ exp(x - largest): neither overflows, nor loses what large numbers differ by. */
function totals(shape: Shape): readonly [Pass, Pass] {
  const { size } = rows(shape);
  return [
    perRow(shape, { x: input(0) }, (row) =>
      [
        `let top = x[${address([row], [size])}];`,
        `for (let j = 1; j < ${size}; j++) { top = Math.max(top, x[${address([row, "j"], [size, 1])}]); }`,
        "return top;",
      ].join("\n"),
    ),
    perRow(shape, { x: input(0), top: made(0) }, (row) =>
      [
        "let sum = 0;",
        `for (let j = 0; j < ${size}; j++) { sum += Math.exp(x[${address([row, "j"], [size, 1])}] - top[${row}]); }`,
        "return sum;",
      ].join("\n"),
    ),
  ];
}

const both = { x: input(0), top: made(0), sum: made(1) };

function probabilities(shape: Shape): Pass {
  return perElement(shape, both, (x, row) => `Math.exp(${x} - top[${row}]) / sum[${row}]`);
}

export const softmaxRows: GpuKernel<None> = ({ inputs: [x] }) => ({
  passes: [...totals(x!.shape), probabilities(x!.shape)],
  results: [2],
});

export const logSoftmaxRows: GpuKernel<None> = ({ inputs: [x] }) => ({
  passes: [
    ...totals(x!.shape),
    perElement(x!.shape, both, (element, row) => `${element} - top[${row}] - Math.log(sum[${row}])`),
  ],
  results: [2],
});

/** Inputs: logits [n, c] and labels. A hard label's loss is ln Σ exp(x - top) + top - x[label]. */
export const crossEntropyRows: GpuKernel<None> = ({ inputs: [logits, labels] }): GpuPlan => {
  const { shape } = logits!;
  const { size } = rows(shape);
  checkAddresses("crossEntropy", sizeOf(shape));
  const reads = { ...both, labels: input(1) };
  const hard = (row: string): string => {
    const chosen = address([row, `labels[${row}]`], [size, 1]);
    return `return Math.log(sum[${row}]) + (top[${row}] - x[${chosen}]);`;
  };
  const soft = (row: string): string => {
    const at = address([row, "j"], [size, 1]);
    return [
      "let loss = 0;",
      `const total = Math.log(sum[${row}]);`,
      `for (let j = 0; j < ${size}; j++) { loss += labels[${at}] * (total + (top[${row}] - x[${at}])); }`,
      "return loss;",
    ].join("\n");
  };
  const isHard = labels!.type === "int";
  const refuse = (label: number): Error =>
    new RangeError(`crossEntropy: label ${label} is outside 0 to ${size - 1}`);
  return {
    passes: [...totals(shape), probabilities(shape), perRow(shape, reads, isHard ? hard : soft)],
    results: [3, 2],
    ...(isHard ? { indices: { input: 1, below: size, refuse } } : {}),
  };
};

/** dx = (p Σt - t) ⊙ dy. Inputs: probabilities p [n, c], labels t, dy [n]. */
export const crossEntropyGradient: GpuKernel<None> = ({ inputs: [p, labels] }) => {
  const { count, size } = rows(p!.shape);
  const { threads, counters } = nest("crossEntropyGradient", [count, size]);
  const [row, j] = counters as readonly [string, string];
  const at = address([row, j], [size, 1]);
  const hard = `return (p[${at}] - (labels[${row}] === ${j} ? 1 : 0)) * dy[${row}];`;
  const soft = [
    "let total = 0;",
    `for (let i = 0; i < ${size}; i++) { total += labels[${address([row, "i"], [size, 1])}]; }`,
    `return (p[${at}] * total - labels[${at}]) * dy[${row}];`,
  ].join("\n");
  const reads = { p: input(0), labels: input(1), dy: input(2) };
  return { passes: [{ threads, reads, body: labels!.type === "int" ? hard : soft }], results: [0] };
};
