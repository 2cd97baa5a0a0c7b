import type { BitCoder } from "./range.ts";

/**
 * Predicts a bit from several contexts at once: each remembers how often it saw a 0, the logits are added with weights,
 * and the weights learn (logistic mixing, after M. Mahoney's PAQ of 2005, in a form of our own). Whole numbers
 * throughout, so that every machine predicts alike. Format: section 7.6.
 *
 * Probabilities are those of a 0, in 1/65536. Logits are in 1/256.
 */

/** Logits stay within this: 8 nats, where a probability is 1/2981 or 1 - 1/2981. */
const mostLogit = 2048;

/**
 * squash(x) = 65536 / (1 + e^-x/256), for x from -2048 to 2048 at places 0 to 4096. "power(0) = 1, power(k) =
 * power(k - 1) * 1.0039138893383475 in float64, squash(k) = floor(65536 * power(k) / (1 + power(k)) + 1/2), and
 * squash(-k) = 65536 - squash(k)."
 */
export const squashTable: Uint16Array = buildSquash();

function buildSquash(): Uint16Array {
  const table = new Uint16Array(2 * mostLogit + 1);
  let power = 1;
  for (let k = 0; k <= mostLogit; k++) {
    table[mostLogit + k] = Math.floor((65536 * power) / (1 + power) + 0.5);
    table[mostLogit - k] = 65536 - table[mostLogit + k]!;
    power *= 1.0039138893383475;
  }
  return table;
}

/**
 * The logit of a probability, by its upper 12 bits. "stretch(j) is the largest x with squash(x) <= 16 j + 8, or -2048
 * if there is none."
 */
export const stretchTable: Int16Array = buildStretch();

function buildStretch(): Int16Array {
  const table = new Int16Array(4096);
  let x = -mostLogit;
  for (let j = 0; j < 4096; j++) {
    while (x < mostLogit && squashTable[x + 1 + mostLogit]! <= 16 * j + 8) x += 1;
    table[j] = x;
  }
  return table;
}

/** How a kind of bit is predicted; the constants stand in the format. */
export interface MixingRule {
  /** The starting weights in 1/65536: of the base context, then of each further one. */
  readonly weights: readonly number[];
  /** How fast the weights learn, in 1/16384. */
  readonly rate: number;
  /** How a base context and a further one count. */
  readonly base: Counting;
  readonly further: Counting;
}

/** How far a context moves towards a bit after n bits, in 1/16384; the last entry holds from then on. */
export type Counting = Int32Array;

/**
 * "step(n) = floor(2^15 / (2 n + prior)), n up to the limit": as if it had begun with prior / 2 bits, and so that it
 * forgets in the end.
 */
export function counting(prior: number, limit: number): Counting {
  return Int32Array.from({ length: limit + 1 }, (_, n) => Math.floor(2 ** 15 / (2 * n + prior)));
}

/**
 * A set of contexts, numbered from 0. Each holds a probability and how many bits it has seen. A further context begins
 * where its base stands when it is first used, and until then says nothing.
 */
export class Contexts {
  readonly zero: Uint16Array;
  readonly seen: Uint16Array;

  /** Two rows of zeros, as long as there are contexts. */
  constructor(zero: Uint16Array, seen: Uint16Array) {
    this.zero = zero;
    this.seen = seen;
  }

  /** Lets a base context begin with that probability of a 0. */
  start(context: number, zero: number): void {
    this.zero[context] = zero;
  }
}

/** Mixes contexts for one kind of bit. */
export class Mixer {
  /** The contexts of the next bit, the base first; -1 for one that does not apply. The caller fills it. */
  readonly chosen: Int32Array;
  readonly #contexts: Contexts;
  readonly #weights: Int32Array;
  readonly #inputs: Int32Array;
  readonly #rate: number;
  readonly #baseSteps: Counting;
  readonly #furtherSteps: Counting;

  constructor(contexts: Contexts, rule: MixingRule) {
    this.chosen = new Int32Array(rule.weights.length).fill(-1);
    this.#contexts = contexts;
    this.#weights = Int32Array.from(rule.weights);
    this.#inputs = new Int32Array(rule.weights.length);
    this.#rate = rule.rate;
    this.#baseSteps = rule.base;
    this.#furtherSteps = rule.further;
  }

  /** The probability of a 0 in the chosen contexts. */
  predict(): number {
    const { zero, seen } = this.#contexts;
    const weights = this.#weights;
    const inputs = this.#inputs;
    const chosen = this.chosen;
    const base = stretchTable[zero[chosen[0]!]! >> 4]!;
    inputs[0] = base;
    // "logit = floor(sum of floor(weight / 16) * input / 4096): within 32 bits, since weights stay within 4."
    let sum = (weights[0]! >> 4) * base;
    for (let k = 1; k < chosen.length; k++) {
      const context = chosen[k]!;
      // "The input of a further context is its logit minus that of the base, and 0 if it has seen nothing."
      const input = context < 0 || seen[context] === 0 ? 0 : stretchTable[zero[context]! >> 4]! - base;
      inputs[k] = input;
      sum += (weights[k]! >> 4) * input;
    }
    const logit = sum >> 12;
    return squashTable[(logit < -mostLogit ? -mostLogit : logit > mostLogit ? mostLogit : logit) + mostLogit]!;
  }

  /** Codes a bit in the chosen contexts and learns from it. */
  code(coder: BitCoder, bit: number): number {
    const probability = this.predict();
    const found = coder.code(bit, probability);
    const target = found === 0 ? 65536 : 0;
    const { zero, seen } = this.#contexts;
    const weights = this.#weights;
    const inputs = this.#inputs;
    const chosen = this.chosen;
    const error = ((target - probability) * this.#rate) >> 8;
    const before = zero[chosen[0]!]!;
    let steps = this.#baseSteps;
    for (let k = 0; k < chosen.length; k++) {
      // "weight = weight + floor((input * error + 2^13) / 2^14), within -2^18 to 2^18"
      const weight = weights[k]! + ((inputs[k]! * error + 8192) >> 14);
      weights[k] = weight < -mostWeight ? -mostWeight : weight > mostWeight ? mostWeight : weight;

      const context = chosen[k]!;
      if (context >= 0) {
        // "probability = probability + floor((target - probability) * step(seen) / 2^14), within 16 to 65520"
        const count = seen[context]!;
        const p = count === 0 ? before : zero[context]!;
        const moved = p + (((target - p) * steps[count]!) >> 14);
        zero[context] = moved < 16 ? 16 : moved > 65520 ? 65520 : moved;
        if (count < steps.length - 1) seen[context] = count + 1;
      }
      steps = this.#furtherSteps;
    }
    return found;
  }
}

/** 4, in 1/65536. */
const mostWeight = 2 ** 18;
