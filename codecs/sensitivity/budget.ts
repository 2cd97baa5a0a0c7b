import type { Weights } from "../../lib/weights.ts";
import { ByteWriter } from "../bytes.ts";
import { code } from "../code.ts";
import { codecOf } from "../coded.ts";
import { share as shareValues, type ShareOptions, toValues } from "../codebook.ts";
import { applyMasks, prune } from "../prune.ts";

/** Tensors that have one codebook in common. */
export interface BudgetGroup {
  readonly name: string;
  readonly tensors: readonly string[];
  /** Shares of its weights to try; `[1]` where nothing may be pruned. */
  readonly shares: readonly number[];
  /** Codebooks to try: 2^bits values, and zero beside them. */
  readonly bits: readonly number[];
}

/** One way to treat one group, all others left as they are. */
export interface Probe {
  readonly group: string;
  readonly share: number;
  readonly bits: number;
  /** Of its section, coded. */
  readonly bytes: number;
  /** What `loss` said. */
  readonly loss: number;
}

export interface ProbeOptions {
  /** What is lost with these weights: smaller is better. Called once per probe. */
  readonly loss: (weights: Weights) => number | Promise<number>;
  readonly groups: readonly BudgetGroup[];
  readonly start?: ShareOptions["start"];
  /** Probes of the same weights that are known already: they are not measured again. */
  readonly known?: readonly Probe[] | undefined;
  /** Called after every probe that was measured, with how many there are so far and how many there will be. */
  readonly onProbe?: (probe: Probe, done: number, total: number) => void | Promise<void>;
  /** Stops between two probes by throwing its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Tries every share with every codebook on each group alone: the bytes it takes, and what is lost. */
export async function probe(weights: Weights, options: ProbeOptions): Promise<Probe[]> {
  const { loss, groups, start = "linear", known = [], onProbe, signal } = options;
  const wanted = groups.flatMap(({ name, tensors, shares, bits }) =>
    shares.flatMap((share) => bits.map((count) => ({ group: name, tensors, share, bits: count }))),
  );
  const probes: Probe[] = [];
  for (const { group, tensors, share, bits } of wanted) {
    signal?.throwIfAborted();
    let found = known.find((old) => old.group === group && old.share === share && old.bits === bits);
    if (found === undefined) {
      const treated = treat(weights, tensors, share, 2 ** bits, start);
      found = { group, share, bits, bytes: treated.bytes, loss: await loss(treated.weights) };
      probes.push(found);
      await onProbe?.(found, probes.length, wanted.length);
    } else {
      probes.push(found);
    }
  }
  return probes;
}

/**
 * One probe for each group, so that together they take at most `bytes` and lose least, where what groups lose adds up.
 * Exact for budgets up to 65,536 bytes; above, bytes are rounded up to so many steps. Undefined where even the smallest
 * do not fit.
 */
export function chooseWithin(probes: readonly Probe[], bytes: number): Probe[] | undefined {
  if (!(bytes >= 0)) throw new RangeError(`budget: bytes must be 0 or more, got ${bytes}`);
  const step = Math.max(1, Math.ceil(bytes / 65536));
  const most = Math.floor(bytes / step);
  // Of each budget so far: the least that is lost, and by which choice. As in a knapsack with one item of each kind.
  let best = new Float64Array(most + 1);
  const choices: { probes: Probe[]; taken: Int32Array }[] = [];
  for (const name of new Set(probes.map(({ group }) => group))) {
    const own = probes.filter(({ group }) => group === name);
    const next = new Float64Array(most + 1).fill(Infinity);
    const taken = new Int32Array(most + 1).fill(-1);
    own.forEach((candidate, number) => {
      // A network that is ruined says so with NaN or Infinity, and is never the least.
      const lost = Number.isFinite(candidate.loss) ? candidate.loss : Number.MAX_VALUE / 1e6;
      const cost = Math.ceil(candidate.bytes / step);
      for (let budget = cost; budget <= most; budget++) {
        const sum = best[budget - cost]! + lost;
        if (sum < next[budget]!) {
          next[budget] = sum;
          taken[budget] = number;
        }
      }
    });
    best = next;
    choices.push({ probes: own, taken });
  }
  if (best[most] === Infinity) return undefined;
  const chosen: Probe[] = [];
  let left = most;
  for (const { probes: own, taken } of choices.reverse()) {
    const found = own[taken[left]!]!;
    chosen.push(found);
    left -= Math.ceil(found.bytes / step);
  }
  return chosen.reverse();
}

/** Prunes a group's tensors to a share, lets them have few values in common, and codes them. */
function treat(
  weights: Weights,
  names: readonly string[],
  share: number,
  size: number,
  start: ShareOptions["start"],
): { weights: Weights; bytes: number } {
  const rules = Object.fromEntries(names.map((name) => [name, { share }]));
  const pruned = share === 1 ? weights : applyMasks(weights, prune(weights, rules));
  const tensors = pruned.filter(({ name }) => names.includes(name));
  const values = new Float32Array(tensors.reduce((sum, tensor) => sum + tensor.values.length, 0));
  let at = 0;
  for (const tensor of tensors) {
    values.set(tensor.values, at);
    at += tensor.values.length;
  }
  const distinct = new Set(values.filter((value) => value !== 0)).size;
  const book = shareValues(values, { size: Math.max(1, Math.min(size, distinct)), start });
  const coded = code(book);
  const to = new ByteWriter();
  codecOf(coded.method, tensors).write(coded, to);
  const shared = toValues(book);
  at = 0;
  const parts = new Map(
    tensors.map((tensor) => {
      at += tensor.values.length;
      return [tensor.name, shared.subarray(at - tensor.values.length, at)] as const;
    }),
  );
  return {
    weights: pruned.map((tensor) => {
      const values = parts.get(tensor.name);
      return values === undefined ? tensor : { ...tensor, values };
    }),
    bytes: to.length,
  };
}
