import { normalTable } from "../../../random.ts";
import { type GpuKernel, input, type IntegerFunction, nest } from "../plan.ts";
import { keys, leading, threefry, wordsOf } from "./draws.ts";

/**
 * A thread per row. Its elements, start + row * count + i, have up to 33 bits: `half` and `odd` are those of start, and
 * a counter is half an element.
 */
export const quadraticOfNormals: GpuKernel<{ readonly rows: number }> = ({ inputs: [a], attributes: { rows } }) => {
  const count = a!.shape[0]!;
  const { threads, counters } = nest("quadraticOfNormals", [rows]);
  const rest = `(odd + row * ${count % 2} + i)`;
  const counter = `half + row * ${Math.floor(count / 2)} + (${rest} >> 1)`;
  const drawn: IntegerFunction = {
    name: "drawn",
    parameters: ["row", "i", "half", "odd", "c0", ...keys],
    result: `round0(c0 + k0 | 0, ${counter} + k1 | 0, ${keys.join(", ")}, ${rest} & 1)`,
  };
  const body = [
    "let sum = 0;",
    `for (let i = 0; i < ${count}; i++) {`,
    `const z = quantiles[leading(drawn(${counters[0]!}, i, half, odd, c0, k0, k1, k2))];`,
    "sum += z * (a[i] * z + b[i]);",
    "}",
    "return sum;",
  ].join("\n");
  const reads = { a: input(0), b: input(1), quantiles: { table: normalTable } };
  const helpers = [...threefry, drawn, leading(12)];
  return { passes: [{ threads, reads, helpers, body }], results: [0], words: wordsOf("half", "odd") };
};
