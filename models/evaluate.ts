import type { NumberArray } from "../lib/backends/backend.ts";
import { exp, log } from "../lib/math.ts";
import type { Network } from "../lib/network.ts";
import type { Runtime } from "../lib/runtime.ts";
import type { Tensor } from "../lib/tensor.ts";
import type { Weights } from "../lib/weights.ts";
import { checkFits, checkWeights, checkWhole } from "./check.ts";
import type { Dataset } from "./data/dataset.ts";
import { forward } from "./forward.ts";
import { pace } from "./loop.ts";
import { type Pictures, picturesOn } from "./pictures.ts";

export interface EvaluateOptions {
  readonly runtime: Runtime;
  readonly network: Network;
  readonly weights: Weights;
  readonly data: Dataset;
  /** Images at a time. Default: 256. The result does not depend on it, but for the order of float32 sums. */
  readonly batchSize?: number;
  /** Stops between two batches by throwing its reason. */
  readonly signal?: AbortSignal;
}

export interface Evaluation {
  /** Share of the images whose largest output is their label's. */
  readonly accuracy: number;
  /** Images that are wrong, those without an answer included. */
  readonly errors: number;
  readonly count: number;
  /** Mean cross entropy in nats. NaN if an output is not finite. */
  readonly loss: number;
  /** Images without an answer: some output is not finite. */
  readonly notFinite: number;
}

/**
 * How well a network does on labelled images. Of equal outputs the first class is taken; an image with an output that
 * is not finite is an error and counted apart. Throws ShapeError, RangeError or DataError if network, weights and data
 * do not go together, before anything is computed.
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const { runtime, network, weights, data } = options;
  checkFits(network, data);
  const parameters = hold(runtime, network, weights);
  return evaluateParameters({ ...options, parameters: () => parameters });
}

export interface PredictOptions extends Omit<EvaluateOptions, "data"> {
  /** What `data` of `evaluate` is, labels or not. */
  readonly data: Omit<Dataset, "labels" | "classes">;
}

export interface Prediction {
  /** [count, classes]: the network's outputs, before any softmax. */
  readonly logits: Float32Array;
  /** The class of each image, -1 where some output is not finite. Of equal outputs the first. */
  readonly classes: Int32Array;
}

/** What a network says about images. Throws as `evaluate`. */
export async function predict(options: PredictOptions): Promise<Prediction> {
  const { runtime, network, weights, data } = options;
  const unlabelled = { ...data, labels: new Uint8Array(data.count), classes: network.classes };
  checkFits(network, unlabelled);
  const parameters = hold(runtime, network, weights);
  const size = network.classes.length;
  const logits = new Float32Array(data.count * size);
  const classes = new Int32Array(data.count);
  await visitLogits({ ...options, data: unlabelled, parameters: () => parameters }, (row, image) => {
    logits.set(row, image * size);
    classes[image] = largest(row);
  });
  return { logits, classes };
}

function hold(runtime: Runtime, network: Network, weights: Weights): Tensor[] {
  checkWeights(network, weights);
  return weights.map(({ values, shape }) => runtime.tensor(values, shape));
}

interface Subject extends Omit<EvaluateOptions, "weights"> {
  /** The network's tensors. Called inside a step. */
  readonly parameters: () => readonly Tensor[];
  /** The data where they are on the device already. */
  readonly pictures?: Pictures;
}

/** `evaluate` of tensors that are on the device already, unchecked. */
export async function evaluateParameters(subject: Subject): Promise<Evaluation> {
  const { labels, count } = subject.data;
  let errors = 0;
  let loss = 0;
  let notFinite = 0;
  await visitLogits(subject, (row, image) => {
    const answer = largest(row);
    if (answer !== labels[image]) errors += 1;
    if (answer === -1) notFinite += 1;
    loss += crossEntropyOf(row, labels[image]!);
  });
  return { accuracy: (count - errors) / count, errors, count, loss: loss / count, notFinite };
}

/** Runs all images forward, and hands over the outputs of each. */
async function visitLogits(subject: Subject, visit: (row: NumberArray, image: number) => void): Promise<void> {
  const { runtime, network, parameters, data, batchSize = 256, signal } = subject;
  checkWhole("evaluate: the batch size", batchSize, 1, 65536);
  const pictures = subject.pictures ?? picturesOn(runtime, data, network.input);
  const { rest } = pace();
  for (let from = 0; from < data.count; from += batchSize) {
    signal?.throwIfAborted();
    const size = Math.min(batchSize, data.count - from);
    const numbers = Uint32Array.from({ length: size }, (_, i) => from + i);
    const logits = runtime.step(() => forward(network, parameters(), pictures(numbers).images));
    const rows = await logits.read();
    const classes = rows.length / size;
    for (let i = 0; i < size; i++) visit(rows.subarray(i * classes, (i + 1) * classes), from + i);
    await rest();
  }
}

/** Place of the first of the largest numbers, -1 if one is not finite. */
function largest(row: NumberArray): number {
  let best = 0;
  for (let i = 0; i < row.length; i++) {
    if (!Number.isFinite(row[i])) return -1;
    if (row[i]! > row[best]!) best = i;
  }
  return best;
}

/** ln Σ exp(x) - x at the label. */
function crossEntropyOf(row: NumberArray, label: number): number {
  let top = -Infinity;
  for (const x of row) top = Math.max(top, x);
  let sum = 0;
  for (const x of row) sum += exp(x - top);
  return top + log(sum) - row[label]!;
}
