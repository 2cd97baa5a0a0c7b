import { maxEntries } from "./codebook.ts";
import type { Codec } from "./codec.ts";

/** What entries may be: how many (at most 4,096), and whether one of them may be 0. */
export interface EntriesRange {
  readonly min: number;
  readonly max: number;
  readonly zero: boolean;
}

/** The entries of a codebook. Format: section 6. */
export function entries({ min, max, zero }: EntriesRange): Codec<Float32Array> {
  const most = Math.min(max, maxEntries);
  return {
    tag: 0,
    name: "entries",

    write(values, to) {
      if (values.length < min || values.length > most) {
        throw new RangeError(`codebook: must have ${min} to ${most} entries, got ${values.length}`);
      }
      to.varint(values.length);
      for (let i = 0; i < values.length; i++) {
        const mistake = mistakeAt(values, i, zero);
        if (mistake !== undefined) throw new RangeError(`codebook: ${mistake.message}`);
        to.float32(values[i]!);
      }
    },

    read(from, budget) {
      // "How many entries, then each as a float32."
      const count = from.varint({ min, max: most, name: "entries" });
      const values = budget.float32(count);
      if (count > 0) from.field("entry values");
      for (let i = 0; i < count; i++) {
        values[i] = from.float32();
        const mistake = mistakeAt(values, i, zero);
        if (mistake !== undefined) from.fail(mistake.code, `codebook: ${mistake.message}`, from.position - 4);
      }
      return values;
    },
  };
}

/** "Entries are finite and rise strictly; none is -0 and, where zero means absent, none is 0." */
function mistakeAt(values: Float32Array, i: number, zero: boolean): { code: string; message: string } | undefined {
  const value = values[i]!;
  if (!Number.isFinite(value)) return { code: "codebook-number", message: `entry ${i} is ${value}` };
  if (Object.is(value, -0)) return { code: "codebook-number", message: `entry ${i} is -0` };
  if (value === 0 && !zero) return { code: "codebook-zero", message: `entry ${i} is 0, which stands for absent` };
  if (i > 0 && !(value > values[i - 1]!)) return { code: "codebook-order", message: `entry ${i} does not rise` };
  return undefined;
}

/** The first entry that no index names, or -1. "Each entry is used." */
export function firstUnused(values: Float32Array, indices: Uint16Array): number {
  const used = new Uint8Array(values.length);
  for (let i = 0; i < indices.length; i++) used[indices[i]!] = 1;
  return used.indexOf(0);
}
