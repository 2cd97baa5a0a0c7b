import type { Metadata } from "../../codecs/index.ts";
import type { Runtime, Weights } from "../../lib/index.ts";
import type { AugmentOptions, Loss } from "../../models/index.ts";

/** What every training for a file of a given size is told beside its recipe. */
export interface SizedRunOptions {
  readonly runtime: Runtime;
  /** Of the whole file. */
  readonly bytes: number;
  /** Of all draws. Default: 1. */
  readonly seed?: number;
  /** Weights to start from, in place of pretraining: those of the live units. */
  readonly weights?: Weights | undefined;
  /** What training minimises beside the size. Default: `hardLabels`. */
  readonly loss?: Loss | undefined;
  /** What the copies are like. */
  readonly augment?: Omit<AugmentOptions, "copies"> | undefined;
  readonly metadata?: Metadata | undefined;
  /** Aborting saves a checkpoint and throws the signal's reason. */
  readonly signal?: AbortSignal;
  readonly checkpoint?: {
    /** Seconds between checkpoints; 0 means as often as progress is reported. Default: 60. */
    readonly every?: number | undefined;
    readonly save: (bytes: Uint8Array) => void | Promise<void>;
  };
  /** A checkpoint to go on from, of the same network, data and options. */
  readonly resume?: Uint8Array | undefined;
}
