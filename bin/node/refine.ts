import {
  type LevelWeights,
  placesOf,
  refine,
  type RefineProgress,
  scalarsOf,
  scaleOf,
  type Slopes,
} from "../../codecs/index.ts";
import { grad, type Network, parametersOf, type Runtime } from "../../lib/index.ts";
import { type Dataset, forward, hardLabels, narrow, pace, picturesOn } from "../../models/index.ts";

export interface RefineOnImagesOptions {
  readonly runtime: Runtime;
  readonly network: Network;
  /** Live units, as in training. */
  readonly live?: readonly number[] | undefined;
  /** All of them judge. */
  readonly data: Dataset;
  /** What a bit is worth, in nats per image. */
  readonly price: number;
  /** Bits that the levels may take at most. Default: no limit. */
  readonly most?: number | undefined;
  readonly rounds?: number | undefined;
  readonly trials?: number | undefined;
  /** Aborting throws the signal's reason, in the middle of a trial too. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: RefineProgress) => void | Promise<void>) | undefined;
}

/** Images at a time: for the loss, and for slopes, where the squares of few tell more. */
const judged = 250;
const sloped = 50;

/** `refine` with the mean cross entropy of labelled images as its judge. */
export async function refineOnImages(coded: LevelWeights, options: RefineOnImagesOptions): Promise<LevelWeights> {
  const { runtime, network, live, data, price, most, rounds, trials, signal, onProgress } = options;
  const own = live === undefined ? network : narrow(network, live);
  const shapes = parametersOf(network).map(({ shape }) => shape);
  const tensors = scalarsOf(shapes, { live });
  const places = tensors.map(placesOf);
  const variables = parametersOf(own).map(({ name, shape }, t) =>
    runtime.variable(new Float32Array(places[t]!.length), shape, name),
  );
  const hold = (levels: readonly Int32Array[]): void => {
    for (const [t, variable] of variables.entries()) {
      const scale = scaleOf(coded.scales[t]!);
      variable.assign(Float32Array.from(places[t]!, (place) => scale * levels[t]![place]!));
    }
  };
  const pictures = picturesOn(runtime, data, own.input);
  const lossOf = (from: number, to: number) => {
    const numbers = Uint32Array.from({ length: to - from }, (_, i) => from + i);
    const { images, labels } = pictures(numbers);
    const logits = forward(own, variables, images);
    const rest = { indices: numbers, trained: variables, parameters: variables, step: 0 };
    return hardLabels.of({ logits, labels, ...rest });
  };
  const batches = function* (size: number): Generator<[number, number]> {
    for (let from = 0; from < data.count; from += size) yield [from, Math.min(from + size, data.count)];
  };

  const { rest } = pace();
  /** Between batches: all images together take long. */
  const pause = async (): Promise<void> => {
    await rest();
    signal?.throwIfAborted();
  };

  const judge = async (levels: readonly Int32Array[]): Promise<number> => {
    hold(levels);
    let sum = 0;
    for (const [from, to] of batches(judged)) {
      const loss = runtime.step(() => lossOf(from, to));
      sum += (await loss.read())[0]! * (to - from);
      await pause();
    }
    return sum / data.count;
  };
  const slopes = async (levels: readonly Int32Array[]): Promise<Slopes> => {
    hold(levels);
    const gradients = shapes.map((shape) => new Float32Array(shape.reduce((size, n) => size * n, 1)));
    const curvatures = gradients.map((gradient) => new Float32Array(gradient.length));
    for (const [from, to] of batches(sloped)) {
      const found = runtime.step(() => grad(lossOf(from, to), variables));
      const count = to - from;
      await pause();
      for (const [t, gradient] of found.entries()) {
        const values = await gradient.read();
        places[t]!.forEach((place, i) => {
          const slope = values[i]!;
          gradients[t]![place]! += (slope * count) / data.count;
          // The mean gradient of n images has an n-th of the square of one's.
          curvatures[t]![place]! += (slope * slope * count * count) / data.count;
        });
      }
    }
    return { gradients, curvatures };
  };
  return refine(coded, { shapes, price, most, judge, slopes, rounds, trials, onProgress });
}
