import type { Activation } from "../../lib/network.ts";
import { type LumpedLayer, reportOf } from "./lump.ts";
import { dropUnread, lumpStages } from "./lumpStages.ts";
import { activate, type Range, type Stage } from "./stage.ts";

/**
 * A network of dense layers as the published lumping system has it, in JSON: `k` layers, the inputs counted; the ids of
 * each layer's neurons; for layers 1 to k - 1 the weight of each edge (its key is `from,to`), and the bias and the name
 * of the activation of each neuron. Ids are whole numbers, each in one layer.
 */
export interface NeuronDictionary {
  readonly k: number;
  readonly S: readonly (readonly number[])[];
  readonly W: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly b: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly A: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

const activations: Readonly<Record<string, Activation>> = {
  none: "none",
  linear: "none",
  identity: "none",
  relu: "relu",
  leakyrelu: "leakyRelu",
  leaky_relu: "leakyRelu",
  sigmoid: "sigmoid",
  tanh: "tanh",
};

/** More than a dictionary of this many edges would be no dictionary any more. */
const mostEdges = 2 ** 24;

/**
 * A value read from JSON as a dictionary, checked and in one spelling (keys `from,to`, in the order of `S`; a key may
 * also be written as Python prints a tuple, `(0, 2)`). What else the value holds is left out. Throws RangeError that
 * says where it is wrong: ids that are unknown or in two layers, edges that skip a layer or are there twice, and
 * weights, biases or activations that are missing, unknown or no finite numbers.
 */
export function readDictionary(value: unknown): NeuronDictionary {
  const { k, S, W, b, A } = record("the dictionary", value);
  if (!Array.isArray(S) || S.length < 2) fail(`S must be a list of two layers or more, the inputs first`);
  const layers = (S as readonly unknown[]).map((ids, l) => idsOf(ids, l));
  if (k !== layers.length) fail(`k must count the layers of S, the inputs too: ${layers.length}, got ${String(k)}`);
  const layerOf = new Map<number, number>();
  for (const [l, ids] of layers.entries()) {
    for (const id of ids) {
      if (layerOf.has(id)) fail(`neuron ${id} is in layers ${layerOf.get(id)} and ${l}, and may be in one only`);
      layerOf.set(id, l);
    }
  }
  const perLayer = <T>(name: string, of: unknown, read: (entries: Record<string, unknown>, l: number) => T) => {
    const all = record(name, of);
    const stray = Object.keys(all).find((key) => !/^[1-9]\d*$/.test(key) || Number(key) >= layers.length);
    if (stray !== undefined) fail(`${name} has an entry "${stray}", layers go from 1 to ${layers.length - 1}`);
    return Object.fromEntries(
      layers.slice(1).map((_, i) => [String(i + 1), read(record(`${name}[${i + 1}]`, all[i + 1]), i + 1)]),
    );
  };
  const perNeuron = <T>(name: string, of: unknown, read: (found: unknown, where: string) => T) =>
    perLayer(name, of, (entries, l) => {
      for (const key of Object.keys(entries)) {
        if (layerOf.get(Number(key)) !== l) fail(`${name}[${l}] is about neuron ${key}, which is not in layer ${l}`);
      }
      return Object.fromEntries(
        layers[l]!.map((id) => {
          if (!Object.hasOwn(entries, id)) fail(`${name}[${l}] has no entry for neuron ${id}`);
          return [String(id), read(entries[id], `${name}[${l}][${id}]`)];
        }),
      );
    });
  return {
    k: layers.length,
    S: layers,
    W: perLayer("W", W, (entries, l) => edgesOf(entries, l, layers, layerOf)),
    b: perNeuron("b", b, finite),
    A: perNeuron("A", A, (found, where) => {
      if (typeof found !== "string" || activationOf(found) === undefined) {
        const names = Object.keys(activations).join(", ");
        fail(`${where} must be one of ${names}, in capitals or not, got ${JSON.stringify(found)}`);
      }
      return found as string;
    }),
  };
}

function idsOf(ids: unknown, l: number): number[] {
  if (!Array.isArray(ids) || ids.length === 0) fail(`S[${l}] must be a list of at least one neuron`);
  for (const id of ids as unknown[]) {
    if (!Number.isSafeInteger(id) || (id as number) < 0) {
      fail(`S[${l}] must hold whole numbers from 0 up, got ${JSON.stringify(id)}`);
    }
  }
  return ids as number[];
}

function edgesOf(
  entries: Record<string, unknown>,
  l: number,
  layers: readonly (readonly number[])[],
  layerOf: ReadonlyMap<number, number>,
): Record<string, number> {
  const found = new Map<string, number>();
  for (const [key, weight] of Object.entries(entries)) {
    const [, from, to] = /^\(?\s*(\d+)\s*,\s*(\d+)\s*\)?$/.exec(key)?.map(Number) ?? [];
    if (from === undefined || to === undefined) fail(`W[${l}] has a key "${key}", which is not from,to`);
    for (const id of [from!, to!]) if (!layerOf.has(id)) fail(`W[${l}]: there is no neuron ${id}, in edge ${key}`);
    const [start, end] = [layerOf.get(from!)!, layerOf.get(to!)!];
    if (start !== l - 1 || end !== l) {
      fail(`W[${l}]: edge ${key} leads from layer ${start} to ${end}; edges that skip layers are not lumped`);
    }
    if (found.has(`${from},${to}`)) fail(`W[${l}]: the edge from ${from} to ${to} is there twice`);
    found.set(`${from},${to}`, finite(weight, `W[${l}][${key}]`));
  }
  const [sources, units] = [layers[l - 1]!, layers[l]!];
  if (sources.length * units.length > mostEdges) {
    fail(`layer ${l} has ${sources.length * units.length} edges, at most ${mostEdges} are taken`);
  }
  const edges = units.flatMap((to) => sources.map((from) => `${from},${to}`));
  return Object.fromEntries(
    edges.map((edge) => {
      if (!found.has(edge)) fail(`W[${l}]: the weight of edge ${edge} is missing`);
      return [edge, found.get(edge)!];
    }),
  );
}

function record(what: string, value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    fail(`${what} must be an object, got ${value === undefined ? "nothing" : JSON.stringify(value)?.slice(0, 40)}`);
  }
  return value as Record<string, unknown>;
}

function finite(value: unknown, where: string): number {
  if (typeof value !== "number" || !Number.isFinite(value)) {
    fail(`${where} must be a finite number, got ${JSON.stringify(value)?.slice(0, 40)}`);
  }
  return value as number;
}

function fail(message: string): never {
  throw new RangeError(`dictionary: ${message}`);
}

function activationOf(name: string): Activation | undefined {
  const key = name.toLowerCase();
  return Object.hasOwn(activations, key) ? activations[key] : undefined;
}

/** The numbers of a dictionary as lumping takes them. */
function stagesOfDictionary({ S, W, b, A }: NeuronDictionary): Stage[] {
  return S.slice(1).map((ids, i) => {
    const l = i + 1;
    const sources = S[i]!;
    return {
      positions: 1,
      sources: sources.length,
      units: ids.length,
      weights: Float64Array.from(sources.flatMap((from) => ids.map((to) => W[l]![`${from},${to}`]!))),
      bias: Float64Array.from(ids, (id) => b[l]![id]!),
      activations: ids.map((id) => activationOf(A[l]![id]!)!),
      pooled: false,
      padded: false,
    };
  });
}

export interface LumpedDictionary extends NeuronDictionary {
  /** What happened to each layer from 1 on, its units by their ids. */
  readonly layers: readonly LumpedLayer[];
  /** The most that an output can move while the inputs are from -1 to 1, in exact arithmetic. */
  readonly bound: number;
}

/**
 * Lumping of a dictionary, as `lump` does it. Each class keeps the id of its first neuron. Numbers are float64: equal
 * means equal but for their rounding. Throws RangeError for what `readDictionary` refuses, and for tolerances that are
 * not from 0 to below 1.
 */
export function lumpDictionary(dictionary: NeuronDictionary, { tolerance = 0 } = {}): LumpedDictionary {
  if (!(tolerance >= 0 && tolerance < 1)) {
    throw new RangeError(`lump: the tolerance must be from 0 to below 1, got ${tolerance}`);
  }
  const { k, S, A } = readDictionary(dictionary);
  const stages = stagesOfDictionary(readDictionary(dictionary));
  const input: Range = { low: -1, high: 1 };
  const lumped = lumpStages(stages, { tolerance, rounding: 2 ** -44, round: (weight) => weight, input });
  const { stages: small, kept } = dropUnread(lumped.stages);
  const isHidden = (i: number): boolean => i < lumped.fates.length;
  const ids = S.map((all, l) =>
    l > 0 && isHidden(l - 1) ? kept[l - 1]!.map((place) => all[lumped.fates[l - 1]!.kept[place]!]!) : [...all],
  );
  const byLayer = <T>(read: (stage: Stage, l: number) => readonly (readonly [string, T])[]) =>
    Object.fromEntries(small.map((stage, i) => [String(i + 1), Object.fromEntries(read(stage, i + 1))]));
  return {
    k,
    S: ids,
    W: byLayer(({ units, weights }, l) =>
      ids[l]!.flatMap((to, u) =>
        ids[l - 1]!.map((from, s) => [`${from},${to}`, weights[s * units + u]!] as const),
      ),
    ),
    b: byLayer(({ bias }, l) => ids[l]!.map((id, u) => [String(id), bias[u]!] as const)),
    A: byLayer((_, l) => ids[l]!.map((id) => [String(id), A[l]![id]!] as const)),
    layers: small.map(({ units }, i) => {
      const all = S[i + 1]!;
      const name = (place: number): number => all[place]!;
      const head = { name: String(i + 1), before: all.length, after: units };
      if (!isHidden(i)) return { ...head, classes: [], constant: [], unread: [] };
      const { classes, constant, unread } = reportOf(lumped.fates[i]!, kept[i]!);
      return {
        ...head,
        classes: classes.map(({ units: members, factors }) => ({ units: members.map(name), factors })),
        constant: constant.map(name),
        unread: unread.map(name),
      };
    }),
    bound: lumped.bounds.reduce((most, bound) => Math.max(most, bound), 0),
  };
}

/** What the last layer of a dictionary says of inputs, in the order of `S`. RangeError for another number of inputs. */
export function runDictionary(dictionary: NeuronDictionary, inputs: readonly number[]): number[] {
  const { S } = dictionary;
  if (inputs.length !== S[0]!.length) {
    throw new RangeError(`dictionary: it has ${S[0]!.length} inputs, got ${inputs.length}`);
  }
  let x = [...inputs];
  for (const { sources, units, weights, bias, activations: names } of stagesOfDictionary(dictionary)) {
    x = Array.from({ length: units }, (_, u) => {
      let sum = bias[u]!;
      for (let s = 0; s < sources; s++) sum += weights[s * units + u]! * x[s]!;
      return activate(names[u]!, sum);
    });
  }
  return x;
}
