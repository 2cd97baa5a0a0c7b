import type { Reduction } from "../../../ops/sum.ts";
import { broadcastLoops, type Loops, type Shape, sizeOf, stridesOf } from "../../../shape.ts";
import { address, checkAddresses, type GpuKernel, input, made, nest, type Pass, type Source } from "../plan.ts";

/** The longest sum that one thread adds up alone. Longer ones are cut in parts, which are added up in turn. */
const longest = 1024;

/** The merged loops over `shape`, with the stride 0 for those along `axes` in `strides[0]`. */
function reduction(shape: Shape, axes: readonly number[]): Loops {
  return broadcastLoops(shape, [shape.map((size, axis) => (axes.includes(axis) ? 1 : size)), shape]);
}

/**
 * Sums over axes: one after the other, the innermost first, with x seen as [outer, size, inner]. `before` passes of the
 * plan come first; the last one given makes the result.
 */
export function sumPasses(shape: Shape, axes: readonly number[], x: Source, before: number): Pass[] {
  const { sizes: loops, strides } = reduction(shape, axes);
  const sizes = [...loops];
  const reduced = loops.map((size, loop) => strides[0]![loop] === 0 && size > 1);
  const passes: Pass[] = [];
  const add = (nested: readonly number[], body: (counters: readonly string[]) => string): void => {
    const { threads, counters } = nest("sum", nested);
    const from = passes.length === 0 ? x : made(before + passes.length - 1);
    passes.push({ threads, reads: { x: from }, body: body(counters) });
  };
  for (let loop = sizes.length - 1; loop >= 0; loop--) {
    if (!reduced[loop]) continue;
    const outer = sizeOf(sizes.slice(0, loop));
    const inner = sizeOf(sizes.slice(loop + 1));
    while (sizes[loop]! > longest) {
      const size = sizes[loop]!;
      const part = Math.ceil(Math.sqrt(size));
      const parts = Math.ceil(size / part);
      add([outer, parts, inner], ([i, j, k]) => {
        const term = `sum += x[${address([i!, j!, "p", k!], [size * inner, part * inner, inner, 1])}];`;
        const inside = `if (${address([j!, "p"], [part, 1])} < ${size}) { ${term} }`;
        const loopBody = parts * part === size ? term : inside;
        return `let sum = 0;\nfor (let p = 0; p < ${part}; p++) { ${loopBody} }\nreturn sum;`;
      });
      sizes[loop] = parts;
    }
    const size = sizes[loop]!;
    add([outer, inner], ([i, k]) => {
      const term = `sum += x[${address([i!, "p", k!], [size * inner, inner, 1])}];`;
      return `let sum = 0;\nfor (let p = 0; p < ${size}; p++) { ${term} }\nreturn sum;`;
    });
    sizes[loop] = 1;
  }
  if (passes.length === 0) add([sizeOf(sizes)], ([i]) => `return x[${i!}];`);
  return passes;
}

export const sumAxes: GpuKernel<Reduction> = ({ inputs: [x], attributes: { axes } }) => {
  const passes = sumPasses(x!.shape, axes, input(0), 0);
  return { passes, results: [passes.length - 1] };
};

/** First where the largest is, then what it is. The first of equals wins, and the first NaN beats everything. */
export const maxAxes: GpuKernel<Reduction> = ({ inputs: [x], attributes: { axes } }) => {
  const { sizes, strides } = reduction(x!.shape, axes);
  const own = stridesOf(sizes);
  checkAddresses("max", sizeOf(sizes));
  const isReduced = (loop: number): boolean => strides[0]![loop] === 0;
  const { threads, counters } = nest("max", sizes.map((size, loop) => (isReduced(loop) ? 1 : size)));
  const at = address(sizes.map((_, loop) => (isReduced(loop) ? `p${loop}` : counters[loop]!)), own);
  const loops = sizes.flatMap((size, loop) =>
    isReduced(loop) ? [`for (let p${loop} = 0; p${loop} < ${size}; p${loop}++) {`] : [],
  );
  const first = address(counters, own);
  const body = [
    `let best = x[${first}];`,
    `let at = ${first};`,
    ...loops,
    `const value = x[${at}];`,
    `if (value > best || (value !== value && best === best)) { best = value; at = ${at}; }`,
    "}".repeat(loops.length),
    "return at;",
  ].join("\n");
  const length = threads.reduce((product, size) => product * size, 1);
  const found = nest("max", [length]);
  const look = `return x[at[${found.counters[0]!}]];`;
  const where: Pass = { threads, reads: { x: input(0) }, body };
  const what: Pass = { threads: found.threads, reads: { x: input(0), at: made(0) }, body: look };
  return { passes: [where, what], results: [1, 0] };
};
