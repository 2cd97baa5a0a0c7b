import { sizeOf } from "../../../shape.ts";
import { address, checkAddresses, type GpuKernel, type GpuPlan, input, nest } from "../plan.ts";

function indices(name: string, at: number, below: number): NonNullable<GpuPlan["indices"]> {
  return {
    input: at,
    below,
    refuse: (index) => new RangeError(`${name}: index ${index} is outside 0 to ${below - 1}`),
  };
}

/** Inputs: table [size, ...row] and indices. */
export const gatherRows: GpuKernel<Record<never, never>> = ({ inputs: [table, places] }) => {
  const size = table!.shape[0]!;
  const row = sizeOf(table!.shape) / size;
  checkAddresses("gather", sizeOf(table!.shape));
  const { threads, counters } = nest("gather", [sizeOf(places!.shape), row]);
  const [i, j] = counters as readonly [string, string];
  return {
    passes: [
      {
        threads,
        reads: { table: input(0), indices: input(1) },
        body: `return table[${address([`indices[${i}]`, j], [row, 1])}];`,
      },
    ],
    results: [0],
    indices: indices("gather", 1, size),
  };
};

/** Each element looks for its row among all indices: threads cannot add to a common place. */
export const scatterRows: GpuKernel<{ readonly size: number }> = ({ inputs: [, places], outputs: [to] }) => {
  const size = to!.shape[0]!;
  const row = sizeOf(to!.shape) / size;
  const { threads, counters } = nest("scatterAdd", [size, row]);
  const [own, j] = counters as readonly [string, string];
  const term = `sum += updates[${address(["i", j], [row, 1])}];`;
  const body = [
    "let sum = 0;",
    `for (let i = 0; i < ${sizeOf(places!.shape)}; i++) { if (indices[i] === ${own}) { ${term} } }`,
    "return sum;",
  ].join("\n");
  return {
    passes: [{ threads, reads: { updates: input(0), indices: input(1) }, body }],
    results: [0],
    indices: indices("scatterAdd", 1, size),
  };
};
