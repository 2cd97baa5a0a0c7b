/** What a peer answers; see serve.mjs. Instead of times there may be `skipped` or `failed`, each with its reason. */
export interface Answer {
  peer: string;
  version: string;
  work: string;
  threads: number;
  milliseconds?: number[];
  /** Processor time of all threads over wall time: near `threads` where nothing waited and nobody interfered. */
  cores?: number;
  /** Processor time of all threads for the whole request, in milliseconds. */
  processor?: number;
  /** Cores that other programs kept busy meanwhile. */
  others?: number;
  evidence?: number[];
  loss?: number;
  skipped?: string;
  failed?: string;
}

export type Work =
  | { kind: "gemm"; m: number; k: number; n: number }
  | { kind: "step" | "inference"; network: "lenet5" | "lenet300"; batch: number };

export interface Peer {
  name: string;
  threads: number;
  ask(work: string, options?: { repetitions?: number; warmup?: number }): Promise<Answer>;
  close(): void;
}

export const works: Record<string, Work>;
export const peers: Record<string, { threads: number[] }>;
export function missing(name: string): string | undefined;
export function open(name: string, threads: number, options?: { patience?: number }): Peer;
