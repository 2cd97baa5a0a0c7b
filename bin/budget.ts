import { type BudgetGroup, chooseWithin, clearDead, type Probe, probe, type Section } from "../codecs/index.ts";
import type { Weights } from "../lib/index.ts";
import { type ChainOptions, groupsOf, type Pruned, pruneAndRetrain, shareAndTune, tuningRate } from "./chain.ts";
import { grouped } from "./table.ts";

/** How far a search and the chain after it got. What each step adds is enough to go on from. */
export interface BudgetState {
  /** What the search found so far. */
  readonly probes: readonly Probe[];
  /** Of each tensor, once the search is over. */
  readonly shares: Readonly<Record<string, number>> | null;
  /** Weights after the last round of pruning; none before the first. */
  readonly pruned: Pruned | null;
}

export const noBudgetState: BudgetState = { probes: [], shares: null, pruned: null };

export interface CompressWithinOptions extends ChainOptions {
  /** Of the whole file, at most. */
  readonly bytes: number;
  /** Bytes of the whole file with these sections. */
  readonly sizeOf: (sections: readonly Section[]) => number;
  /** What is lost with these weights, on images that training may see. */
  readonly lossOf: (weights: Weights) => Promise<number>;
  readonly rounds: number;
  readonly epochs: number;
  readonly tuning: number;
  readonly rate: number;
  readonly state?: BudgetState;
  /** Called after each step that is worth keeping. */
  readonly save?: (state: BudgetState) => Promise<void>;
  readonly onProbe?: (label: string, probe: Probe, done: number, total: number) => void;
  /** Called when shares, and then bits, have been chosen. */
  readonly onChoice?: (choice: readonly Probe[]) => void;
}

/** Shares to try, each about three quarters of the one before. */
const shares = [1, 0.75, 0.55, 0.4, 0.3, 0.22, 0.16, 0.12, 0.09, 0.067, 0.05, 0.037, 0.027, 0.02, 0.015, 0.011];
/** While shares are searched for. Retraining moves weights, so that the last word on bits is for later. */
const fewBits = [3, 5];
const allBits = [1, 2, 3, 4, 5, 6, 7, 8];
/** Times that pruning may go on, each to this part of the shares, before a budget counts as out of reach. */
const tries = 12;
const further = 0.9;

/**
 * A file of at most `bytes`: searches for the shares that lose least without retraining, prunes to those and retrains,
 * then gives each codebook the bits that lose least within the budget. Where no bits fit, pruning goes on. The size is
 * the real one at every step. RangeError where nothing fits.
 */
export async function compressWithin(weights: Weights, options: CompressWithinOptions): Promise<Section[]> {
  const { network, rounds, tuning, rate, save, state = noBudgetState } = options;
  const wanted = state.shares ?? (await searchShares(weights, state, options));
  let pruned = state.pruned;
  const keep = async (next: Pruned): Promise<void> => {
    pruned = next;
    await save?.({ probes: [], shares: wanted, pruned });
  };
  for (let attempt = 0; attempt <= tries; attempt++) {
    const last = rounds + attempt;
    if ((pruned?.round ?? 0) < last) {
      // Rounds beyond those asked for are one step each, to fewer weights.
      const scale = further ** attempt;
      const rules = Object.fromEntries(Object.entries(wanted).map(([name, share]) => [name, { share: scale * share }]));
      const { epochs } = options;
      const { round = 0, ...start } = pruned ?? { weights, masks: undefined };
      if (attempt === 0) {
        const from = pruned ?? undefined;
        await pruneAndRetrain(weights, { ...options, rules, lastEpochs: 2 * epochs, from, onRound: keep });
      } else {
        const one = { ...options, rules, rounds: 1, masks: start.masks, seed: options.seed + round };
        await pruneAndRetrain(start.weights, { ...one, onRound: (next) => keep({ ...next, round: last }) });
      }
    }
    if (pruned!.round > last) continue;
    const { weights: cleared } = clearDead(network, pruned!.weights);
    const sizes = await chooseSizes(cleared, options);
    if (sizes === undefined) continue;
    return shareAndTune(cleared, { ...options, sizes, start: "linear", epochs: tuning, rate: tuningRate * rate });
  }
  throw new RangeError(`compress: ${grouped(options.bytes)} bytes are out of reach of pruning and sharing`);
}

async function searchShares(
  weights: Weights,
  { probes: known }: BudgetState,
  options: CompressWithinOptions,
): Promise<Readonly<Record<string, number>>> {
  const { bytes, lossOf, signal, save, onProbe, onChoice } = options;
  const groups = groupsOf(weights).map(({ name, tensors }): BudgetGroup => {
    const isMatrix = name.endsWith(".weight");
    return { name, tensors: tensors.map((tensor) => tensor.name), shares: isMatrix ? shares : [1], bits: fewBits };
  });
  const found: Probe[] = [...known];
  const probes = await probe(weights, {
    groups,
    known,
    loss: lossOf,
    signal,
    onProbe: async (one, done, total) => {
      found.push(one);
      onProbe?.("search", one, done, total);
      await save?.({ probes: found, shares: null, pruned: null });
    },
  });
  const overhead = await overheadOf(weights, probes, options);
  const choice = chooseWithin(probes, Math.max(0, bytes - overhead));
  if (choice === undefined) {
    const least = groups.reduce((sum, { name }) => sum + Math.min(...bytesOf(probes, name)), overhead);
    throw new RangeError(`compress: ${grouped(bytes)} bytes are too few, the least is about ${grouped(least)}`);
  }
  onChoice?.(choice);
  const matrices = choice.filter(({ group }) => group.endsWith(".weight"));
  const shareOf = Object.fromEntries(matrices.map(({ group, share }) => [group, share]));
  await save?.({ probes: found, shares: shareOf, pruned: null });
  return shareOf;
}

/** How many values each codebook has, so that the file has at most so many bytes; undefined where none will do. */
async function chooseSizes(
  weights: Weights,
  options: CompressWithinOptions,
): Promise<Readonly<Record<string, number>> | undefined> {
  const { bytes, lossOf, sizeOf, signal, onProbe, onChoice } = options;
  const groups = groupsOf(weights).map(({ name, tensors }): BudgetGroup => {
    return { name, tensors: tensors.map((tensor) => tensor.name), shares: [1], bits: allBits };
  });
  const probes = await probe(weights, {
    groups,
    loss: lossOf,
    signal,
    onProbe: (one, done, total) => onProbe?.("bits", one, done, total),
  });
  let overhead = await overheadOf(weights, probes, options);
  for (;;) {
    const choice = bytes < overhead ? undefined : chooseWithin(probes, bytes - overhead);
    if (choice === undefined) return undefined;
    const sizes = Object.fromEntries(choice.map(({ group, bits }) => [group, 2 ** bits]));
    // The real file has the last word: beyond 65,535 bytes it has more around its sections.
    const size = sizeOf(await shareAndTune(weights, { ...options, sizes, start: "linear", epochs: 0 }));
    if (size <= bytes) {
      onChoice?.(choice);
      return sizes;
    }
    overhead += size - bytes;
  }
}

/** Bytes of the file around what the probes count. */
async function overheadOf(weights: Weights, probes: readonly Probe[], options: CompressWithinOptions): Promise<number> {
  const { sizeOf } = options;
  const whole = probes.filter(({ share }) => share === 1);
  const least = Math.min(...whole.map(({ bits }) => bits));
  const own = whole.filter(({ bits }) => bits === least);
  const sizes = Object.fromEntries(own.map(({ group }) => [group, 2 ** least]));
  const sections = await shareAndTune(weights, { ...options, sizes, start: "linear", epochs: 0 });
  return sizeOf(sections) - own.reduce((sum, { bytes }) => sum + bytes, 0);
}

function bytesOf(probes: readonly Probe[], name: string): number[] {
  return probes.filter(({ group }) => group === name).map(({ bytes }) => bytes);
}
