import { levels as levelsCodec } from "./levels.ts";
import type { Method } from "./method.ts";
import { scaleOf } from "./scale.ts";

/** A whole number for every weight and a scale for every tensor: quantized to an even grid. Format: section 5.4. */
export interface LevelWeights {
  readonly method: "levels";
  /** A byte per tensor, see `scaleOf`; 0 for a tensor whose levels are all 0. */
  readonly scales: Uint8Array;
  /** Per tensor, row-major. */
  readonly levels: readonly Int32Array[];
}

export const levelWeights: Method<LevelWeights> = {
  tag: 4,
  name: "levels",
  takesRest: true,

  codec(tensors) {
    const codec = levelsCodec({ shapes: tensors.map(({ shape }) => shape) });
    return {
      tag: levelWeights.tag,
      name: levelWeights.name,

      write({ scales, levels }, to) {
        if (scales.length !== tensors.length) {
          throw new RangeError(`levels: ${tensors.length} tensors need as many scales, got ${scales.length}`);
        }
        const idle = scales.findIndex((k, t) => k !== 0 && isZero(levels[t]));
        if (idle >= 0) throw new RangeError(`levels: tensor ${idle} has no level but 0, so that its scale must be 0`);
        // "A byte k per tensor; the levels, to the end of what contains them."
        to.bytes(scales);
        codec.write([...levels], to);
      },

      read(from, budget) {
        const start = from.position;
        const scales = budget.uint8(tensors.length);
        scales.set(from.bytes(tensors.length, "scales"));
        from.note([...scales].map((k) => scaleOf(k)).join(", "));
        const levels = codec.read(from, budget);
        const idle = scales.findIndex((k, t) => k !== 0 && isZero(levels[t]));
        if (idle >= 0) from.fail("levels-scale", `levels: the scale of a tensor of zeros must be 0`, start + idle);
        return { method: "levels", scales, levels };
      },
    };
  },

  toValues({ scales, levels }) {
    const values = new Float32Array(levels.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    levels.forEach((tensor, t) => {
      const scale = scaleOf(scales[t]!);
      // The product is exact in a double; the array rounds it once.
      for (let i = 0; i < tensor.length; i++) values[at++] = scale * tensor[i]!;
    });
    return values;
  },
};

function isZero(levels: Int32Array | undefined): boolean {
  return levels === undefined || levels.every((level) => level === 0);
}
