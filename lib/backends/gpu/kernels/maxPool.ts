import { type Shape, sizeOf, stridesOf } from "../../../shape.ts";
import { address, checkAddresses, type GpuKernel, input, nest, type Pass, type Source } from "../plan.ts";

interface Window {
  readonly size: number;
  readonly stride: number;
}

/**
 * The largest of every window, and its place there, row by row: the first of equals, and NaN before any number. A
 * kernel has one output: the second pass looks for the same again, and `saved` says what of `best` and `place`.
 */
export function poolPasses(
  name: string,
  image: Shape,
  pooled: Shape,
  { size, stride }: Window,
  x: Source,
  saved = "place",
): [value: Pass, place: Pass] {
  const strides = stridesOf(image) as [number, number, number, number];
  const [n, row, column, channel] = strides;
  checkAddresses(name, sizeOf(image));
  const { threads, counters } = nest(name, pooled);
  const first = address(counters, [n, row * stride, column * stride, channel]);
  const find = [
    `const first = ${first};`,
    "let best = x[first];",
    "let place = 0;",
    `for (let i = 0; i < ${size}; i++) {`,
    `for (let j = 0; j < ${size}; j++) {`,
    `const value = x[${address(["first", "i", "j"], [1, row, column])}];`,
    "if (value > best || (value !== value && best === best)) {",
    `best = value; place = ${address(["i", "j"], [size, 1])};`,
    "}",
    "}",
    "}",
  ].join("\n");
  const pass = (result: string): Pass => ({ threads, reads: { x }, body: `${find}\nreturn ${result};` });
  return [pass("best"), pass(saved)];
}

export const pool: GpuKernel<Window> = ({ inputs: [x], outputs: [y], attributes }) => ({
  passes: poolPasses("maxPool2d", x!.shape, y!.shape, attributes, input(0)),
  results: [0, 1],
});

/** Each pixel asks every window that it lies in whether it was the largest there. */
export const unpool: GpuKernel<Window & { readonly shape: Shape }> = ({ inputs: [dy], attributes }) => {
  const { size, stride, shape } = attributes;
  const [, rows, columns] = dy!.shape as [number, number, number, number];
  const strides = stridesOf(dy!.shape);
  checkAddresses("maxPool2dGradient", sizeOf(dy!.shape));
  const { threads, counters } = nest("maxPool2dGradient", shape);
  const [n, y, x, c] = counters as [string, string, string, string];
  // Half further, so that a division that is not exact does not fall below a whole number.
  const along = (at: string, offset: string, name: string): string[] =>
    stride === 1
      ? [`const ${name} = ${at} - ${offset};`]
      : [`const ${name} = Math.floor((${at} - ${offset} + 0.5) / ${stride});`];
  const meets = (at: string, offset: string, name: string, count: number): string =>
    [
      `${name} >= 0 && ${name} < ${count}`,
      ...(stride === 1 ? [] : [`${name} * ${stride} === ${at} - ${offset}`]),
    ].join(" && ");
  const from = address([n, "row", "column", c], strides);
  const body = [
    "let sum = 0;",
    `for (let i = 0; i < ${size}; i++) {`,
    ...along(y, "i", "row"),
    `if (${meets(y, "i", "row", rows)}) {`,
    `for (let j = 0; j < ${size}; j++) {`,
    ...along(x, "j", "column"),
    `if (${meets(x, "j", "column", columns)}) {`,
    `if (places[${from}] === ${address(["i", "j"], [size, 1])}) { sum += dy[${from}]; }`,
    "}",
    "}",
    "}",
    "}",
    "return sum;",
  ].join("\n");
  return { passes: [{ threads, reads: { dy: input(0), places: input(1) }, body }], results: [0] };
};
