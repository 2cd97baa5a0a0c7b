import { checkLegacy, type LegacyCode } from "../legacy.ts";
import { modelOf } from "./model.ts";
import type { MrclOptions } from "./layout.ts";
import { readMrclContent, scalesOf } from "./readMrcl.ts";

/**
 * What a legacy `.mrcl` file chose, as a section of a file of ours says it: the same weights as those of `readMrcl`, in
 * fewer bytes. Undefined for what the format has no spelling for: more than 12 bits, scales far from 1, or tables
 * and networks beyond its limits (section 5.7). Throws as `readMrcl`.
 */
export function legacyCode(bytes: Uint8Array, options: MrclOptions): LegacyCode | undefined {
  const model = modelOf(options.model);
  const { block, bits, logScales, indices } = readMrclContent(bytes, options);
  const shapes = model.tensors.map(({ shape }) => shape);
  const groups = model.hashGroups.every((group) => group === 1) ? {} : { groups: model.hashGroups };
  const { candidates } = model;
  const scales = scalesOf(logScales);
  const coded: LegacyCode = { method: "legacy", shapes, candidates, bits, block, ...groups, scales, indices };
  try {
    checkLegacy(coded, shapes);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
  return coded;
}
