import { gramSchmidt, dot } from "../lump/gramSchmidt.ts";
import { checkCount, checkMost, onlyInputs, outputsOf, reducedTo } from "./neuron.ts";
import type { Edge, Neuron, Reduced } from "./neuron.ts";

export interface ReduceOptions {
  /** The most edges that may stay. Default: any number. */
  readonly edges?: number;
  /** What counts as nothing left over, as a part of the largest |x_i w_i|. Default: 1e-9. */
  readonly tolerance?: number;
}

/**
 * Fewer edges for one activation vector, the greedy way of the published program (Model-Compression, `reduce.py`). With
 * y the output: if an input divides y, the largest such is the only edge, (x, y / x). Otherwise the largest input x
 * takes the largest whole multiple m that leaves something, m x < y, and the others share y - m x in the same way.
 * Where the program is silent or fails, here: signs are put aside (|x|, |y|) and given to the weights in the end; y = 0
 * needs no edge; inputs of 0 are not used; a multiple of 0 makes no edge; of equal inputs the first is taken, and only
 * that one. The weights themselves matter only for y. Throws RangeError when inputs run out while something is left, or
 * more than `edges` are needed: another choice may still exist, which `reduceByMultiples` finds.
 */
export function reduceGreedily(neuron: Neuron, { edges = Infinity, tolerance = 1e-9 }: ReduceOptions = {}): Reduced {
  const most = checkMost(edges);
  const { outputs, slack } = outputsOf(neuron, tolerance);
  const [y] = outputs as [number];
  const found: Edge[] = [];
  const inputs = onlyInputs("the greedy choice", neuron);
  let open = largestFirst(inputs);
  let left = size(y);
  const take = (input: number, multiple: number): void => {
    found.push({ input, weight: Math.sign(y) * Math.sign(inputs[input]!) * multiple });
  };
  while (left > slack) {
    const divisor = open.find((i) => {
      const multiple = Math.round(left / size(inputs[i]!));
      return multiple > 0 && Math.abs(left - multiple * size(inputs[i]!)) <= slack;
    });
    if (divisor !== undefined) {
      take(divisor, Math.round(left / size(inputs[divisor]!)));
      break;
    }
    const [largest, ...others] = open;
    if (largest === undefined) {
      throw new RangeError(`reduce: ${left} of ${size(y)} is left over, and no input to take it`);
    }
    const multiple = Math.floor(left / size(inputs[largest]!));
    if (multiple > 0) take(largest, multiple);
    left -= multiple * size(inputs[largest]!);
    open = others;
  }
  checkCount(found, most);
  return reducedTo(neuron, outputs, found);
}

const size = Math.abs;

/** The inputs that are not zero. Sorting is stable, so that of equal ones the first stays first. */
function largestFirst(inputs: readonly number[]): number[] {
  return [...inputs.keys()].filter((i) => inputs[i] !== 0).sort((a, b) => size(inputs[b]!) - size(inputs[a]!));
}

export interface ExactOptions extends ReduceOptions {
  /** All amounts are whole multiples of it. Default: the largest of 1, 0.1, ... 0.000001 for which they are. */
  readonly grid?: number;
}

/** The most sums that dynamic programming keeps account of, and the most entries of its table. */
const mostSums = 2 ** 24;
const mostEntries = 2 ** 27;

/**
 * The fewest edges with new whole weights, all pulling towards the output, for one activation vector: the problem that
 * the greedy way attempts, solved by dynamic programming over the sums on a grid. The inputs and the output must lie on
 * the grid. Throws RangeError when they do not, when there is no such choice or it needs more than `edges`, and when
 * the sums are too many.
 */
export function reduceByMultiples(neuron: Neuron, options: ExactOptions = {}): Reduced {
  const most = checkMost(options.edges ?? Infinity);
  const { outputs, slack } = outputsOf(neuron, options.tolerance ?? 1e-9);
  const [y] = outputs as [number];
  const inputs = onlyInputs("the choice of multiples", neuron);
  if (size(y) <= slack) return reducedTo(neuron, outputs, []);
  const used = largestFirst(inputs);
  const amounts = onGrid([...used.map((i) => size(inputs[i]!)), size(y)], slack, options);
  const target = amounts.pop()!;
  const found = fewest(amounts, target, true).map(([place, multiple]) => ({
    input: used[place]!,
    weight: Math.sign(y) * Math.sign(inputs[used[place]!]!) * multiple,
  }));
  checkCount(found, most);
  return reducedTo(neuron, outputs, found);
}

/**
 * The fewest of the edges, weights as they are, whose parts x_i w_i add up to the output for one activation vector: the
 * 0-1 knapsack, solved by dynamic programming over the sums on a grid. There always is a choice, all edges. Throws
 * RangeError when the parts do not lie on the grid, more than `edges` are needed, or the sums are too many.
 */
export function reduceToSubset(neuron: Neuron, options: ExactOptions = {}): Reduced {
  const most = checkMost(options.edges ?? Infinity);
  const { outputs, slack } = outputsOf(neuron, options.tolerance ?? 1e-9);
  const inputs = onlyInputs("the choice of a subset", neuron);
  const used = [...inputs.keys()].filter((i) => inputs[i]! * neuron.weights[i]! !== 0);
  const parts = used.map((i) => inputs[i]! * neuron.weights[i]!);
  const amounts = onGrid(parts, slack, options);
  const target = amounts.reduce((sum, amount) => sum + amount, 0);
  // An edge of a negative part is taken when the one turned round is left out: so all amounts are positive, and the
  // edges to count are those taken of the positive and those left out of the negative.
  const below = amounts.reduce((sum, amount) => sum + Math.min(amount, 0), 0);
  const costs = amounts.map((amount) => (amount < 0 ? -1 : 1));
  const turned = new Set(fewest(amounts.map(size), target - below, false, costs).map(([place]) => place));
  const found = used
    .filter((_, place) => turned.has(place) === amounts[place]! > 0)
    .map((input) => ({ input, weight: neuron.weights[input]! }));
  checkCount(found, most);
  return reducedTo(neuron, outputs, found);
}

/** Amounts as whole numbers of grid steps. */
function onGrid(
  amounts: readonly number[],
  slack: number,
  { grid, tolerance = 1e-9 }: ExactOptions,
): number[] {
  const grids = grid === undefined ? [1, 0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6] : [grid];
  for (const step of grids) {
    if (!(step > 0 && Number.isFinite(step))) throw new RangeError(`reduce: the grid must be above 0, got ${step}`);
    const whole = amounts.map((amount) => Math.round(amount / step));
    const fits = (steps: number, i: number): boolean => {
      const allowed = Math.max(slack, tolerance * size(amounts[i]!));
      return size(steps * step - amounts[i]!) <= allowed && (steps !== 0 || amounts[i] === 0);
    };
    if (whole.every(fits)) return whole;
  }
  throw new RangeError(`reduce: the amounts are no whole multiples of ${grids.at(-1)}; give the grid they lie on`);
}

/**
 * Multiples of positive amounts that add up to the target, of least cost: an amount costs the same whatever its
 * multiple (which is 1 at most unless `repeated`). Returns pairs of place and multiple.
 *
 *     best(i, s) = min( best(i - 1, s),  taken(i, s) )
 *     taken(i, s) = cost_i + best(i - 1, s - a_i),  or, repeated, no more than taken(i, s - a_i)
 */
function fewest(
  amounts: readonly number[],
  target: number,
  repeated: boolean,
  costs: readonly number[] = amounts.map(() => 1),
): [place: number, multiple: number][] {
  if (target >= mostSums || target * amounts.length >= mostEntries) {
    throw new RangeError(`reduce: ${target} steps of the grid for ${amounts.length} inputs are too many to try`);
  }
  let best = new Int32Array(target + 1).fill(impossible);
  best[0] = 0;
  const choices: Uint8Array[] = [];
  for (const [i, amount] of amounts.entries()) {
    const next = best.slice();
    const taken = new Int32Array(target + 1).fill(impossible);
    // 2 if this input is in the best choice for the sum; and 1 if, taken, it is once more than for the sum below.
    const choice = new Uint8Array(target + 1);
    for (let sum = amount; sum <= target; sum++) {
      const once = best[sum - amount]! + costs[i]!;
      const more = repeated ? taken[sum - amount]! : impossible;
      taken[sum] = Math.min(once, more, impossible);
      if (taken[sum]! < next[sum]!) next[sum] = taken[sum]!;
      choice[sum] = (best[sum]! > taken[sum]! ? 2 : 0) + (more < once ? 1 : 0);
    }
    best = next;
    choices.push(choice);
  }
  if (best[target]! >= impossible - amounts.length) {
    throw new RangeError("reduce: no whole multiples of the inputs add up to the output");
  }
  const found: [number, number][] = [];
  for (let i = amounts.length - 1, sum = target; i >= 0; i--) {
    if ((choices[i]![sum]! & 2) === 0) continue;
    let multiple = 1;
    while ((choices[i]![sum]! & 1) === 1) {
      sum -= amounts[i]!;
      multiple += 1;
    }
    sum -= amounts[i]!;
    found.unshift([i, multiple]);
  }
  return found;
}

const impossible = 2 ** 30;

/**
 * At most `edges` edges with new weights, whose outputs are nearest to the old ones over all activation vectors (least
 * squares). Edges are chosen one at a time, each the one that leaves least (orthogonal least squares: Chen, Billings
 * and Luo, 1989), and all weights fitted to the last choice. Ends early when nothing is left. One vector needs one
 * edge; the best choice of more than one edge is not promised: finding it is hard.
 */
export function reduceByFit(neuron: Neuron, options: Required<Pick<ReduceOptions, "edges">> & ReduceOptions): Reduced {
  const most = checkMost(options.edges);
  const { outputs, slack } = outputsOf(neuron, options.tolerance ?? 1e-9);
  const count = neuron.weights.length;
  const columns = neuron.weights.map((_, i) => Float64Array.from(neuron.inputs, (row) => row[i]!));
  const basis = gramSchmidt([...columns, Float64Array.from(outputs)]);
  const open = new Set(columns.keys());
  while (basis.chosen.length < most && basis.residuals[count]!.some((value) => size(value) > slack)) {
    let chosen = -1;
    let gain = 0;
    for (const i of open) {
      const part = dot(basis.residuals[i]!, basis.residuals[count]!);
      const explained = basis.squares[i] === 0 ? 0 : (part * part) / basis.squares[i]!;
      if (explained > gain) [chosen, gain] = [i, explained];
    }
    if (chosen < 0) break;
    open.delete(chosen);
    basis.choose(chosen);
  }
  const edges = [...basis.solve(count)].map((weight, i) => ({ input: basis.chosen[i]!, weight }));
  return reducedTo(neuron, outputs, edges);
}
