import type { Product } from "../../../ops/matmul.ts";
import { address, type GpuKernel, input, nest } from "../plan.ts";

/** `act(op(A) · op(B) + bias)`: one thread per element, one sum along the inner axis. */
export const matmul: GpuKernel<Product> = ({ inputs: [a, b, bias], attributes }) => {
  const { transposeA, transposeB, activation } = attributes;
  const [m, k] = transposeA ? [a!.shape[1]!, a!.shape[0]!] : [a!.shape[0]!, a!.shape[1]!];
  const n = b!.shape[transposeB ? 0 : 1]!;
  const { threads, counters } = nest("matmul", [m, n]);
  const [i, j] = counters as readonly [string, string];
  const left = address([i, "p"], transposeA ? [1, m] : [k, 1]);
  const right = address([j, "p"], transposeB ? [k, 1] : [1, n]);
  const body = [
    `let sum = ${bias === undefined ? "0" : `bias[${j}]`};`,
    `for (let p = 0; p < ${k}; p++) { sum += a[${left}] * b[${right}]; }`,
    `return ${activation === "relu" ? "sum < 0 ? 0 : sum" : "sum"};`,
  ].join("\n");
  const reads = { a: input(0), b: input(1), ...(bias === undefined ? {} : { bias: input(2) }) };
  return { passes: [{ threads, reads, body }], results: [0] };
};
