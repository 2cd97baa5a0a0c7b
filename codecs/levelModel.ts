import type { Budget } from "./codec.ts";
import { biasRules, type BitRule, denseRules, type KindRules, spatialRules } from "./levelRules.ts";
import type { Grid } from "./grid.ts";
import { Contexts, Mixer } from "./mixing.ts";
import { costOf } from "./cost.ts";
import { type BitCoder, Context } from "./range.ts";

/** "A level above 14 has all 14 flags, and an exp-Golomb code of at most 13 bits after its prefix." */
const flagCount = 14;
const longestSuffix = 13;

/** Levels are from -16,397 to 16,397. */
export const largestLevel = flagCount + 2 ** (longestSuffix + 1) - 1;

/** Flags of a magnitude with contexts of their own; the later ones share the last. */
const flagContexts = 6;

// Contexts that all tensors share.
const wideStart = 0;
const nearStart = wideStart + 7;
const cornerStart = nearStart + 81;
const crossStart = cornerStart + 9;
const sizesStart = crossStart + 81;
const sharedContexts = sizesStart + 48;

/** Where the families of contexts of one tensor begin. */
interface Families {
  readonly zero: number;
  readonly zeroOfOutput: number;
  readonly zeroOfInput: number;
  readonly zeroOfRow: number;
  readonly zeroOfKernel: number;
  readonly sign: number;
  readonly signOfInput: number;
  readonly signOfKernel: number;
  readonly magnitude: number;
  readonly magnitudeOfOutput: number;
  readonly magnitudeOfInput: number;
  readonly end: number;
}

function familiesOf({ kind, height, width, inputs, outputs }: Grid, first: number): Families {
  let end = first;
  const take = (count: number): number => (end += count) - count;
  const spatial = kind === "spatial" ? 1 : 0;
  const weights = kind === "bias" ? 0 : 1;
  return {
    zero: take(2),
    zeroOfOutput: take(weights * outputs),
    zeroOfInput: take(weights * inputs),
    zeroOfRow: take(spatial * height * width * inputs),
    zeroOfKernel: take(spatial * inputs * outputs),
    sign: take(1),
    signOfInput: take(spatial * inputs),
    signOfKernel: take(spatial * inputs * outputs),
    magnitude: take(flagContexts),
    magnitudeOfOutput: take(weights * 2 * outputs),
    magnitudeOfInput: take(weights * 2 * inputs),
    end,
  };
}

interface Mixers {
  readonly zero: Mixer;
  readonly sign: Mixer;
  readonly magnitude: Mixer;
}

/**
 * The adaptive model of levels: knows what has been coded so far, and codes or prices the level at a place. Encoder,
 * decoder and whoever only asks for prices run the same text.
 */
export class LevelModel {
  readonly #contexts: Contexts;
  readonly #rules: Record<Grid["kind"], KindRules> = { spatial: spatialRules, dense: denseRules, bias: biasRules };
  readonly #mixers: Record<Grid["kind"], Mixers>;
  readonly #escape = Array.from({ length: longestSuffix }, () => new Context());
  readonly #families: readonly Families[];

  // The tensor at hand.
  #grid!: Grid;
  #levels!: Int32Array;
  #first!: Families;
  #mixer!: Mixers;

  // The place at hand.
  #index = 0;
  #y = 0;
  #x = 0;
  #input = 0;
  #output = 0;
  /** 1, or 0 for the bias of an output without weights. */
  #fed = 1;

  constructor(grids: readonly Grid[], budget?: Budget) {
    let end = sharedContexts;
    this.#families = grids.map((grid) => {
      const families = familiesOf(grid, end);
      end = families.end;
      return families;
    });
    this.#contexts = new Contexts(
      budget?.uint16(end) ?? new Uint16Array(end),
      budget?.uint16(end) ?? new Uint16Array(end),
    );
    const mixersOf = ({ zero, sign, magnitude }: KindRules): Mixers => ({
      zero: new Mixer(this.#contexts, zero),
      sign: new Mixer(this.#contexts, sign),
      magnitude: new Mixer(this.#contexts, magnitude),
    });
    this.#mixers = { spatial: mixersOf(spatialRules), dense: mixersOf(denseRules), bias: mixersOf(biasRules) };
  }

  /** Turns to tensor `t`. What is coded of it is found in `levels`, where the caller puts it. */
  begin(t: number, grid: Grid, levels: Int32Array): void {
    this.#grid = grid;
    this.#levels = levels;
    this.#first = this.#families[t]!;
    this.#mixer = this.#mixers[grid.kind];
    const rules = this.#rules[grid.kind];
    const start = (first: number, { starts }: BitRule): void =>
      starts.forEach((zero, k) => this.#contexts.start(first + k, zero));
    start(this.#first.zero, rules.zero);
    start(this.#first.sign, rules.sign);
    start(this.#first.magnitude, rules.magnitude);
  }

  /** Turns to a place in the tensor. `fed` is 0 for the bias of an output without weights, and 1 otherwise. */
  aim(y: number, x: number, input: number, output: number, fed: number): void {
    const { width, inputs, outputs } = this.#grid;
    this.#y = y;
    this.#x = x;
    this.#input = input;
    this.#output = output;
    this.#fed = fed;
    this.#index = ((y * width + x) * inputs + input) * outputs + output;
    this.#chooseZero();
  }

  /** "not zero?, then the sign, then for m = 1, 2, … 14: above m?, until one says no; then the rest." */
  code(coder: BitCoder, level: number): number {
    if (this.#mixer.zero.code(coder, level === 0 ? 0 : 1) === 0) return 0;
    this.#chooseSign();
    const sign = this.#mixer.sign.code(coder, level < 0 ? 1 : 0) === 0 ? 1 : -1;
    const wanted = Math.abs(level);
    let size = 1;
    while (size <= flagCount) {
      this.#chooseMagnitude(size);
      if (this.#mixer.magnitude.code(coder, wanted > size ? 1 : 0) === 0) return sign * size;
      size += 1;
    }
    return sign * (flagCount + this.#codeRest(coder, wanted - flagCount));
  }

  /** Elias gamma of what is above 14: "longer?, adaptively, up to 13 times; then the bits below the highest one." */
  #codeRest(coder: BitCoder, rest: number): number {
    const wanted = 31 - Math.clz32(rest);
    let suffix = 0;
    while (suffix < longestSuffix && this.#escape[suffix]!.code(coder, wanted > suffix ? 1 : 0) === 1) suffix += 1;
    let found = 1;
    for (let k = suffix - 1; k >= 0; k--) found = 2 * found + coder.code((rest >>> k) & 1, 32768);
    return found;
  }

  /** What `level` would cost here, in bits, were it the last one: what its own flags teach is left out. */
  price(level: number): number {
    const { zero, sign, magnitude } = this.#mixer;
    const none = zero.predict();
    if (level === 0) return costOf(none);
    this.#chooseSign();
    const positive = sign.predict();
    let bits = costOf(65536 - none) + costOf(level < 0 ? 65536 - positive : positive);
    const wanted = Math.abs(level);
    for (let size = 1; size <= flagCount; size++) {
      this.#chooseMagnitude(size);
      const stop = magnitude.predict();
      if (wanted === size) return bits + costOf(stop);
      bits += costOf(65536 - stop);
    }
    const suffix = 31 - Math.clz32(wanted - flagCount);
    for (let k = 0; k < suffix; k++) bits += costOf(65536 - this.#escape[k]!.zero);
    if (suffix < longestSuffix) bits += costOf(this.#escape[suffix]!.zero);
    return bits + suffix;
  }

  // The neighbours: the level one or two steps to the left (x) or up (y) in the same kernel; 0 outside it.

  #neighbour(up: number, left: number): number {
    const { width, inputs, outputs } = this.#grid;
    const x = this.#x - left;
    if (up > this.#y || x < 0 || x >= width) return 0;
    return this.#levels[this.#index - (up * width + left) * inputs * outputs]!;
  }

  #chooseZero(): void {
    const { chosen } = this.#mixer.zero;
    const first = this.#first;
    const { kind, inputs, outputs, width } = this.#grid;
    if (kind === "bias") {
      chosen[0] = first.zero + this.#fed;
      return;
    }
    // With one input, its contexts would repeat those of the tensor and of the output.
    const several = inputs > 1;
    chosen[0] = first.zero;
    chosen[1] = first.zeroOfOutput + this.#output;
    chosen[2] = several ? first.zeroOfInput + this.#input : -1;
    if (kind === "dense") return;
    const left = Math.abs(this.#neighbour(0, 1));
    const up = Math.abs(this.#neighbour(1, 0));
    const upLeft = Math.abs(this.#neighbour(1, 1));
    const upRight = Math.abs(this.#neighbour(1, -1));
    const far = Math.abs(this.#neighbour(0, 2)) + Math.abs(this.#neighbour(2, 0));
    const wide = 2 * (left + up) + upLeft + upRight + far;
    chosen[3] = wideStart + wideClass[Math.min(wide, wideClass.length - 1)]!;
    chosen[4] =
      nearStart + 27 * Math.min(2, left) + 9 * Math.min(2, up) + 3 * Math.min(2, upLeft) + Math.min(2, upRight);
    chosen[5] = first.zeroOfRow + (this.#y * width + this.#x) * inputs + this.#input;
    chosen[6] = several ? first.zeroOfKernel + this.#input * outputs + this.#output : -1;
  }

  #chooseSign(): void {
    const { chosen } = this.#mixer.sign;
    const first = this.#first;
    const { kind, inputs, outputs } = this.#grid;
    chosen[0] = first.sign;
    if (kind !== "spatial") return;
    const left = Math.sign(this.#neighbour(0, 1));
    const up = Math.sign(this.#neighbour(1, 0));
    const corners = Math.sign(this.#neighbour(1, 1)) + Math.sign(this.#neighbour(1, -1));
    const farLeft = Math.sign(this.#neighbour(0, 2));
    const farUp = Math.sign(this.#neighbour(2, 0));
    chosen[1] = cornerStart + 3 * (Math.sign(left + up) + 1) + Math.sign(corners) + 1;
    chosen[2] = crossStart + 27 * (left + 1) + 9 * (up + 1) + 3 * (farLeft + 1) + farUp + 1;
    chosen[3] = inputs > 1 ? first.signOfInput + this.#input : -1;
    chosen[4] = inputs > 1 ? first.signOfKernel + this.#input * outputs + this.#output : -1;
  }

  #chooseMagnitude(size: number): void {
    const { chosen } = this.#mixer.magnitude;
    const first = this.#first;
    const { kind, inputs } = this.#grid;
    chosen[0] = first.magnitude + Math.min(size, flagContexts) - 1;
    if (kind === "bias") return;
    const later = size > 1 ? 1 : 0;
    chosen[1] = first.magnitudeOfOutput + 2 * this.#output + later;
    chosen[2] = inputs > 1 ? first.magnitudeOfInput + 2 * this.#input + later : -1;
    if (kind === "dense") return;
    const left = Math.min(3, Math.abs(this.#neighbour(0, 1)));
    const up = Math.min(3, Math.abs(this.#neighbour(1, 0)));
    chosen[3] = sizesStart + 16 * (Math.min(3, size) - 1) + 4 * left + up;
  }
}

/** "wide: 0, 1, 2 or 3, 4 or 5, 6 to 8, 9 to 13, 14 and more." */
const wideClass = [0, 1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5, 5, 5, 6];
