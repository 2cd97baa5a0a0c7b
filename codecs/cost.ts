import type { BitCoder } from "./range.ts";

/** Takes bits as an encoder does, and only counts how many bits they would become. */
export class BitMeter implements BitCoder {
  bits = 0;

  code(bit: number, zero: number): number {
    this.bits += costOf(bit === 0 ? zero : 65536 - zero);
    return bit;
  }
}

/**
 * What a bit of that probability (in 1/65536) costs, in bits: -log2(p / 65536), to 20 bits after the point. By
 * squaring, so that every machine finds the same and whoever chooses by it chooses the same.
 */
export function costOf(probability: number): number {
  costs ??= Float64Array.from({ length: 65537 }, (_, p) => {
    const whole = 31 - Math.clz32(p);
    let rest = p / 2 ** whole;
    let fraction = 0;
    for (let place = 0.5; place > 2 ** -21; place /= 2) {
      rest *= rest;
      if (rest < 2) continue;
      rest /= 2;
      fraction += place;
    }
    return 16 - whole - fraction;
  });
  return costs[probability]!;
}

let costs: Float64Array | undefined;
