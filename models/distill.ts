import { exp } from "../lib/math.ts";
import type { Network } from "../lib/network.ts";
import { add, divide, multiply } from "../lib/ops/arithmetic.ts";
import { gather } from "../lib/ops/gather.ts";
import { mean } from "../lib/ops/reduce.ts";
import { crossEntropy } from "../lib/ops/softmax.ts";
import type { Runtime } from "../lib/runtime.ts";
import type { Tensor } from "../lib/tensor.ts";
import type { Weights } from "../lib/weights.ts";
import { augmentationOf, type AugmentOptions, copier } from "./augment.ts";
import type { Dataset } from "./data/dataset.ts";
import { digest } from "./digest.ts";
import { predict } from "./evaluate.ts";
import { hardLabels, type Loss } from "./loss.ts";

/** What teachers say about pictures, at a temperature: the higher it is, the more the unlikely classes count. */
export interface SoftLabels {
  /** [count, classes]: probabilities of the classes, the mean of the teachers'. */
  readonly values: Float32Array;
  readonly count: number;
  readonly classes: number;
  readonly temperature: number;
}

export interface SoftLabelOptions {
  readonly runtime: Runtime;
  /** At least one; of several, the mean of the probabilities is taken. */
  readonly teachers: readonly { readonly network: Network; readonly weights: Weights }[];
  readonly data: Dataset;
  /** Logits are divided by it. Default: 2. */
  readonly temperature?: number;
  /** Also labels the copies that `augment` makes with these options, in the order of its pool, without keeping them. */
  readonly augmentation?: AugmentOptions | undefined;
  /** Called after every set of copies of every teacher, with pictures labelled so far. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
  /** Stops between two batches by throwing its reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Soft labels of a teacher or of several (arXiv 1503.02531): softmax(logits / temperature). Throws as `predict`, and
 * RangeError for a bad temperature, no teacher, teachers that differ in classes, or an output that is not finite.
 */
export async function softLabels(options: SoftLabelOptions): Promise<SoftLabels> {
  const { runtime, teachers, data, temperature = 2, augmentation, onProgress, signal } = options;
  checkTemperature("softLabels", temperature);
  if (teachers.length === 0) throw new RangeError("softLabels: at least one teacher is needed, got none");
  const classes = teachers[0]!.network.classes.length;
  const other = teachers.find(({ network }) => network.classes.length !== classes)?.network;
  if (other !== undefined) {
    throw new RangeError(`softLabels: the first teacher has ${classes} classes, ${other.name} ${other.classes.length}`);
  }
  const copies = augmentation === undefined ? 0 : augmentationOf(augmentation).copies;
  const copy = augmentation === undefined ? null : copier(data, augmentation);
  const { count } = data;
  const size = data.images.length / count;
  const copied = copies === 0 ? data : { ...data, images: new Uint8Array(data.images.length) };
  const values = new Float32Array((copies + 1) * count * classes);
  const sums = new Float64Array(count * classes);
  const total = (copies + 1) * teachers.length * count;
  let done = 0;
  for (let c = 0; c <= copies; c++) {
    if (copy !== null) {
      for (let i = 0; i < count; i++) copy(copied.images.subarray(i * size, (i + 1) * size), i, c);
    }
    sums.fill(0);
    for (const { network, weights } of teachers) {
      const said = await predict({ runtime, network, weights, data: copied, signal });
      const silent = said.classes.indexOf(-1);
      if (silent >= 0) {
        throw new RangeError(`softLabels: ${network.name} has outputs that are not finite, at image ${silent}`);
      }
      addProbabilities(sums, said.logits, classes, temperature);
      done += count;
      onProgress?.({ done, total });
    }
    for (let i = 0; i < sums.length; i++) values[c * sums.length + i] = sums[i]! / teachers.length;
  }
  return { values, count: (copies + 1) * count, classes, temperature };
}

function addProbabilities(sums: Float64Array, logits: Float32Array, classes: number, temperature: number): void {
  const row = new Float64Array(classes);
  for (let from = 0; from < logits.length; from += classes) {
    let top = -Infinity;
    for (let j = 0; j < classes; j++) top = Math.max(top, logits[from + j]!);
    let sum = 0;
    for (let j = 0; j < classes; j++) {
      row[j] = exp((logits[from + j]! - top) / temperature);
      sum += row[j]!;
    }
    for (let j = 0; j < classes; j++) sums[from + j]! += row[j]! / sum;
  }
}

/**
 * Learning from teachers and labels at once (arXiv 1503.02531, section 2): with T the temperature of the soft labels,
 *
 *     weight * T^2 * crossEntropy(logits / T, soft labels) + (1 - weight) * crossEntropy(logits, labels)
 *
 * T^2 keeps the slope of the first term as large as it is at T = 1. `weight` is from 0 (labels alone) to 1 (teachers
 * alone); default: 0.7. Batches must name pictures by the places at which the soft labels have them. RangeError for a
 * bad weight, labels that do not fill their shape, or a picture that they do not know.
 */
export function distillation({ soft, weight = 0.7 }: { readonly soft: SoftLabels; readonly weight?: number }): Loss {
  const { values, count, classes, temperature } = soft;
  if (!(weight >= 0 && weight <= 1)) {
    throw new RangeError(`distillation: weight must be a number from 0 to 1, got ${weight}`);
  }
  checkTemperature("distillation", temperature);
  if (values.length !== count * classes) {
    const shape = `[${count}, ${classes}]`;
    throw new RangeError(`distillation: soft labels ${shape} need ${count * classes} values, got ${values.length}`);
  }
  // A variable, because it stays on the device. Others are given the rows of a step.
  const onDevice = new WeakMap<Runtime, Tensor>();
  const rowsOn = (runtime: Runtime, places: Tensor): Tensor => {
    let all = onDevice.get(runtime);
    if (all === undefined) onDevice.set(runtime, (all = runtime.variable(values, [count, classes], "soft labels")));
    return gather(all, places);
  };
  const rowsOf = (indices: Uint32Array): Float32Array => {
    const rows = new Float32Array(indices.length * classes);
    indices.forEach((index, i) => {
      if (index >= count) {
        throw new RangeError(`distillation: there are soft labels of ${count} pictures, none of picture ${index}`);
      }
      rows.set(values.subarray(index * classes, (index + 1) * classes), i * classes);
    });
    return rows;
  };
  const fingerprint = digest([{ name: "soft", shape: [count, classes], values }]);
  return {
    name: `distillation, weight ${weight}, temperature ${temperature}, soft labels ${fingerprint}`,
    pictures: count,
    of: (outcome) => {
      if (weight === 0) return hardLabels.of(outcome);
      const { logits, indices, places } = outcome;
      const { runtime } = logits;
      const targets =
        places === undefined ? runtime.tensor(rowsOf(indices), [indices.length, classes]) : rowsOn(runtime, places);
      const taught = mean(crossEntropy(divide(logits, temperature), targets));
      const scaled = multiply(taught, weight * temperature * temperature);
      return weight === 1 ? scaled : add(scaled, multiply(hardLabels.of(outcome), 1 - weight));
    },
  };
}

function checkTemperature(name: string, temperature: number): void {
  if (temperature > 0 && temperature < Infinity) return;
  throw new RangeError(`${name}: temperature must be a number above 0, got ${temperature}`);
}
