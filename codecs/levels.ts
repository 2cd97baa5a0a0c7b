import { ByteWriter } from "./bytes.ts";
import type { Codec } from "./codec.ts";
import { type Grid, gridsOf } from "./grid.ts";
import { largestLevel, LevelModel } from "./levelModel.ts";
import { BitMeter } from "./cost.ts";
import { type BitCoder, Context, RangeDecoder, RangeEncoder } from "./range.ts";

/**
 * Small whole numbers in the shapes of a network's tensors, coded bit by bit with everything that is known so far:
 * what a kilobyte file is made of. Format: section 7.7.
 */

export { largestLevel };

type Shapes = readonly (readonly number[])[];

/** The levels of tensors of these shapes, one row each, row-major. Their bytes are the rest of the section. */
export function levels({ shapes }: { shapes: Shapes }): Codec<Int32Array[]> {
  const grids = gridsOf(shapes);
  return {
    tag: 0x12,
    name: "levels",

    write(tensors, to) {
      checkLevels(grids, tensors);
      const coder = new RangeEncoder();
      walk({ coder, grids, model: new LevelModel(grids), given: tensors });
      to.bytes(coder.finish());
    },

    read(from, budget) {
      from.field("levels");
      const found = grids.map(({ size }) => budget.int32(size));
      const coder = new RangeDecoder(from);
      walk({
        coder,
        grids,
        model: new LevelModel(grids, budget),
        found,
        fail: (code, message) => from.fail(code, message),
      });
      coder.finish(from);
      return found;
    },
  };
}

/** The bits that `levels` spends on these tensors, but for the rounding to bytes: the coder without its bytes. */
export function codedBits(shapes: Shapes, tensors: readonly Int32Array[]): number {
  const grids = gridsOf(shapes);
  checkLevels(grids, tensors);
  const coder = new BitMeter();
  walk({ coder, grids, model: new LevelModel(grids), given: tensors });
  return coder.bits;
}

/** The bytes that `levels` writes for these tensors. */
export function codedBytes(shapes: Shapes, tensors: readonly Int32Array[]): number {
  const to = new ByteWriter();
  levels({ shapes }).write([...tensors], to);
  return to.length;
}

/**
 * Names the level of one place, given what any level would cost there, in bits, after the levels chosen so far. Prices
 * of 0, 1 and -1 are exact; a larger level teaches the model by its own flags, which its price leaves out. `index`
 * counts row-major in the tensor.
 */
export type Choose = (tensor: number, index: number, price: (level: number) => number) => number;

/**
 * Walks through the tensors in the order of the format and lets `choose` name each level anew. Which inputs and outputs
 * are live is taken from `tensors`; `choose` is not asked about the others. Returns the levels, and the bits they cost
 * in this walk.
 */
export function chooseLevels(
  shapes: Shapes,
  tensors: readonly Int32Array[],
  choose: Choose,
): { tensors: Int32Array[]; bits: number } {
  const grids = gridsOf(shapes);
  checkLevels(grids, tensors);
  const coder = new BitMeter();
  const found = grids.map(({ size }) => new Int32Array(size));
  walk({ coder, grids, model: new LevelModel(grids), given: tensors, found, choose });
  return { tensors: found, bits: coder.bits };
}

interface WalkOptions {
  readonly coder: BitCoder;
  readonly grids: readonly Grid[];
  readonly model: LevelModel;
  /** What to code. A decoder has none. */
  readonly given?: readonly Int32Array[];
  /** Receives the levels in the course of the walk; zeros at first. */
  readonly found?: readonly Int32Array[];
  readonly choose?: Choose;
  readonly fail?: (code: string, message: string) => never;
}

/** One way through all levels: the same text for the encoder, the decoder and whoever only asks for prices. */
function walk({ coder, grids, model, given, found, choose, fail }: WalkOptions): void {
  const price = (level: number): number => model.price(level);
  /** The outputs of the tensor of weights before this one, and which of them are live. */
  let before: Units | undefined;
  for (const [t, grid] of grids.entries()) {
    const { kind, height, width, inputs, outputs } = grid;
    const source = given?.[t];
    const target = found?.[t] ?? new Int32Array(grid.size);
    model.begin(t, grid, target);

    const codeAt = (index: number): void => {
      let level = source?.[index] ?? 0;
      if (choose !== undefined) {
        level = choose(t, index, price);
        checkLevel(level);
      }
      target[index] = model.code(coder, level);
    };

    if (kind === "bias") {
      for (let o = 0; o < outputs; o++) {
        model.aim(0, 0, 0, o, before?.count === outputs && !before.isLive[o] ? 0 : 1);
        codeAt(o);
      }
      continue;
    }

    // "First which outputs and which inputs are live: have a level that is not 0."
    const live = source === undefined ? undefined : liveUnits(grid, source);
    const liveOutputs = codeLive(coder, allLive(outputs), live?.outputs, even, likely, fail);
    const expected = before?.count === inputs ? before : allLive(inputs);
    const liveInputs =
      liveOutputs.live.length === 0 ? noneLive(inputs) : codeLive(coder, expected, live?.inputs, likely, even, fail);
    before = liveOutputs;

    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        for (const i of liveInputs.live) {
          for (const o of liveOutputs.live) {
            model.aim(y, x, i, o, 1);
            codeAt(((y * width + x) * inputs + i) * outputs + o);
          }
        }
      }
    }

    // "Every unit that is said to be live is."
    if (source === undefined) {
      const found = liveUnits(grid, target);
      for (const [said, { live }] of [
        [liveInputs, found.inputs],
        [liveOutputs, found.outputs],
      ] as const) {
        if (said.count > 1 && live.length < said.live.length) {
          fail!("levels-live", `levels: tensor ${t} has an input or an output that is said to be live and is not`);
        }
      }
    }
  }
}

/** Of the inputs or the outputs of a tensor, those that have a level that is not 0. */
interface Units {
  readonly count: number;
  readonly isLive: Uint8Array;
  /** Rising. */
  readonly live: readonly number[];
}

function unitsOf(isLive: Uint8Array): Units {
  const live: number[] = [];
  isLive.forEach((flag, unit) => {
    if (flag === 1) live.push(unit);
  });
  return { count: isLive.length, isLive, live };
}

function allLive(count: number): Units {
  return unitsOf(new Uint8Array(count).fill(1));
}

function noneLive(count: number): Units {
  return unitsOf(new Uint8Array(count));
}

function liveUnits({ inputs, outputs }: Grid, levels: Int32Array): { inputs: Units; outputs: Units } {
  const inputFlags = new Uint8Array(inputs);
  const outputFlags = new Uint8Array(outputs);
  for (let row = 0, input = 0; row < levels.length; row += outputs, input = (input + 1) % inputs) {
    for (let o = 0; o < outputs; o++) {
      if (levels[row + o] === 0) continue;
      inputFlags[input] = 1;
      outputFlags[o] = 1;
    }
  }
  return { inputs: unitsOf(inputFlags), outputs: unitsOf(outputFlags) };
}

/** Odds in 1/65536: even, and 7 to 1. */
const even = 32768;
const likely = 57344;

/**
 * "As expected? Otherwise n, one more than the last live unit, in the bits that the count needs; then, if n is above 1:
 * all below n? Otherwise one flag for each unit below n - 1, in a context for each flag before it." `wanted` is
 * undefined when reading.
 */
function codeLive(
  coder: BitCoder,
  expected: Units,
  wanted: Units | undefined,
  asExpected: number,
  asFirst: number,
  fail: WalkOptions["fail"],
): Units {
  const { count } = expected;
  // "Of one unit nothing is said: it is live."
  if (count === 1) return allLive(1);
  if (coder.code(wanted !== undefined && same(wanted, expected) ? 0 : 1, asExpected) === 0) return expected;

  const wantedEnd = (wanted?.live.at(-1) ?? -1) + 1;
  let end = 0;
  for (let bit = 31 - Math.clz32(count); bit >= 0; bit--) end = 2 * end + coder.code((wantedEnd >>> bit) & 1, even);
  if (end > count) fail!("levels-live", `levels: unit ${end - 1} of ${count} cannot be live`);

  const flags = new Uint8Array(count).fill(1, 0, end);
  if (end > 1 && coder.code(wanted?.live.length === end ? 0 : 1, asFirst) === 1) {
    const contexts = [new Context(), new Context()];
    for (let unit = 0, last = 1; unit < end - 1; unit++) {
      last = contexts[last]!.code(coder, wanted?.isLive[unit] ?? 0);
      flags[unit] = last;
    }
    if (wanted === undefined && flags.subarray(0, end).every((flag) => flag === 1)) {
      fail!("levels-live", "levels: flags for live units of which none is missing");
    }
  }
  const found = unitsOf(flags);
  if (wanted === undefined && same(found, expected)) {
    fail!("levels-live", "levels: live units spelled out that are the expected ones");
  }
  return found;
}

function same(a: Units, b: Units): boolean {
  return a.live.length === b.live.length && a.live.every((unit, k) => unit === b.live[k]);
}

function checkLevel(level: number): void {
  if (!(Number.isInteger(level) && Math.abs(level) <= largestLevel)) {
    throw new RangeError(`levels: must be whole numbers from -${largestLevel} to ${largestLevel}, got ${level}`);
  }
}

function checkLevels(grids: readonly Grid[], tensors: readonly Int32Array[]): void {
  if (tensors.length !== grids.length) {
    throw new RangeError(`levels: expected ${grids.length} tensors, got ${tensors.length}`);
  }
  for (const [t, { size }] of grids.entries()) {
    const levels = tensors[t]!;
    if (levels.length !== size) throw new RangeError(`levels: tensor ${t} has ${size} levels, got ${levels.length}`);
    for (let i = 0; i < size; i++) checkLevel(levels[i]!);
  }
}
