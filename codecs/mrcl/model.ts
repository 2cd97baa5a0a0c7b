import { lenet5, linear, type Parameter, parametersOf, softmax } from "../../lib/architectures.ts";
import { checkShape, sizeOf } from "../../lib/shape.ts";
import { trainedCount } from "./hashGroups.ts";

/** What a legacy file leaves to its reader: everything but scales and indices. */
export interface MrclModel {
  /** For messages. */
  readonly name: string;
  /** In the order in which they were created; kernels as height, width, inputs, outputs. */
  readonly tensors: readonly Parameter[];
  /** How many numbers of each tensor share a trained scalar. */
  readonly hashGroups: readonly number[];
  /**
   * Which numbers an index chooses among. `sobol`: rows of a Sobol table, turned into normals. `normal`: drawn normals,
   * as an earlier program had it.
   */
  readonly candidates: "sobol" | "normal";
}

export type MrclModelName = "lenet5" | "softmax" | "linear";

/** The models of the published files, each in a shape of `lib/architectures.ts`. */
export const mrclModels: Readonly<Record<MrclModelName, MrclModel>> = {
  lenet5: {
    name: lenet5.name,
    tensors: parametersOf(lenet5),
    hashGroups: [1, 1, 2, 1, 50, 1, 1, 1],
    candidates: "sobol",
  },
  softmax: { name: softmax.name, tensors: parametersOf(softmax), hashGroups: [1, 1], candidates: "sobol" },
  linear: { name: linear.name, tensors: parametersOf(linear), hashGroups: [1], candidates: "normal" },
};

/** Numbers of a model, all tensors together, and of the table of drawn normals. */
export const mostNumbers = 2 ** 24;

/**
 * The trained scalars of each tensor. Throws ShapeError for a shape that is none, RangeError for a model without
 * tensors, with more than 2^24 numbers, or with a hash group that does not fit its tensor.
 */
export function trainedCounts({ name, tensors, hashGroups, candidates }: MrclModel): number[] {
  if (tensors.length === 0) throw new RangeError(`mrcl: ${name}: a model needs a tensor`);
  if (hashGroups.length !== tensors.length) {
    throw new RangeError(`mrcl: ${name}: ${tensors.length} tensors need as many hash groups, got ${hashGroups.length}`);
  }
  if (candidates !== "sobol" && candidates !== "normal") {
    throw new RangeError(`mrcl: ${name}: candidates must be "sobol" or "normal", got "${String(candidates)}"`);
  }
  let total = 0;
  return tensors.map((tensor, i) => {
    checkShape(`mrcl: ${name}: ${tensor.name}`, tensor.shape);
    const n = sizeOf(tensor.shape);
    total += n;
    if (total > mostNumbers) {
      throw new RangeError(`mrcl: ${name}: ${total} numbers or more are above the limit of ${mostNumbers}`);
    }
    const g = hashGroups[i]!;
    if (!(Number.isInteger(g) && g >= 1 && g <= n)) {
      throw new RangeError(`mrcl: ${name}: the hash group of ${tensor.name} must be from 1 to ${n}, got ${g}`);
    }
    return trainedCount(n, g);
  });
}

/** The model itself, or the published one of that name. Throws RangeError, which lists the names there are. */
export function modelOf(model: MrclModelName | MrclModel): MrclModel {
  if (typeof model !== "string") return model;
  if (Object.hasOwn(mrclModels, model)) return mrclModels[model];
  throw new RangeError(`mrcl: there is no model "${String(model)}"; there are ${Object.keys(mrclModels).join(", ")}`);
}
