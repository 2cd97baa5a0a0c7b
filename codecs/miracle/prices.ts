import { exp, log } from "../../lib/math.ts";

export interface PriceOptions {
  /** Price of a nat at the start. Default: 1e-6. */
  readonly start?: number | undefined;
  /** The most by which the logarithm of a price changes in a step. Default: 0.003. */
  readonly rate?: number | undefined;
  /**
   * How far it goes: `proportional`, 2 (KL / C - 1) of the rate, at most all of it; `sign`, all of it up or down, as
   * published. Default: proportional.
   */
  readonly rule?: "proportional" | "sign" | undefined;
}

/** The price of KL in each block, which rises where a block has more than its share, and falls where it has less. */
export class Prices {
  readonly #rate: number;
  readonly #rule: "proportional" | "sign";
  /** Natural logarithms. */
  logs: Float64Array;

  constructor(blocks: number, { start = 1e-6, rate = 0.003, rule = "proportional" }: PriceOptions = {}) {
    if (!(start > 0 && start < Infinity)) {
      throw new RangeError(`miracle: the first price must be above 0, got ${start}`);
    }
    if (!(rate > 0 && rate < 1)) throw new RangeError(`miracle: the rate of prices must be from 0 to 1, got ${rate}`);
    this.#rate = rate;
    this.#rule = rule;
    this.logs = new Float64Array(blocks).fill(log(start));
  }

  /**
   * `steps` steps towards blocks of `target` nats, those before `coded` apart. With one price for all it is the mean
   * that counts.
   */
  adapt(divergences: ArrayLike<number>, { target, steps, coded, shared }: {
    readonly target: number;
    readonly steps: number;
    readonly coded: number;
    readonly shared: boolean;
  }): void {
    const { logs } = this;
    if (shared) {
      let total = 0;
      for (let b = coded; b < logs.length; b++) total += divergences[b]!;
      const change = this.#change(total / (logs.length - coded), target, steps);
      for (let b = coded; b < logs.length; b++) logs[b]! += change;
    } else {
      for (let b = coded; b < logs.length; b++) logs[b]! += this.#change(divergences[b]!, target, steps);
    }
  }

  /** Begins anew with so many blocks, which have nothing in common with those before but what a nat cost on average. */
  share(blocks: number): void {
    const mean = this.logs.reduce((sum, value) => sum + value, 0) / this.logs.length;
    this.logs = new Float64Array(blocks).fill(mean);
  }

  #change(divergence: number, target: number, steps: number): number {
    const excess = divergence / target - 1;
    const share = this.#rule === "sign" ? (excess > 0 ? 1 : -1) : Math.min(Math.max(2 * excess, -1), 1);
    return steps * this.#rate * share;
  }

  /** In nats of loss per nat of KL; nothing for blocks that are coded. */
  values(coded: number): Float64Array {
    return this.logs.map((value, b) => (b < coded ? 0 : exp(value)));
  }
}
