import { fillWords, seedKey } from "../../lib/random.ts";

/** Draws by seed, one after the other: the same seed gives the same mutants. */
export class Draws {
  readonly #key: ReturnType<typeof seedKey>;
  readonly #words = new Uint32Array(4096);
  #block = 0;
  #at = 4096;

  constructor(seed: number) {
    this.#key = seedKey(seed);
  }

  word(): number {
    if (this.#at === this.#words.length) {
      fillWords(this.#words, this.#key, { stream: 0, block: this.#block });
      this.#block = (this.#block + 1) % 2 ** 24;
      this.#at = 0;
    }
    return this.#words[this.#at++]!;
  }

  /** A whole number from 0 to `count` - 1. */
  below(count: number): number {
    return Math.floor((this.word() / 2 ** 32) * count);
  }

  /** Whether something happens that happens once in `count` times. */
  once(count: number): boolean {
    return this.below(count) === 0;
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.below(256));
  }
}
