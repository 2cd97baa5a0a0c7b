import { sizeOf } from "../../../shape.ts";
import { checkAddresses, type GpuKernel, input, made, nest, type Pass, type Source } from "../plan.ts";

/** Tables that one kernel reads beside indices, values and what kernels before it found. */
const tablesAtOnce = 4;

/**
 * Inputs: indices, values of the 256 bytes, and tables. Each kernel looks into a few of them, and hands on what an
 * earlier one found. All numbers stay below 2^24, so that floats are exact: whole quotients are found by multiplying
 * with powers of two.
 */
export const gatherPacked: GpuKernel<{ readonly bytes: number }> = ({ inputs, attributes: { bytes } }) => {
  const [indices, , ...tables] = inputs;
  const { threads, counters } = nest("gatherBytes", [sizeOf(indices!.shape), bytes]);
  const [i, j] = counters as readonly [string, string];
  const width = Math.ceil(bytes / 3);
  const passes: Pass[] = [];
  let first = 0;
  for (let at = 0; at < tables.length; at += tablesAtOnce) {
    const own = tables.slice(at, at + tablesAtOnce);
    const looks = own.map(({ shape }, k) => {
      const rows = shape[0]!;
      checkAddresses("gatherBytes", rows * width);
      const start = first;
      first += rows;
      const inside = `index >= ${start} && index < ${start + rows}`;
      // Half a thread further: a division that is not exact does not fall below a whole number.
      return `if (${inside}) { packed = t${k}[(index - ${start}) * ${width} + Math.floor((${j} + 0.5) / 3)]; }`;
    });
    const before: Record<string, Source> = at === 0 ? {} : { before: made(passes.length - 1) };
    const body = [
      `const index = indices[${i}];`,
      "let packed = -1;",
      ...looks,
      `let value = ${at === 0 ? "0" : `before[${i} * ${bytes} + ${j}]`};`,
      "if (packed >= 0) {",
      `const place = ${j} - 3 * Math.floor((${j} + 0.5) / 3);`,
      "const second = Math.floor(packed * 0.00390625);",
      "const third = Math.floor(second * 0.00390625);",
      "let byte = packed - 256 * second;",
      "if (place > 0.5) { byte = second - 256 * third; }",
      "if (place > 1.5) { byte = third; }",
      "value = values[byte];",
      "}",
      "return value;",
    ].join("\n");
    const reads = {
      indices: input(0),
      values: input(1),
      ...before,
      ...Object.fromEntries(own.map((_, k) => [`t${k}`, input(2 + at + k)])),
    };
    passes.push({ threads, reads, body });
  }
  const refuse = (index: number): Error => new RangeError(`gatherBytes: index ${index} is outside 0 to ${first - 1}`);
  return { passes, results: [passes.length - 1], indices: { input: 0, below: first, refuse } };
};
