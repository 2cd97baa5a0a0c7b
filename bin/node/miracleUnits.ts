import type { Network, Weights } from "../../lib/index.ts";
import {
  type Checkpoint,
  checkIdentity,
  initialise,
  type Json,
  pace,
  UnitSearch,
  type UnitSearchState,
  writeCheckpoint,
} from "../../models/index.ts";
import type { MiracleRunOptions, Settled } from "./miracleRecipe.ts";
import type { LossOnPictures } from "./pictures.ts";

/** Of its checkpoints. */
export const unitsKind = "miracle, units";

export interface UnitsProgress {
  readonly step: number;
  readonly steps: number;
  readonly live: readonly number[];
  readonly loss: number;
}

/**
 * Learns which units a file of so many bytes should have, before MIRACLE begins: as many as have `bitsPerWeight` bits
 * for each of their weights. Saves itself and goes on as the rest of the run does.
 */
export async function learnUnits(
  network: Network,
  { options, pictures, identity, found, onProgress }: {
    readonly options: Settled<MiracleRunOptions>;
    readonly pictures: LossOnPictures;
    readonly identity: Readonly<Record<string, Json>>;
    readonly found: Checkpoint | undefined;
    readonly onProgress: (progress: UnitsProgress) => void;
  },
): Promise<{ readonly live: readonly number[]; readonly weights: Weights }> {
  const { runtime, seed, weights, bytes, bitsPerWeight, searching, rate, signal, checkpoint } = options;
  const resting = pace();
  let saved = performance.now();
  const search = new UnitSearch({
    ...{ runtime, network, steps: searching, rate },
    start: weights ?? initialise(network, seed),
    size: Math.max(1, Math.floor((8 * bytes) / bitsPerWeight)),
    loss: pictures,
    onProgress: async (progress) => {
      await resting.rest();
      onProgress(progress);
      if (performance.now() - saved >= 1000 * (checkpoint?.every ?? 60)) await save();
      signal?.throwIfAborted();
    },
  });
  const save = async (): Promise<void> => {
    if (checkpoint === undefined) return;
    const { arrays, ...progress } = await search.save();
    await checkpoint.save(writeCheckpoint({ kind: unitsKind, identity, progress, arrays }));
    saved = performance.now();
  };
  if (found !== undefined) {
    checkIdentity(found, unitsKind, identity);
    const { arrays, progress } = found;
    search.restore({ ...(progress as unknown as Omit<UnitSearchState, "arrays">), arrays });
  }
  // A device whose numbers no checkpoint can hold says so now, not after a minute.
  if (checkpoint !== undefined) await search.save();
  try {
    return await search.run();
  } catch (error) {
    if (signal?.aborted === true && error === signal.reason) await save();
    throw error;
  }
}
