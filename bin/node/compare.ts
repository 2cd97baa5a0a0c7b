import { clearDead, type PruneRule } from "../../codecs/index.ts";
import { type Network, parametersOf, type Runtime, ShapeError, type Weights } from "../../lib/index.ts";
import {
  checkIdentity,
  type Dataset,
  digest,
  digestOfData,
  evaluate,
  fit,
  type FitOptions,
  type Json,
  readCheckpoint,
  writeCheckpoint,
} from "../../models/index.ts";
import type { ChainOptions } from "../chain.ts";
import { countNumbers, gzippedBytes } from "../sizes.ts";
import {
  compareMethods,
  type Made,
  type Method,
  passes,
  type SizedName,
  type StageName,
  usualBytes,
  usualRules,
  usualSizes,
  type Workbench,
} from "./compareMethods.ts";

/** What one method made of the network. */
export interface Compared {
  readonly method: string;
  readonly failed: false;
  /** Of the whole file. */
  readonly bytes: number;
  /** Times smaller than 4 bytes for each number of the network as it was. */
  readonly ratio: number;
  /** Bytes that gzip makes of the weights as float32. */
  readonly gzip: number;
  readonly accuracy: number;
  readonly errors: number;
  /** From the trained network to the file, with all that other methods made before it and it begins with. */
  readonly seconds: number;
  readonly parameters: number;
  /** Of those. */
  readonly zeros: number;
  /** Units by layer, and those that do something: neurons of dense layers, filters of convolutions. */
  readonly layers: readonly { readonly name: string; readonly before: number; readonly left: number }[];
}

/** A method that could make nothing of the network, and why. */
export interface NotCompared {
  readonly method: string;
  readonly failed: true;
  readonly reason: string;
}

export type CompareRow = Compared | NotCompared;

export interface CompareProgress {
  /** `train` before the first method. */
  readonly method: string;
  readonly phase: string;
  readonly done: number;
  readonly total: number;
  readonly loss: number;
}

export interface CompareOptions {
  readonly runtime: Runtime;
  /** As trained. Not given: they are trained first. */
  readonly weights?: Weights | undefined;
  /** Names from `compareMethods`, in the order in which they are to run. Default: all. */
  readonly methods?: readonly string[] | undefined;
  /** How long everything takes, as a part of what the recipes of `kilonet` say: 0.1 for a tenth. Default: 1. */
  readonly effort?: number | undefined;
  /** Default: 1. */
  readonly seed?: number | undefined;
  /** What pruning keeps, by tensor. Default: shares that were measured, a fifth for networks that we do not know. */
  readonly rules?: Readonly<Record<string, PruneRule>> | undefined;
  /** How many values are shared, by tensor and by all `biases` together. Default: as above. */
  readonly sizes?: Readonly<Record<string, number>> | undefined;
  /** Of the files of methods that train for a size. Default: sizes that were measured. */
  readonly bytes?: Readonly<Partial<Record<SizedName, number>>> | undefined;
  readonly onProgress?: ((progress: CompareProgress) => void) | undefined;
  /** Called when a row is there, with the bytes that were measured; not for rows of an earlier run. */
  readonly onRow?: ((row: CompareRow, file: Uint8Array | null) => void | Promise<void>) | undefined;
  /** Aborting throws the signal's reason; what was saved then holds all rows that are done. */
  readonly signal?: AbortSignal | undefined;
  /** Called after every row and every step that several methods share. */
  readonly save?: ((state: Uint8Array) => void | Promise<void>) | undefined;
  /** What was saved, to go on from, of the same network, images and options; the methods may be others. */
  readonly resume?: Uint8Array | undefined;
}

export interface Comparison {
  readonly rows: readonly CompareRow[];
  /** As trained: those that were given, or those that were trained first. */
  readonly weights: Weights;
  /** That training took; null where weights were given. */
  readonly trainingSeconds: number | null;
}

interface Images {
  readonly training: Dataset;
  readonly test: Dataset;
}

/**
 * Makes a file of a network by every method, one after the other, and measures each on `test`: images that none is
 * trained on. A method that the network is not made for has a row with its reason. Those that share a step (pruning,
 * for one) begin with the same numbers. RangeError for methods that there are not, and an effort that is not above 0,
 * before any work; for a state of another comparison too, and DataError for one that is damaged.
 */
export async function compare(network: Network, data: Images, options: CompareOptions): Promise<Comparison> {
  const { methods = compareMethods.map(({ name }) => name), effort = 1 } = options;
  const chosen = methods.map(methodCalled);
  const twice = methods.find((name, i) => methods.indexOf(name) !== i);
  if (twice !== undefined) throw new RangeError(`compare: the method ${twice} is there twice`);
  if (!(effort > 0 && effort < Infinity)) {
    throw new RangeError(`compare: the effort must be a number above 0, got ${effort}`);
  }
  const run = new Run(network, data, {
    ...options,
    effort,
    seed: options.seed ?? 1,
    rules: options.rules ?? usualRules(network),
    sizes: options.sizes ?? usualSizes(network),
    bytes: options.bytes ?? {},
  });
  const { weights, seconds } = await run.train();
  const rows: CompareRow[] = [];
  for (const method of chosen) rows.push(await run.row(method, weights));
  return { rows, weights, trainingSeconds: options.weights === undefined ? seconds : null };
}

/** The method of that name. Throws RangeError, which lists the names there are. */
export function methodCalled(name: string): Method {
  const found = compareMethods.find((method) => method.name === name);
  if (found !== undefined) return found;
  const names = compareMethods.map((method) => method.name).join(", ");
  throw new RangeError(`compare: there is no method "${name}"; there are ${names}`);
}

interface Settled extends CompareOptions, Pick<Workbench, "effort" | "rules" | "sizes"> {
  readonly effort: number;
  readonly seed: number;
  readonly rules: Workbench["rules"];
  readonly sizes: Workbench["sizes"];
  readonly bytes: NonNullable<CompareOptions["bytes"]>;
}

interface Stage {
  readonly weights: Weights;
  readonly seconds: number;
}

const kind = "compare";

/** One comparison under way: what is done of it, and the clock. */
class Run {
  readonly #network: Network;
  readonly #data: Images;
  readonly #options: Settled;
  readonly #chain: ChainOptions;
  readonly #identity: Readonly<Record<string, Json>>;
  readonly #rows = new Map<string, CompareRow>();
  readonly #stages = new Map<string, Stage>();
  #method = "train";
  /** Seconds of the row or stage at hand that were spent before it began, on stages that are there already. */
  #owed = 0;

  constructor(network: Network, data: Images, options: Settled) {
    const { runtime, weights, effort, seed, rules, sizes, bytes, signal, resume } = options;
    this.#network = network;
    this.#data = data;
    this.#options = options;
    this.#chain = {
      ...{ runtime, network, training: data.training, seed },
      ...(signal && { signal }),
      onProgress: (phase, { step, steps, loss }) => this.#show({ phase, done: step, total: steps, loss }),
    };
    this.#identity = {
      network: { ...network } as unknown as Json,
      weights: weights === undefined ? null : digest(weights),
      training: digestOfData(data.training),
      test: digestOfData(data.test),
      device: runtime.device,
      ...{ effort, seed, sizes, rules: { ...rules } as unknown as Json, bytes: { ...bytes } },
    };
    if (resume !== undefined) this.#restore(resume);
  }

  /** The weights to begin with. */
  async train(): Promise<Stage> {
    const { weights, runtime, effort, seed, signal } = this.#options;
    if (weights !== undefined) return { weights, seconds: 0 };
    const network = this.#network;
    const { epochs, schedule } = trainings[network.name] ?? usualTraining;
    const { training: train, ...times } = passes(this.#data.training, epochs, effort);
    return this.#stage("trained", async () => {
      const { weights: trained } = await fit({
        ...{ runtime, network, data: { train }, ...times, seed, schedule },
        ...(signal && { signal }),
        onProgress: ({ step, steps, loss }) => this.#show({ phase: "train", done: step, total: steps, loss }),
      });
      return trained;
    });
  }

  /** Makes a row, unless it is there. */
  async row({ name, make }: Method, weights: Weights): Promise<CompareRow> {
    const found = this.#rows.get(name);
    if (found !== undefined) return found;
    const { signal, onRow } = this.#options;
    signal?.throwIfAborted();
    this.#method = name;
    this.#owed = 0;
    const began = performance.now();
    let row: CompareRow;
    let file: Uint8Array | null = null;
    try {
      const made = await make(this.#bench(weights));
      const seconds = (performance.now() - began) / 1000 + this.#owed;
      row = await this.#measured(name, made, seconds, weights);
      ({ file } = made);
    } catch (error) {
      if (signal?.aborted === true || !isRefusal(error)) throw error;
      row = { method: name, failed: true, reason: error.message };
    }
    this.#rows.set(name, row);
    await this.#save();
    await onRow?.(row, file);
    return row;
  }

  #bench(weights: Weights): Workbench {
    const { effort, rules, sizes, bytes } = this.#options;
    const network = this.#network;
    return {
      ...{ network, weights, chain: this.#chain, effort, rules, sizes },
      bytesFor: (method) => bytes[method] ?? usualBytes(network, method),
      onSized: (progress) => this.#show(progress),
      stage: async (name, work) => (await this.#stage(name, work)).weights,
    };
  }

  async #stage(name: StageName, make: () => Promise<Weights>): Promise<Stage> {
    const found = this.#stages.get(name);
    if (found !== undefined) {
      this.#owed += found.seconds;
      return found;
    }
    const [began, owed] = [performance.now(), this.#owed];
    const weights = await make();
    const stage = { weights, seconds: (performance.now() - began) / 1000 + this.#owed - owed };
    this.#stages.set(name, stage);
    await this.#save();
    return stage;
  }

  async #measured(method: string, made: Made, seconds: number, before: Weights): Promise<Compared> {
    const { network, weights, file } = made;
    const { runtime, signal } = this.#options;
    const test = { runtime, network, weights, data: this.#data.test, ...(signal && { signal }) };
    const { accuracy, errors } = await evaluate(test);
    const { parameters, nonzero } = countNumbers(weights);
    return {
      ...{ method, failed: false, bytes: file.length, ratio: (4 * countNumbers(before).parameters) / file.length },
      ...{ gzip: gzippedBytes(weights), accuracy, errors, seconds, parameters, zeros: parameters - nonzero },
      layers: this.#layersLeft(network, weights),
    };
  }

  #layersLeft(network: Network, weights: Weights): Compared["layers"] {
    const dead = new Map(clearDead(network, weights).dead.map(({ layer, dead: units }) => [layer, units.length]));
    const unitsBefore = new Map(unitsOf(this.#network));
    return unitsOf(network).map(([name, units]) => ({
      name,
      before: unitsBefore.get(name)!,
      left: units - (dead.get(name) ?? 0),
    }));
  }

  #show(progress: Omit<CompareProgress, "method">): void {
    this.#options.onProgress?.({ method: this.#method, ...progress });
  }

  /** Stages travel as arrays, `<stage>/<tensor>`, and the rest as JSON. */
  async #save(): Promise<void> {
    const { save } = this.#options;
    if (save === undefined) return;
    const stages = [...this.#stages];
    const progress = {
      rows: [...this.#rows.values()] as unknown as Json,
      seconds: Object.fromEntries(stages.map(([name, { seconds }]) => [name, seconds])),
    };
    const arrays = stages.flatMap(([stage, { weights }]) =>
      weights.map(({ name, ...rest }) => ({ name: `${stage}/${name}`, ...rest })),
    );
    await save(writeCheckpoint({ kind, identity: this.#identity, progress, arrays }));
  }

  #restore(state: Uint8Array): void {
    const found = readCheckpoint(state);
    checkIdentity(found, kind, this.#identity);
    const { rows, seconds } = found.progress as unknown as {
      readonly rows: readonly CompareRow[];
      readonly seconds: Readonly<Record<string, number>>;
    };
    for (const row of rows) this.#rows.set(row.method, row);
    const names = parametersOf(this.#network).map(({ name }) => name);
    for (const [i, [stage, time]] of Object.entries(seconds).entries()) {
      const arrays = found.arrays.slice(i * names.length, (i + 1) * names.length);
      this.#stages.set(stage, {
        weights: arrays.map((array, t) => ({ ...array, name: names[t]! })),
        seconds: time,
      });
    }
  }
}

/** A method or a network that does not fit the other: a row, where anything else ends the comparison. */
function isRefusal(error: unknown): error is Error {
  return error instanceof RangeError || error instanceof ShapeError;
}

function unitsOf({ layers }: Network): [name: string, units: number][] {
  return layers.flatMap((layer): [string, number][] => {
    if (layer.type === "convolution") return [[layer.name, layer.filters]];
    return layer.type === "dense" ? [[layer.name, layer.units]] : [];
  });
}

interface Training {
  readonly epochs: number;
  readonly schedule: NonNullable<FitOptions["schedule"]>;
}

/** How networks are trained where no weights are given; `bench/results.md` has the figures. */
const usualTraining: Training = { epochs: 10, schedule: { name: "cosine", rate: 0.001 } };
const trainings: Readonly<Record<string, Training>> = {
  lenet300: { epochs: 20, schedule: { name: "cosine", rate: 0.001 } },
  lenet5: { epochs: 10, schedule: { name: "oneCycle", rate: 0.003 } },
};
