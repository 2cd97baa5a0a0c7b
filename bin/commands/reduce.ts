import { type Command, Option } from "commander";
import {
  type CsvNeuron,
  type Neuron,
  readNeurons,
  readVectors,
  reduceByFit,
  reduceByMultiples,
  type Reduced,
  reduceGreedily,
  reduceToSubset,
} from "../../codecs/index.ts";
import { UsageError } from "../errors.ts";
import { about, readBytes } from "../node/about.ts";
import { type CommonOptions, positive, real, whole, withExample, withJson } from "../options.ts";
import { reportTo } from "../report.ts";
import { table } from "../table.ts";

interface ReduceOptions extends CommonOptions {
  readonly method?: "greedy" | "multiples" | "subset" | "fit";
  readonly edges?: number;
  readonly samples?: string;
  readonly grid?: number;
  readonly tolerance: number;
}

/** `kilonet reduce`: fewer edges for single neurons, at given inputs. */
export function register(program: Command): void {
  const method = new Option("--method <name>", "how edges are chosen (default: greedy; with --samples fit)");
  const command = program
    .command("reduce")
    .argument("<weights.csv>", "a neuron per row, a cell <input>x<weight> per edge: 1x3,3x3,2x0.3")
    .description("keep a neuron's output at given inputs with fewer edges and new weights; other inputs are not asked")
    .addOption(method.choices(["greedy", "multiples", "subset", "fit"]))
    .option("--edges <count>", "how many edges may stay", whole(1))
    .option("--samples <file>", "a CSV of more inputs, one activation vector per row: least squares over all")
    .option("--grid <step>", "what amounts are whole multiples of, for multiples and subset", positive)
    .option(
      "--tolerance <part>",
      "what is nothing, as a part of the largest input times weight",
      real("from 0 to below 0.5", (value) => value >= 0 && value < 0.5),
      1e-9,
    )
    .addHelpText("after", methods);
  const many = "kilonet reduce weights.csv --samples activations.csv --edges 10 --json";
  withExample(withJson(command), "kilonet reduce weights.csv", many);
  command.action(async (path: string, options: ReduceOptions) => {
    const { samples, edges, method = samples === undefined ? "greedy" : "fit" } = options;
    if (samples !== undefined && method !== "fit") {
      throw new UsageError(`reduce: ${method} is for one activation vector, with --samples the method is fit`);
    }
    if (method === "fit" && edges === undefined) throw new UsageError("reduce: fit needs to be told how many --edges");
    if (options.grid !== undefined && method !== "multiples" && method !== "subset") {
      throw new UsageError(`reduce: --grid is for multiples and subset, not for ${method}`);
    }
    const report = reportTo(options);
    const neurons = await textOf(path, readNeurons);
    const vectors = samples === undefined ? [] : await textOf(samples, readVectors);
    const results = neurons.map((row, i) =>
      about(`${path}: neuron ${i + 1}`, () => {
        const neuron = neuronOf(row, vectors);
        return { neuron, reduced: reduceWith(method, neuron, options) };
      }),
    );
    const found = await Promise.all(results);
    report.result(
      {
        method,
        neurons: found.map(({ neuron: { weights, inputs }, reduced }) => ({
          edgesBefore: weights.length,
          // Counted from 1, as the cells of the file.
          edges: reduced.edges.map(({ input, weight }) => ({
            cell: input + 1,
            ...(inputs.length === 1 ? { input: inputs[0]![input]! } : {}),
            weight,
          })),
          outputs: reduced.outputs,
          difference: reduced.difference,
        })),
      },
      found.map(({ neuron, reduced }, i) => describe(i + 1, neuron, reduced)).join("\n\n"),
    );
  });
}

const methods = `
Methods:
  greedy     as published: the largest input that divides the output, else whole multiples from the largest down
  multiples  the fewest edges with new whole weights (dynamic programming)
  subset     the fewest edges with the weights they have (0-1 knapsack)
  fit        new weights of at most --edges edges, by least squares over all activation vectors`;

function reduceWith(method: NonNullable<ReduceOptions["method"]>, neuron: Neuron, options: ReduceOptions): Reduced {
  const { edges = Infinity, tolerance, grid } = options;
  switch (method) {
    case "greedy":
      return reduceGreedily(neuron, { edges, tolerance });
    case "multiples":
      return reduceByMultiples(neuron, { edges, tolerance, grid });
    case "subset":
      return reduceToSubset(neuron, { edges, tolerance, grid });
    case "fit":
      return reduceByFit(neuron, { edges, tolerance });
  }
}

/** The inputs of the cells, where they are given, are one more activation vector. */
function neuronOf({ weights, inputs }: CsvNeuron, vectors: readonly (readonly number[])[]): Neuron {
  const all = [...(inputs === undefined ? [] : [inputs]), ...vectors];
  if (all.length === 0) throw new RangeError("reduce: cells without inputs need --samples, or write <input>x<weight>");
  return { weights, inputs: all };
}

function describe(number: number, { weights, inputs }: Neuron, { edges, outputs, difference }: Reduced): string {
  const newWeights = new Map(edges.map(({ input, weight }) => [input, weight]));
  const one = inputs.length === 1;
  const rows = weights.map((weight, i) => {
    const now = newWeights.get(i);
    return [`${i + 1}`, ...(one ? [`${inputs[0]![i]}`] : []), `${weight}`, now === undefined ? "" : shown(now)];
  });
  const what = one ? `output ${shown(outputs[0]!)}` : `${outputs.length} activation vectors`;
  return [
    `neuron ${number}: ${what}, ${edges.length} of ${weights.length} edges stay, off by at most ${shown(difference)}`,
    table(["edge", ...(one ? ["input"] : []), "weight", "new weight"], rows),
  ].join("\n");
}

/** Without the last digits, which are float64's. */
function shown(value: number): string {
  return String(Number(value.toPrecision(10)));
}

async function textOf<T>(path: string, read: (text: string) => T): Promise<T> {
  const bytes = await readBytes(path);
  return about(path, () => read(new TextDecoder().decode(bytes)));
}
